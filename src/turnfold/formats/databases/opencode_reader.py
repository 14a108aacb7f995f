"""OpenCode's messages and parts → events."""

from __future__ import annotations

from typing import Any

import msgspec

from turnfold.codec.parts import take_out
from turnfold.formats.base import Line, Projected
from turnfold.formats.databases.opencode_lines import parts_of
from turnfold.formats.databases.tables import Handler, Row, TableReader, at_of
from turnfold.formats.fields import cost_of, count_of, list_of, name_of, object_of, text_of, text_or_none
from turnfold.formats.media import Parts, media, modality_of
from turnfold.model.message import Message
from turnfold.model.parts import BlobPart, OpaquePart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart, UriPart
from turnfold.model.usage import NO_USAGE, Usage

_FINISH = {"stop": "stop", "length": "length", "tool-calls": "tool_call", "content-filter": "content_filter", "error": "error"}
_QUIET = frozenset({"step-start", "step-finish", "snapshot", "patch", "retry", "compaction", "agent"})
"""Parts that are no content of a message."""


class OpenCodeReader(TableReader):
    """Projects one session."""

    def handlers(self) -> dict[str, Handler]:
        """The handler of each table."""
        return {
            "session": self._settings,
            "message": self._message,
            "message.step": self._step,
            "message.summary": self._settings,
            "part.result": self._result,
            "part.pruned": self._settings,
            "todo": self._todo,
            "session_diff": self._diff,
            "session.state": self._session,
        }

    def _settings(self, line: Line, _row: Row, whole: Row) -> list[Projected]:
        return [self.event(line, "settings", {"kind": whole["table"]})]

    def _diff(self, line: Line, _row: Row, whole: Row) -> list[Projected]:
        return [self.event(line, "snapshot", {"kind": whole["table"]})]

    def _todo(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        return [self.event(line, "state.set", {"values": {"todo": row.get("items")}})]

    def _session(self, line: Line, row: Row, whole: Row) -> list[Projected]:
        title = text_or_none(row.get("title"))
        revert = object_of(row.get("revert")).get("messageID")
        data = {"kind": whole["table"], **({"reverted_to": revert} if isinstance(revert, str) else {})}
        out = [self.event(line, "settings", data, at=at_of(row.get("time_updated")) or self.at_us)]
        if title is not None:
            self.titled = True
            out.append(self.own("title", {"title": title}, visibility="ui"))
        return out

    # ---- messages ------------------------------------------------------------------------------------------------------------------------

    def _message(self, line: Line, row: Row, whole: Row) -> list[Projected]:
        data = row.get("data")
        if not isinstance(data, dict) or data.get("role") not in ("user", "assistant"):
            problem = "the message is no JSON object" if not isinstance(data, dict) else None
            return [self.unread(line, "message", problem)]
        self.seen_at(at_of(row.get("time_created")) or at_of(object_of(data.get("time")).get("created")))
        name = name_of(row.get("id"))
        envelope: dict[str, Any] = {
            "meta": {"uuid": name or ""},
            "message_id": name,
            "parent_id": name_of(data.get("parentID")),
            "actor": name_of(data.get("agent")),
        }
        parts = parts_of(whole)
        if data["role"] == "user":
            return self._asked(line, parts, envelope)
        self.memory["answer"] = [text_or_none(data.get("modelID")), text_or_none(data.get("providerID")), name]
        if data.get("summary") is True:
            return [self._compaction(line, parts, data, envelope)]
        return self._answer(line, parts, data, envelope)

    def _asked(self, line: Line, parts: list[Row], envelope: dict[str, Any]) -> list[Projected]:
        compaction = next((part for part in parts if part.get("type") == "compaction"), None)
        if compaction is not None:
            place = self.find(text_of(compaction.get("tail_start_id")))
            self.memory["compaction"] = [compaction.get("auto") is True, None if place is None else place.seq]
            return [self.event(line, "settings", {"kind": "compaction", "auto": compaction.get("auto") is True}, **envelope)]
        typed = any(text_of(part.get("type")) in {"text", "subtask"} and part.get("synthetic") is not True for part in parts)
        message = Message("user", [self._part(part) for part in parts if text_of(part.get("type")) not in _QUIET])
        named = [part["name"] for part in parts if part.get("type") == "agent" and isinstance(part.get("name"), str)]
        if named:
            message.ext = {"agents": named}
        return [self.message(line, message, turn_count=1 if typed else 0, **envelope), *self._beside(parts)]

    def _answer(self, line: Line, parts: list[Row], data: Row, envelope: dict[str, Any]) -> list[Projected]:
        message = self._said(parts, text_or_none(data.get("finish")))
        error = data.get("error")
        usage = self._usage(parts, data)
        out: list[Projected] = []
        if message.parts or not error:
            out.append(self.message(line, message, usage=usage, **envelope))
        if error:
            facts = {"kind": text_of(object_of(error).get("name")), "message": _error_text(error)}
            fields = {**envelope, "visibility": "ui"}
            if out:
                del fields["meta"]
            out.append(self.own("run.error", facts, **fields) if out else self.event(line, "run.error", facts, usage=usage, **fields))
        return [*out, *self._beside(parts)]

    def _step(self, line: Line, row: Row, whole: Row) -> list[Projected]:
        """A further request of an answer: a message of its own, or the results between would come after it."""
        parts, name = parts_of(whole), name_of(row.get("id"))
        message_id = name_of(f"{name}/{count_of(row.get('step'))}") if name else None
        message = self._said(parts, None)
        return [self.message(line, message, usage=self._usage(parts, {}), message_id=message_id), *self._beside(parts)]

    def _compaction(self, line: Line, parts: list[Row], data: Row, envelope: dict[str, Any]) -> Projected:
        auto, tail_seq = self.memory.pop("compaction", None) or [None, None]
        text = "".join(text_of(part.get("text")) for part in parts if part.get("type") == "text")
        summary = {"summary": text} if text else {}
        trigger = {} if auto is None else {"trigger": "auto" if auto else "manual"}
        place = {"first_seq": 1, "last_seq": max(1, (tail_seq or self.next_seq) - 1)}
        fields = {**envelope, "visibility": "both", "usage": self._usage(parts, data)}
        return self.event(line, "compaction", {**summary, **trigger, **place}, **fields)

    def _said(self, parts: list[Row], finish: str | None) -> Message:
        model, provider, _ = self.memory.get("answer") or [None, None, None]
        blocks = [self._part(part) for part in parts if text_of(part.get("type")) not in _QUIET]
        return Message(
            "assistant",
            blocks,
            model=model,
            provider=provider,
            finish_reason=_FINISH.get(finish or ""),
            native_finish_reason=finish,
        )

    def _part(self, part: Row) -> Part:
        kind, text = part.get("type"), part.get("text")
        if kind == "text" and isinstance(text, str):
            return TextPart(text, ext={name: True for name in ("synthetic", "ignored") if part.get(name) is True})
        if kind == "reasoning" and isinstance(text, str):
            return self._reasoning(part, text)
        if kind == "file" and isinstance(part.get("url"), str):
            return _file(part)
        if kind == "subtask" and isinstance(part.get("prompt"), str):
            return TextPart(part["prompt"], ext={"subtask": part.get("agent"), "description": part.get("description")})
        if kind == "tool":
            state = object_of(part.get("state"))
            return ToolCallPart(
                text_of(part.get("callID")), text_of(part.get("tool")), state.get("input"), status=text_or_none(state.get("status"))
            )
        return OpaquePart(part)

    def _reasoning(self, part: Row, text: str) -> Part:
        """Return reasoning with what the provider needs to take it back, which stands under the provider's name."""
        model, provider, _ = self.memory.get("answer") or [None, None, None]
        made = ReasoningPart(text, provider=provider, model=model)
        for value in object_of(part.get("metadata")).values():
            fields = object_of(value)
            made.signature = text_or_none(fields.get("signature")) or made.signature
            made.encrypted = (
                text_or_none(fields.get("reasoningEncryptedContent")) or text_or_none(fields.get("redactedData")) or made.encrypted
            )
            made.id = text_or_none(fields.get("itemId")) or made.id
        return made

    def _beside(self, parts: list[Row]) -> list[Projected]:
        """Events of parts that are no content: patches, snapshots, retries."""
        out = []
        for part in parts:
            kind = part.get("type")
            if kind == "patch":
                files = [file for file in list_of(part.get("files")) if isinstance(file, str)]
                out.append(self.own("snapshot", {"kind": "patch", "hash": part.get("hash"), "files": files}, visibility="ui"))
            elif kind == "snapshot":
                out.append(self.own("snapshot", {"kind": "snapshot", "hash": part.get("snapshot")}))
            elif kind == "retry":
                facts = {"kind": "retry", "attempt": part.get("attempt"), "message": _error_text(part.get("error"))}
                out.append(self.own("run.error", facts, visibility="ui"))
        return out

    def _usage(self, parts: list[Row], data: Row) -> Usage:
        """Add up the steps; without one it is what the message says."""
        steps = [part for part in parts if part.get("type") == "step-finish"] or [data]
        total = NO_USAGE
        model = (self.memory.get("answer") or [""])[0] or ""
        for step in steps:
            usage = _usage_of(step, model)
            total = total + usage if total else usage
        return total

    # ---- results -------------------------------------------------------------------------------------------------------------------------

    def _result(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        state = object_of(row.get("state"))
        failed = row.get("status") == "error"
        parts: Parts = []
        response = state.get("error") if failed else state.get("output")
        attached = [_file(file) for file in map(object_of, list_of(state.get("attachments"))) if isinstance(file.get("url"), str)]
        if attached:
            holder = Message("tool", [TextPart(text_of(response)), *attached])
            parts += take_out(holder)
            response = msgspec.to_builtins(holder.parts)
        code = object_of(state.get("metadata")).get("exit")
        ended = at_of(object_of(state.get("time")).get("end"))
        part = ToolResultPart(
            text_of(row.get("callID")), response, True if failed else None, code if type(code) is int and abs(code) < 1 << 31 else None
        )
        return [self.message(line, Message("tool", [part]), parts=parts, at=ended or self.at_us, meta={"uuid": text_of(row.get("id"))})]


def _error_text(error: Any) -> str:
    fields = object_of(error)
    return text_of(object_of(fields.get("data")).get("message")) or text_of(fields.get("message")) or text_of(error)


def _file(part: Row) -> Part:
    mime_type, name = text_or_none(part.get("mime")), text_or_none(part.get("filename"))
    made = media(modality_of(mime_type), part["url"])
    if isinstance(made, BlobPart):
        made.mime_type, made.filename = mime_type or made.mime_type, name
    elif isinstance(made, UriPart):
        made.mime_type, made.ext = mime_type, {"filename": name} if name else {}
    return made


def _usage_of(step: Row, model: str) -> Usage:
    """Return tokens in OTel terms: OpenCode's input leaves cached tokens out, and its output the reasoning."""
    tokens = object_of(step.get("tokens"))
    cache = object_of(tokens.get("cache"))
    read, written, reasoning = count_of(cache.get("read")), count_of(cache.get("write")), count_of(tokens.get("reasoning"))
    read_in, out, cost = (
        count_of(tokens.get("input")) + read + written,
        count_of(tokens.get("output")) + reasoning,
        cost_of(step.get("cost")),
    )
    if not read_in and not out and not cost:
        return NO_USAGE
    return Usage(read_in, out, read, written, reasoning, cost, model)
