"""Pi's session files: ``~/.pi/agent/sessions/--<folder>--/<time>_<session>.jsonl``.

The first line is the session's; every other one is an entry ``{type, id, parentId, timestamp, …}`` of a tree whose leaf is the last line.
The tree is laid along the log as Claude Code's is (``formats.tree``). Entries of the first version have no ids: they are one line of
conversation. A command that the person ran is a call with its answer.

Source: Pi's description of its session format (MIT), versions 1 to 3, and the corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from turnfold.formats.base import Find, Line, Projected, SourceInfo
from turnfold.formats.documents import head_value
from turnfold.formats.fields import (
    cost_of,
    count_of,
    exit_code_of,
    metadata_of,
    name_of,
    object_of,
    some,
    stem_of,
    text_of,
    text_or_none,
)
from turnfold.formats.lines import DETAIL_LINE_BYTES_MAX, decode_line, opaque, parse_at
from turnfold.formats.media import Parts, content_of, modality_of, response_of
from turnfold.formats.places import oldest_first, root_of
from turnfold.formats.rows import Native, RowReader, native, said, told
from turnfold.formats.tree import Fork, Kind, Link, Tree
from turnfold.model.event import MAIN
from turnfold.model.message import Message
from turnfold.model.parts import BlobPart, OpaquePart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from turnfold.model.usage import Usage

NAME = "pi"
KEPT_MAX = 500
"""Messages of late that a compaction is remembered to keep."""
_FINISH_REASONS = {"stop": "stop", "length": "length", "toolUse": "tool_call", "error": "error"}
_NATIVE: Native = {
    "session": ("settings", "none"),
    "model_change": ("settings", "none"),
    "thinking_level_change": ("settings", "none"),
    "label": ("context", "ui"),
    "custom": ("context", "none"),
    "context_transform": ("context", "none"),
    "ephemeral": ("context", "none"),
}
_STEPS = frozenset({"user", "assistant", "bashExecution", "branchSummary", "compactionSummary"})


class PiFormat:
    """See ``formats.base.Format``."""

    name = NAME

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for the session's line at the beginning."""
        value = object_of(head_value(head))
        known = value.get("type") == "session" and isinstance(value.get("id"), str) and isinstance(value.get("timestamp"), str)
        return 0.95 if known and isinstance(value.get("cwd"), str) else 0.0

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the session's line."""
        header: dict[str, Any] = {}
        for data in head:
            header = object_of(decode_line(data)[0])
            break
        if header.get("type") != "session":
            header = {}
        parent = text_of(header.get("parentSession")) or text_of(header.get("branchedFrom"))
        origin = name_of(_id_from(Path(parent))) if parent else None
        return SourceInfo(
            native_id=name_of(header.get("id")) or name_of(_id_from(path)) or NAME,
            agent=NAME,
            created_us=parse_at(header.get("timestamp")),
            parent={"session_id": origin, "relation": "fork"} if origin else None,
            metadata=metadata_of({"cwd": header.get("cwd"), "model": header.get("modelId")}),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> PiReader:
        """Return a reader of one file."""
        return PiReader(state, find)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield the sessions of ``$PI_CODING_AGENT_DIR`` or ``~/.pi/agent``, oldest first."""
        yield from oldest_first(
            path for folder in self.folders(home, environ) for name in ("*/*.jsonl", "*.jsonl") for path in folder.glob(name)
        )

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return the folder of sessions."""
        root = root_of(environ, "PI_CODING_AGENT_DIR", home / ".pi" / "agent")
        return [root / "sessions"]

    def companions(self, path: Path) -> list[Path]:
        """One session is one file."""
        return []

    def export_name(self, session_id: str) -> str:
        """``<session>.jsonl``: Pi lists every file of a project's folder."""
        return f"{stem_of(session_id)}.jsonl"


def _id_from(path: Path) -> str:
    """The id in a file's name, behind the time."""
    return path.stem.rpartition("_")[2] or path.stem


class PiReader(RowReader):
    """Reader of one file."""

    def __init__(self, state: dict[str, Any] | None, find: Find) -> None:
        """Begin at the file's start, or go on from ``state``."""
        super().__init__(state)
        state = state or {}
        self._tree = Tree(state.get("tree", {}), find)
        self._switched: str = state.get("switched", MAIN)
        self._recent: list[int] = list(state.get("recent", ()))
        self._makers = {
            "user": self._user,
            "assistant": self._assistant,
            "toolResult": self._result,
            "bashExecution": self._bash,
            "custom": self._custom,
            "hookMessage": self._custom,
            "branchSummary": self._summary,
            "compactionSummary": self._summary,
        }

    def state(self) -> dict[str, Any]:
        """What a later reader needs to go on."""
        return super().state() | {"tree": self._tree.state(), "switched": self._switched, "recent": self._recent}

    def finish(self, next_seq: int) -> list[Projected]:
        """Switch to the branch of the leaf, and give a title that no line gave."""
        out: list[Projected] = []
        if self._tree.current != self._switched:
            data = {"name": self._tree.current, "previous": self._switched}
            self._switched = self._tree.current
            out.append(told(None, "branch.switched", data, at=self.at_us, branch=self._tree.current, visibility="none"))
        titles = super().finish(next_seq + len(out))
        return [*out, *titles]

    def project(self, line: Line, value: dict[str, Any], seq: int) -> list[Projected]:
        """Return the events of an entry; the branch that begins with it comes before it."""
        kind, item = text_of(value.get("type")), object_of(value.get("message"))
        self.seen_at(parse_at(value.get("timestamp")))
        uuid = None if kind == "session" else name_of(value.get("id"))
        made = self._made(line, value, item, seq)  # before the tree is told, so that a line that cannot be said is not in it
        branch, fork = self._tree.current, None
        if uuid is not None:
            parent = value.get("parentId", "")
            link = Link(uuid, None if parent is None else name_of(parent) or "", _kind(kind, item))
            branch, fork = self._tree.attach(link, seq)
        meta = some({"uuid": uuid}) or None
        before = [] if fork is None else [self._fork(fork)]
        events = [_placed(projected, branch=branch, meta=meta, parent_id=name_of(value.get("parentId"))) for projected in made]
        if events[0].event.message_count:
            self._recent = [*self._recent[1 - KEPT_MAX :], seq + len(before)]
        return [*before, *events]

    def _made(self, line: Line, value: dict[str, Any], item: dict[str, Any], seq: int) -> list[Projected]:
        kind = text_of(value.get("type"))
        if kind == "message":
            make = self._makers.get(text_of(item.get("role")))
            return [opaque(line, self.at_us, f"message/{text_of(item.get('role'))}")] if make is None else make(line, item, value)
        if kind == "custom_message":
            return self._custom(line, value, value)
        if kind == "branch_summary":
            return self._summary(line, value, value)
        if kind == "compaction":
            return [self._compaction(line, value, seq)]
        name = text_of(value.get("name")).strip()
        if kind == "session_info" and name:
            return [self.title(line, name)]
        known = ("context", "none") if kind == "session_info" else _NATIVE.get(kind)
        if known is None:
            return [opaque(line, self.at_us, kind or None)]
        return [native(line, known[0], kind, value, at=self.at_us, visibility="ui" if known[1] == "ui" else "none")]

    def _fork(self, fork: Fork) -> Projected:
        data = {"name": fork.name, "parent": fork.parent, "fork_seq": fork.fork_seq}
        return told(None, "branch.created", data, at=self.at_us, branch=fork.parent, visibility="none")

    # ---- messages --------------------------------------------------------------------------------------------------------------------

    def _user(self, line: Line, item: dict[str, Any], _entry: dict[str, Any]) -> list[Projected]:
        message = Message("user", _content(item.get("content")))
        self.typed(message)
        return [said(line, message, at=self.at_us, turn_count=1)]

    def _assistant(self, line: Line, item: dict[str, Any], _entry: dict[str, Any]) -> list[Projected]:
        provider, model = text_or_none(item.get("provider")), text_or_none(item.get("responseModel")) or text_or_none(item.get("model"))
        parts = _content(item.get("content"))
        for part in parts:
            if type(part) is ReasoningPart:
                part.provider, part.model = provider, model
        reason = text_or_none(item.get("stopReason"))
        message = Message("assistant", parts, model=model, provider=provider, response_id=text_or_none(item.get("responseId")))
        message.finish_reason, message.native_finish_reason = _FINISH_REASONS.get(reason or ""), reason
        message.ext = some({"error": text_or_none(item.get("errorMessage"))})
        return [said(line, message, at=self.at_us, usage=_usage(item.get("usage"), model or ""))]

    def _result(self, line: Line, item: dict[str, Any], _entry: dict[str, Any]) -> list[Projected]:
        out: Parts = []
        part = ToolResultPart(text_of(item.get("toolCallId")), response_of(_content(item.get("content")), out))
        if isinstance(item.get("isError"), bool):
            part.is_error = item["isError"]
        if item.get("details") is not None and len(line.data) <= DETAIL_LINE_BYTES_MAX:
            part.detail = item["details"]
        return [said(line, Message("tool", [part]), out, at=self.at_us)]

    def _bash(self, line: Line, item: dict[str, Any], entry: dict[str, Any]) -> list[Projected]:
        """A command of the person's (``!command``): a call that the model did not make, and its answer."""
        native_id = name_of(entry.get("id")) or f"bash-{line.offset}"
        arguments = {"command": text_of(item.get("command"))}
        call = ToolCallPart(native_id, "bash", arguments, caller={"type": "user"})
        answer = ToolResultPart(native_id, text_of(item.get("output")), exit_code=exit_code_of(item.get("exitCode")))
        answer.is_error = bool(answer.exit_code) if answer.exit_code is not None else None
        answer.ext = some({name: item.get(name) for name in ("cancelled", "truncated", "fullOutputPath")})
        seen_by = "ui" if item.get("excludeFromContext") is True else "both"
        fields: dict[str, Any] = {"at": self.at_us, "visibility": seen_by, "message_id": native_id}
        return [
            said(line, Message("assistant", [call], synthetic=True), **fields),
            said(None, Message("tool", [answer], synthetic=True), **fields),
        ]

    def _custom(self, line: Line, item: dict[str, Any], _entry: dict[str, Any]) -> list[Projected]:
        """What an extension says to the model."""
        message = Message("user", _content(item.get("content")), synthetic=True, ext=some({"custom_type": item.get("customType")}))
        return [said(line, message, at=self.at_us, visibility="model" if item.get("display") is False else "both")]

    def _summary(self, line: Line, item: dict[str, Any], _entry: dict[str, Any]) -> list[Projected]:
        """What a branch that was left, or the conversation before, was about."""
        summary = text_of(item.get("summary"))
        message = Message("user", [TextPart(summary)] if summary else [], synthetic=True, ext=some({"summary_of": item.get("fromId")}))
        return [said(line, message, at=self.at_us, visibility="model")]

    def _compaction(self, line: Line, entry: dict[str, Any], seq: int) -> Projected:
        """The summary stands for all before the first entry that is kept."""
        first = name_of(entry.get("firstKeptEntryId"))
        kept = self._tree.seq_of(first) if first is not None else None
        fields = {
            "summary": text_or_none(entry.get("summary")),
            "first_seq": 1,
            "last_seq": max(seq - 1, 1),
            "keeps": None if kept is None else [at for at in self._recent if at >= kept] or None,
            "pre_tokens": count_of(entry.get("tokensBefore")) or None,
        }
        return told(line, "compaction", some(fields), at=self.at_us)


def _placed(projected: Projected, **fields: Any) -> Projected:
    return msgspec.structs.replace(projected, event=msgspec.structs.replace(projected.event, **fields))


def _kind(kind: str, item: dict[str, Any]) -> Kind:
    """What an entry is to the tree."""
    if (kind == "message" and text_of(item.get("role")) in _STEPS) or kind in {"compaction", "branch_summary"}:
        return Kind.STEP
    return Kind.NOTE if kind == "custom_message" or text_of(item.get("role")) in {"custom", "hookMessage"} else Kind.PART


def _usage(value: Any, model: str) -> Usage:
    """Return a native usage: its input leaves out what was read from the cache or written to it."""
    fields = object_of(value)
    read, written = count_of(fields.get("cacheRead")), count_of(fields.get("cacheWrite"))
    total = count_of(fields.get("input")) + read + written
    reasoning = count_of(fields.get("reasoning"))
    cost = cost_of(object_of(fields.get("cost")).get("total"))
    return Usage(total, count_of(fields.get("output")), read, written, reasoning, cost, model)


def _content(content: Any) -> list[Part]:
    return content_of(content, _block)


def _block(block: Any) -> Part:
    fields = object_of(block)
    kind = fields.get("type")
    if kind == "text" and isinstance(fields.get("text"), str):
        return TextPart(fields["text"], ext=some({"signature": text_or_none(fields.get("textSignature"))}))
    if kind == "thinking" and isinstance(fields.get("thinking"), str):
        sealed, redacted = text_or_none(fields.get("thinkingSignature")), fields.get("redacted") is True
        if redacted:
            return ReasoningPart(fields["thinking"], encrypted=sealed, redacted=True)
        return ReasoningPart(fields["thinking"], signature=sealed)
    if kind == "toolCall" and isinstance(fields.get("id"), str) and isinstance(fields.get("name"), str):
        part = ToolCallPart(fields["id"], fields["name"], fields.get("arguments"))
        part.ext = some({"signature": text_or_none(fields.get("thoughtSignature"))})
        return part
    if kind == "image" and isinstance(fields.get("data"), str):
        mime_type = text_or_none(fields.get("mimeType"))
        return BlobPart(modality_of(mime_type) if mime_type else "image", mime_type, fields["data"])
    return OpaquePart(block)
