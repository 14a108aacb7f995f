"""Goose's messages → events, from rows of its database and from its lines of before."""

from __future__ import annotations

from typing import Any

import msgspec

from turnfold.codec.parts import take_out
from turnfold.formats.base import Line, Projected
from turnfold.formats.databases.tables import Handler, Row, TableReader, at_of
from turnfold.formats.fields import cost_of, count_of, list_of, metadata_of, name_of, object_of, text_of, text_or_none
from turnfold.formats.lines import decode_line, opaque
from turnfold.formats.media import Parts
from turnfold.model.event import Visibility
from turnfold.model.message import Message
from turnfold.model.parts import BlobPart, OpaquePart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from turnfold.model.usage import NO_USAGE, Usage

NOTICES = frozenset({"systemNotification", "toolConfirmationRequest", "actionRequired"})
"""Content for people alone."""
_VISIBLE: dict[tuple[bool, bool], Visibility] = {(True, True): "both", (False, True): "model", (True, False): "ui", (False, False): "none"}


class GooseReader(TableReader):
    """Projects one session."""

    def handlers(self) -> dict[str, Handler]:
        """The handler of each table."""
        return {
            "sessions": self._settings,
            "messages": self._row,
            "messages.archived": self._settings,
            "usage_ledger": self._usage,
            "sessions.state": self._session,
        }

    def feed(self, line: Line, next_seq: int) -> list[Projected]:
        """Return the events of a line: of a row, or of a file's line as it is."""
        value, problem = decode_line(line.data) if line.data.strip() else (None, None)
        if not isinstance(value, dict) or problem is not None or not ("role" in value or "working_dir" in value):
            return super().feed(line, next_seq)
        self.next_seq = next_seq
        if "role" not in value:
            return [self.event(line, "settings", {"kind": "description"})]
        try:
            return self._said(line, {**value, "created_timestamp": value.get("created")}, value.get("content"), value.get("metadata"))
        except RecursionError:
            return [opaque(line, self.at_us, "message", "the message is nested too deeply")]

    # ---- rows ----------------------------------------------------------------------------------------------------------------------------

    def _settings(self, line: Line, _row: Row, whole: Row) -> list[Projected]:
        return [self.event(line, "settings", {"kind": whole["table"]})]

    def _row(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        return self._said(line, row, row.get("content_json"), row.get("metadata_json"))

    def _usage(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        self.seen_at(at_of(row.get("created_timestamp")))
        usage = usage_of(row)
        known = self.memory.get("used", [0, 0, 0])
        self.memory["used"] = [known[0] + usage.input_tokens, known[1] + usage.output_tokens, known[2] + usage.cost_microusd]
        data = {"is_compaction": bool(row.get("is_compaction")), "cost_source": text_or_none(row.get("cost_source"))}
        return [self.event(line, "usage", data, usage=usage)]

    def _session(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        """The session's name, folder, model and totals, as they are at last."""
        at = at_of(row.get("updated_at")) or self.at_us
        fields = {
            "cwd": row.get("working_dir"),
            "provider": row.get("provider_name"),
            "model": object_of(row.get("model_config_json")).get("model_name"),
        }
        out = [self.event(line, "session.updated", {"metadata": metadata_of(fields)}, at=at, usage=self._rest(row))]
        state = object_of(row.get("extension_data"))
        if state:
            out.append(self.own("state.set", {"values": {"extension_data": state}}, at=at))
        title = text_or_none(row.get("name")) or text_or_none(row.get("description"))
        if title is not None and len(title) < 1000:
            self.titled = True
            out.append(self.own("title", {"title": title}, at=at, visibility="ui"))
        return out

    def _rest(self, row: Row) -> Usage:
        """What the totals have beyond the ledger, which older sessions have not."""
        known = self.memory.get("used", [0, 0, 0])
        totals = [count_of(row.get(f"accumulated_{name}")) or count_of(row.get(name)) for name in ("input_tokens", "output_tokens")]
        cost = cost_of(row.get("accumulated_cost"))
        rest = [max(0, total - used) for total, used in zip([*totals, cost], known, strict=True)]
        return Usage(rest[0], rest[1], cost_microusd=rest[2]) if any(rest) else NO_USAGE

    # ---- messages ------------------------------------------------------------------------------------------------------------------------

    def _said(self, line: Line, row: Row, content: Any, metadata: Any) -> list[Projected]:
        self.seen_at(at_of(row.get("created_timestamp")))
        name = name_of(row.get("message_id") or row.get("id"))
        envelope: dict[str, Any] = {"meta": {"uuid": name} if name else {}}
        if not isinstance(content, list) or row.get("role") not in ("user", "assistant"):
            problem = "the content is no JSON array" if not isinstance(content, list) else None
            return [self.unread(line, "messages", problem, **envelope)]
        marks = object_of(metadata)
        visibility = _VISIBLE[marks.get("userVisible") is not False, marks.get("agentVisible") is not False]
        kinds = {text_of(object_of(block).get("type")) for block in content}
        if kinds and kinds <= NOTICES:
            visibility = "ui"
        parts: Parts = []
        message = Message(text_of(row.get("role")), [_part(block, parts) for block in content], native_id=name)
        if any(type(part) is ToolResultPart for part in message.parts):
            message.role = "tool"
        if visibility == "model" and message.text and message.role == "user" and not self.memory.get("compacted"):
            self.memory["compacted"] = True
            data = {"summary": message.text, "first_seq": 1, "last_seq": max(1, self.next_seq - 1)}
            return [self.event(line, "compaction", data, visibility="both", **envelope)]
        if visibility == "both":
            self.memory["compacted"] = False
        typed = message.role == "user" and visibility in {"both", "ui"} and bool(kinds & {"text", "image"})
        return [self.message(line, message, parts=parts, visibility=visibility, turn_count=1 if typed else 0, **envelope)]


def usage_of(row: Row) -> Usage:
    """Return a ledger's row: Goose counts cached tokens as input."""
    read_in, out = count_of(row.get("input_tokens")), count_of(row.get("output_tokens"))
    cached, written, cost = count_of(row.get("cache_read_tokens")), count_of(row.get("cache_write_tokens")), cost_of(row.get("cost"))
    if not any((read_in, out, cached, written, cost)):
        return NO_USAGE
    return Usage(read_in, out, cached, written, cost_microusd=cost, model=text_of(row.get("model")))


def _part(block: Any, out: Parts) -> Part:
    fields = object_of(block)
    kind, text = text_of(fields.get("type")), fields.get("text")
    if kind == "text" and isinstance(text, str):
        return TextPart(text)
    if kind == "image" and isinstance(fields.get("data"), str):
        return BlobPart("image", text_or_none(fields.get("mimeType")), fields["data"])
    if kind in {"thinking", "reasoning"}:
        return ReasoningPart(text_of(fields.get("thinking")) or text_of(text), signature=text_or_none(fields.get("signature")))
    if kind == "redactedThinking":
        return ReasoningPart("", encrypted=text_or_none(fields.get("data")), redacted=True)
    if kind in {"toolRequest", "frontendToolRequest"}:
        return _call(fields)
    if kind == "toolResponse":
        return _result(fields, out)
    if kind == "systemNotification" and isinstance(fields.get("msg"), str):
        return TextPart(fields["msg"], ext={"notification": fields.get("notificationType")})
    return OpaquePart(block)


def _call(fields: Row) -> Part:
    call = object_of(fields.get("toolCall"))
    value = object_of(call.get("value"))
    signature = text_or_none(fields.get("thoughtSignature"))
    ext: Row = {"thought_signature": signature} if signature else {}
    if "error" in call:
        ext["error"] = call["error"]
    name, status = text_of(value.get("name")), text_or_none(call.get("status"))
    return ToolCallPart(text_of(fields.get("id")), name, value.get("arguments"), status=status, ext=ext)


def _result(fields: Row, out: Parts) -> Part:
    """Return a tool's answer: its error, or the contents that MCP gives, a single text as text."""
    result = object_of(fields.get("toolResult"))
    value = result.get("value")
    whole = object_of(value)
    failed = result.get("status") == "error" or whole.get("isError") is True
    if "error" in result:
        return ToolResultPart(text_of(fields.get("id")), result["error"], is_error=True)
    contents = list_of(whole.get("content")) if whole else list_of(value)
    holder = Message("tool", [_part(block, out) for block in contents])
    out += take_out(holder)
    response: Any = msgspec.to_builtins(holder.parts)
    if len(holder.parts) == 1 and type(holder.parts[0]) is TextPart:
        response = holder.parts[0].content
    return ToolResultPart(text_of(fields.get("id")), response, True if failed else None, detail=whole.get("structuredContent"))
