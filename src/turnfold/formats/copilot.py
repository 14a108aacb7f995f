"""GitHub Copilot CLI's session files: ``~/.copilot/session-state/<session>/events.jsonl``.

A line is ``{type, data, id, timestamp, parentId}``; ``parentId`` is the event before, so the file is one line of events. A subagent's events
stand among the others with the id of the tool call that started it; they become a branch of their own, as the main model never saw them.
Input tokens are known only when a process of the CLI ends (``session.shutdown``); until then a message tells its output tokens.

Source: the event types that the Copilot SDK publishes, and the corpus.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from turnfold.codec.parts import take_out
from turnfold.formats.base import Find, Line, Projected, SourceInfo
from turnfold.formats.documents import head_value
from turnfold.formats.fields import (
    arguments_of,
    count_of,
    list_of,
    metadata_of,
    name_of,
    object_of,
    some,
    stem_of,
    text_of,
    text_or_none,
)
from turnfold.formats.lines import decode_line, opaque, parse_at
from turnfold.formats.media import Parts, modality_of, response_of
from turnfold.formats.places import oldest_first
from turnfold.formats.rows import DETAIL_LINE_BYTES_MAX, Native, RowReader, native, said, told
from turnfold.model.event import MAIN
from turnfold.model.message import Message
from turnfold.model.parts import BlobPart, OpaquePart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart, UriPart
from turnfold.model.usage import NO_USAGE, Usage

NAME = "copilot"
DESCRIBE_LINES_MAX = 20
SIDES_MAX = 200
"""Subagents whose branches are told apart."""
OPEN_MESSAGES_MAX = 16
"""Messages whose further pieces are recognised."""
_side_name = re.compile(r"[^A-Za-z0-9]")
_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp"})
_TYPE = re.compile(r"(session|user|assistant|tool|tool_search|hook|system|subagent|skill|permission|external_tool)\.[\w.]+|abort", re.ASCII)
_NATIVE: Native = {
    "session.start": ("settings", "none"),
    "session.resume": ("settings", "none"),
    "session.model_change": ("settings", "none"),
    "session.mode_changed": ("settings", "none"),
    "session.context_changed": ("settings", "none"),
    "session.permissions_changed": ("settings", "none"),
    "session.session_limits_changed": ("settings", "none"),
    "session.remote_steerable_changed": ("settings", "none"),
    "session.auto_mode_resolved": ("settings", "none"),
    "subagent.configured": ("settings", "none"),
    "subagent.selected": ("settings", "none"),
    "subagent.deselected": ("settings", "none"),
    "session.info": ("context", "ui"),
    "session.warning": ("context", "ui"),
    "session.handoff": ("context", "ui"),
    "session.task_complete": ("context", "ui"),
    "session.completion_receipt": ("context", "ui"),
    "session.plan_changed": ("context", "ui"),
    "session.compaction_start": ("context", "none"),
    "session.truncation": ("context", "none"),
    "session.mode_notice_delivered": ("context", "none"),
    "skill.invoked": ("context", "ui"),
    "subagent.started": ("context", "ui"),
    "subagent.completed": ("context", "ui"),
    "subagent.failed": ("context", "ui"),
    "permission.requested": ("context", "ui"),
    "permission.completed": ("context", "ui"),
    "tool_search.activated": ("context", "none"),
    "session.workspace_file_changed": ("snapshot", "none"),
    "session.usage_checkpoint": ("usage", "none"),
    "session.error": ("run.error", "ui"),
    "abort": ("run.aborted", "ui"),
    "assistant.turn_start": ("run.started", "none"),
    "assistant.turn_end": ("run.completed", "none"),
    "hook.start": ("hook", "none"),
    "hook.end": ("hook", "none"),
    "tool.execution_start": ("tool.progress", "ui"),
    "external_tool.requested": ("tool.progress", "ui"),
    "external_tool.completed": ("tool.progress", "ui"),
}


class CopilotFormat:
    """See ``formats.base.Format``."""

    name = NAME

    def sniff(self, path: Path, head: bytes) -> float:
        """Look at the first line's envelope."""
        value = object_of(head_value(head))
        kind = text_of(value.get("type"))
        if not isinstance(value.get("data"), dict) or "id" not in value or "parentId" not in value:
            return 0.0
        if kind == "session.start":
            return 1.0 if "sessionId" in value["data"] else 0.8
        return 0.8 if _TYPE.fullmatch(kind) and isinstance(value.get("timestamp"), str) else 0.0

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the first ``session.start``; without one the folder's name is the session's."""
        start: dict[str, Any] = {}
        created: int | None = None
        for data in islice(head, DESCRIBE_LINES_MAX):
            fields = object_of(decode_line(data)[0])
            created = created or parse_at(fields.get("timestamp"))
            if fields.get("type") == "session.start":
                start = object_of(fields.get("data"))
                break
        place = object_of(start.get("context"))
        facts = {
            "cwd": place.get("cwd"),
            "git_branch": place.get("branch"),
            "git_commit": place.get("headCommit"),
            "repository": place.get("repository"),
            "model": start.get("selectedModel"),
            "version": start.get("copilotVersion"),
        }
        return SourceInfo(
            native_id=name_of(start.get("sessionId")) or _id_from(path),
            agent=NAME,
            version=text_or_none(start.get("copilotVersion")),
            created_us=parse_at(start.get("startTime")) or created,
            metadata=metadata_of(facts),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> CopilotReader:
        """Return a reader; nothing is ever looked up."""
        return CopilotReader(state)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield the sessions of ``$COPILOT_HOME`` or ``~/.copilot``, and those of old (one file per session), oldest first."""
        yield from oldest_first(
            path for folder in self.folders(home, environ) for name in ("*/events.jsonl", "*.jsonl") for path in folder.glob(name)
        )

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return the folder of sessions."""
        root = Path(environ["COPILOT_HOME"]) if environ.get("COPILOT_HOME") else home / ".copilot"
        return [root / "session-state"]

    def companions(self, path: Path) -> list[Path]:
        """One session is one file."""
        return []

    def export_name(self, session_id: str) -> str:
        """``<session>/events.jsonl``, as under ``session-state``."""
        return f"{stem_of(session_id)}/events.jsonl"


class CopilotReader(RowReader):
    """Reader of one file."""

    def __init__(self, state: dict[str, Any] | None) -> None:
        """Begin at the file's start, or go on from ``state``."""
        super().__init__(state)
        state = state or {}
        self._model: str = state.get("model", "")
        self._sides: dict[str, str] = dict(state.get("sides", {}))
        self._open: list[str] = list(state.get("open", ()))
        self._thought: str = state.get("thought", "")
        self._meter = _Meter(state.get("meter", {}))
        self._special = {
            "system.message": self._system,
            "system.notification": self._notification,
            "user.message": self._user,
            "assistant.message": self._assistant,
            "assistant.reasoning": self._reasoning,
            "tool.user_requested": self._user_call,
            "tool.execution_complete": self._result,
            "session.compaction_complete": self._compaction,
            "session.context_cleared": self._cleared,
            "session.binary_asset": self._asset,
            "session.shutdown": self._shutdown,
        }

    def state(self) -> dict[str, Any]:
        """What a later reader needs to go on."""
        return super().state() | {
            "model": self._model,
            "sides": self._sides,
            "open": self._open,
            "thought": self._thought,
            "meter": self._meter.state(),
        }

    def project(self, line: Line, value: dict[str, Any], seq: int) -> list[Projected]:
        """Return the events of a line; a subagent's first one has the branch that begins with it before it."""
        kind, data = text_of(value.get("type")), value.get("data")
        self.seen_at(parse_at(value.get("timestamp")))
        if not isinstance(data, dict):
            return [opaque(line, self.at_us, kind or None)]
        side = name_of(data.get("parentToolCallId")) or name_of(value.get("agentId"))
        branch, before = self._branch(side)
        meta = some({"uuid": name_of(value.get("id")), "sidechain": True if side else None})
        run = name_of(data.get("interactionId")) or name_of(data.get("turnId"))
        fields = {
            "at": self.at_us,
            "branch": branch,
            "run_id": run,
            "actor": name_of(value.get("agentId")),
            "parent_id": name_of(value.get("parentId")),
            "meta": meta,
        }
        special = self._special.get(kind)
        if special is not None:
            return [*before, *special(line, data, fields, seq + len(before))]
        known = _NATIVE.get(kind)
        if known is None:
            return [*before, opaque(line, self.at_us, kind or None)]
        if kind in {"session.start", "session.resume", "session.model_change"}:
            self._model = text_of(data.get("newModel")) or text_of(data.get("selectedModel")) or self._model
        return [*before, native(line, known[0], kind, data, visibility=known[1], **fields)]

    def _branch(self, side: str | None) -> tuple[str, list[Projected]]:
        """Return the branch of a subagent's event, and the event that creates it where there is none yet."""
        if side is None:
            return "", []
        branch = self._sides.get(side)
        if branch is not None:
            return branch, []
        if len(self._sides) >= SIDES_MAX:
            return next(reversed(self._sides.values())), []
        branch = f"sidechain-{len(self._sides) + 1}-{_side_name.sub('', side)[-8:]}"
        self._sides[side] = branch
        data = {"name": branch, "parent": MAIN, "fork_seq": 0, "reason": "sidechain"}
        return branch, [told(None, "branch.created", data, at=self.at_us, visibility="none")]

    # ---- messages --------------------------------------------------------------------------------------------------------------------

    def _system(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        """The main agent's instructions are the session's; a subagent's are a message of its branch."""
        role, content = text_of(data.get("role")), data.get("content")
        if role != "developer" and isinstance(content, str) and not fields["branch"]:
            return [told(line, "session.updated", {"system_prompt": content}, visibility="none", **fields)]
        message = Message(role if role == "developer" else "system", _texts(content), name_of(data.get("name")))
        return [said(line, message, visibility="model", **fields)]

    def _notification(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        """What the CLI tells the model by itself, e.g. that a subagent is done."""
        message = Message("user", _texts(data.get("content")), synthetic=True, ext=some({"kind": data.get("kind")}))
        return [said(line, message, visibility="model", **fields)]

    def _user(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        message = Message("user", _texts(data.get("content")))
        message.parts += [_attachment(item) for item in list_of(data.get("attachments"))]
        source = data.get("source")
        typed = source in (None, "", "user") and data.get("isAutopilotContinuation") is not True and not fields["branch"]
        if not typed:
            message.ext = some({"source": source, "autopilot": data.get("isAutopilotContinuation")})
        else:
            self.typed(message)
        return [said(line, message, visibility="both" if typed else "model", turn_count=int(typed), **fields)]

    def _assistant(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        native_id = name_of(data.get("messageId"))
        model = text_or_none(data.get("model")) or self._model or None
        parts: list[Part] = [*self._thinking(data, model), *_texts(data.get("content"))]
        parts += [_call(item) for item in list_of(data.get("toolRequests"))]
        if data.get("serverTools") is not None:
            parts.append(OpaquePart({"serverTools": data["serverTools"]}))
        message = Message("assistant", parts, model=model, phase=text_or_none(data.get("phase")), native_id=native_id)
        message.response_id = text_or_none(data.get("apiCallId"))
        message.request_id = text_or_none(data.get("requestId"))
        usage = self._meter.message(model or "", count_of(data.get("outputTokens")))
        first = native_id is None or native_id not in self._open
        if first and native_id is not None:
            self._open = [*self._open[1 - OPEN_MESSAGES_MAX :], native_id]
        return [said(line, message, message_id=native_id, message_count=int(first), usage=usage, **fields)]

    def _thinking(self, data: dict[str, Any], model: str | None) -> list[Part]:
        """Return the message's reasoning; text that an event of its own gave already is not said again."""
        text, sealed = (
            text_of(data.get("reasoningText")),
            text_or_none(data.get("reasoningOpaque")) or text_or_none(data.get("encryptedContent")),
        )
        blocks = object_of(data.get("reasoningBlocks"))
        if text and text == self._thought:
            text = ""
        self._thought = ""
        if not (text or sealed or blocks):
            return []
        provider = text_or_none(blocks.get("provider")) or _provider(model)
        return [ReasoningPart(text, encrypted=sealed, provider=provider, model=model, ext=some({"blocks": blocks.get("blocks")}))]

    def _reasoning(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        """A thought in an event of its own: the message after it may repeat it."""
        self._thought = text_of(data.get("content"))
        part = ReasoningPart(self._thought, provider=_provider(self._model), id=text_or_none(data.get("reasoningId")))
        return [said(line, Message("assistant", [part], model=self._model or None), **fields)]

    def _user_call(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        """A tool that the person ran (``!command``); its answer comes as that of any other."""
        part = ToolCallPart(text_of(data.get("toolCallId")), text_of(data.get("toolName")), data.get("arguments"), caller={"type": "user"})
        return [said(line, Message("assistant", [part], synthetic=True), **fields)]

    def _result(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        result, error = object_of(data.get("result")), object_of(data.get("error"))
        out: Parts = []
        content = result.get("content") if isinstance(result.get("content"), str) else text_of(error.get("message"))
        parts: list[Part] = [TextPart(content)] if content else []
        parts += [_binary(item) for item in list_of(result.get("binaryResultsForLlm"))]
        part = ToolResultPart(text_of(data.get("toolCallId")), response_of(parts, out), exit_code=_exit_code(data, result))
        if isinstance(data.get("success"), bool):
            part.is_error = not data["success"]
        detail = some(
            {name: item for name, item in result.items() if name not in {"content", "binaryResultsForLlm"}} | {"error": error or None}
        )
        if detail and len(line.data) <= DETAIL_LINE_BYTES_MAX:
            part.detail = detail
        return [said(line, Message("tool", [part]), out, **fields)]

    # ---- everything else -------------------------------------------------------------------------------------------------------------

    def _compaction(self, line: Line, data: dict[str, Any], fields: dict[str, Any], seq: int) -> list[Projected]:
        if data.get("success") is not True:
            return [native(line, "context", "session.compaction_complete", data, visibility="ui", **fields)]
        said_of = {
            "summary": text_or_none(data.get("summaryContent")),
            "trigger": text_or_none(data.get("trigger")),
            "first_seq": 1,
            "last_seq": max(seq - 1, 1),
            "pre_tokens": count_of(data.get("preCompactionTokens")) or None,
            "post_tokens": count_of(data.get("postCompactionTokens")) or None,
        }
        return [told(line, "compaction", some(said_of), **fields)]

    def _cleared(self, line: Line, data: dict[str, Any], fields: dict[str, Any], seq: int) -> list[Projected]:
        """The person emptied the context: nothing before this goes to the model again."""
        summary = text_or_none(data.get("initialMessage"))
        return [
            told(line, "compaction", some({"summary": summary, "trigger": "clear", "first_seq": 1, "last_seq": max(seq - 1, 1)}), **fields)
        ]

    def _asset(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        """Media that messages refer to by ``assetId``."""
        message = Message("user", [_binary(data)], synthetic=True, ext=some({"asset_id": name_of(data.get("assetId"))}))
        out = take_out(message)
        return [told(line, "context", msgspec.to_builtins(message), out, visibility="ui", **fields)]

    def _shutdown(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        """The end of a process: what each model used in it."""
        used = self._meter.shutdown(object_of(data.get("modelMetrics")))
        first = native(line, "usage", "session.shutdown", data, visibility="none", usage=used[0] if used else NO_USAGE, **fields)
        more = [
            told(None, "usage", {"kind": "session.shutdown", "model": usage.model}, visibility="none", usage=usage, **fields)
            for usage in used[1:]
        ]
        return [first, *more]


class _Meter:
    """What each model used: messages tell their output as it comes, the end of a process tells all of it once more."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._told: dict[str, int] = dict(state.get("told", {}))
        self._totals: dict[str, list[int]] = dict(state.get("totals", {}))

    def state(self) -> dict[str, Any]:
        return {"told": self._told, "totals": self._totals}

    def message(self, model: str, output: int) -> Usage:
        """Return what a message adds."""
        if not output:
            return NO_USAGE
        self._told[model] = self._told.get(model, 0) + output
        return Usage(output_tokens=output, model=model)

    def shutdown(self, metrics: dict[str, Any]) -> list[Usage]:
        """Return what is new in the totals of a process that ended, by model.

        A resumed session's totals may begin anew or go on; those that go on hold the last totals and everything told since.
        """
        out: list[Usage] = []
        for model, numbers in metrics.items():
            total = _numbers(object_of(object_of(numbers).get("usage")))
            before, told_since = self._totals.get(model, [0] * 5), self._told.get(model, 0)
            step = [now - then for now, then in zip(total, before, strict=True)]
            if min(step) < 0 or step[1] < told_since:
                step = total
            self._totals[model], self._told[model] = total, 0
            step[1] = max(step[1] - told_since, 0)
            usage = Usage(step[0], step[1], step[2], step[3], step[4], model=model)
            if usage:
                out.append(usage)
        return out


def _numbers(native_usage: dict[str, Any]) -> list[int]:
    """Return input, output, cache read, cache written and reasoning; input holds the cached tokens, whoever the provider is."""
    read, written = count_of(native_usage.get("cacheReadTokens")), count_of(native_usage.get("cacheWriteTokens"))
    total = count_of(native_usage.get("inputTokens"))
    if total < read + written:
        total += read + written
    return [total, count_of(native_usage.get("outputTokens")), read, written, count_of(native_usage.get("reasoningTokens"))]


def _texts(content: Any) -> list[Part]:
    return [TextPart(content)] if isinstance(content, str) and content else []


def _provider(model: str | None) -> str | None:
    """Who may read a model's sealed reasoning; Copilot does not say it itself."""
    return next((provider for begin, provider in _PROVIDERS.items() if (model or "").startswith(begin)), None)


_PROVIDERS = {"gpt": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "claude": "anthropic", "gemini": "google"}


def _call(item: Any) -> Part:
    fields = object_of(item)
    if not isinstance(fields.get("toolCallId"), str) or not isinstance(fields.get("name"), str):
        return OpaquePart(item)
    arguments, raw = arguments_of(fields.get("arguments"))
    kind = "text" if fields.get("type") == "custom" and arguments is None else "json"
    if kind == "text":
        arguments, raw = fields.get("arguments"), None
    part = ToolCallPart(fields["toolCallId"], fields["name"], arguments, text_or_none(fields.get("mcpServerName")), raw, kind)
    part.caller = fields.get("caller")
    part.ext = some({"intention": text_or_none(fields.get("intentionSummary"))})
    return part


def _attachment(item: Any) -> Part:
    """Return a file as its path, media as they are, and anything else (a selection, something on GitHub) in its own form."""
    fields = object_of(item)
    kind, path = fields.get("type"), fields.get("path")
    if kind == "blob":
        return _binary(item)
    if kind != "file" or not isinstance(path, str):
        return OpaquePart(item)
    modality = modality_of(fields.get("mimeType"))
    if modality == "document" and Path(path).suffix.lower() in _IMAGES:
        modality = "image"
    rest = {name: fields.get(name) for name in ("displayName", "lineRange", "assetId")}
    return UriPart(modality, path, text_or_none(fields.get("mimeType")), ext=some(rest))


def _binary(item: Any) -> Part:
    fields = object_of(item)
    mime_type = text_or_none(fields.get("mimeType"))
    if isinstance(fields.get("data"), str) and fields["data"]:
        name = text_or_none(fields.get("displayName"))
        return BlobPart(modality_of(mime_type), mime_type, fields["data"], filename=name)
    if isinstance(fields.get("assetId"), str):
        return UriPart(modality_of(mime_type), f"asset:{fields['assetId']}", mime_type)
    return OpaquePart(item)


def _exit_code(data: dict[str, Any], result: dict[str, Any]) -> int | None:
    for fields in (data.get("shellExecution"), *list_of(result.get("contents"))):
        code = object_of(fields).get("exitCode")
        if type(code) is int and abs(code) < 1 << 53:
            return code
    return None


def _id_from(path: Path) -> str:
    own = path.parent.name if path.name == "events.jsonl" else path.stem
    return name_of(own) or NAME
