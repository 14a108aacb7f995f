"""What readers of document formats share: a line is one JSON object with a ``kind``, and each kind has a handler.

A document's lines are our own wrapping of native records: ``{"kind": "message", …, "record": <the native record whole>}``. Here are the
reading of native JSON files into such lines, and the reader that sends each line to the handler of its kind and makes events of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from turnfold.formats.base import Find, Line, Projected
from turnfold.formats.documents import UNREADABLE, line_of, unreadable
from turnfold.formats.fields import METADATA_CHARS_MAX, arguments_of, list_of, name_of, object_of, some, text_of, text_or_none
from turnfold.formats.lines import blank, decode_line, opaque, title_of
from turnfold.formats.rows import said, told
from turnfold.limits import LINE_BYTES_MAX, NAME_BYTES_MAX
from turnfold.model.event import Visibility
from turnfold.model.message import Message
from turnfold.model.parts import ToolCallPart
from turnfold.model.usage import NO_USAGE, Usage

_encode = msgspec.json.Encoder().encode
Handler = Callable[[Any, Line, dict[str, Any]], "list[Projected]"]
UNREADABLE_VALUE = "value"
"""Kind of a line whose record should be an object and is another JSON value."""
UUID_CHARS_MAX = 200
"""Of a native id that a message is found by; a longer one is cut, since it is hostile anyway."""


def read_file(path: Path) -> tuple[bytes, str | None]:
    """Return a file's bytes and None, or nothing and why it is not read."""
    try:
        if path.is_symlink():
            return b"", "a link to another file: not followed"
        if path.stat().st_size > LINE_BYTES_MAX:
            return b"", f"larger than LINE_BYTES_MAX = {LINE_BYTES_MAX} bytes"
        return path.read_bytes(), None
    except OSError as error:
        return b"", f"cannot be read: {error.strerror or error}"


def read_record(path: Path) -> tuple[Any, str | None, bytes]:
    """Read a JSON file of a layout.

    Returns:
        Its value, None, and nothing; or None, what is wrong with it, and its bytes as far as they can be kept.
    """
    data, problem = read_file(path)
    if problem is not None:
        return None, problem, b""
    value, problem = decode_line(data)
    return value, problem, b"" if problem is None else data


def record_line(kind: str, name: str, record: Any, /, **facts: Any) -> bytes:
    """Return the line of a native record.

    Args:
        kind: Which handler reads it.
        name: What it is called where it came from, for the case that it cannot be said.
        record: The record whole.
        facts: What the handler needs besides; None is left out.
    """
    try:
        return line_of({"kind": kind, **{key: value for key, value in facts.items() if value is not None}, "record": record})
    except (RecursionError, ValueError, TypeError, OverflowError):
        return unreadable(name, "nested too deeply, or not expressible as JSON")


def object_line(kind: str, name: str, path: Path, /, **facts: Any) -> bytes:
    """Return the line of a native JSON file that has to be an object."""
    return read_line(kind, name, read_record(path), **facts)


def read_line(kind: str, name: str, read: tuple[Any, str | None, bytes], /, **facts: Any) -> bytes:
    """Return the line of what ``read_record`` gave."""
    value, problem, data = read
    if problem is not None:
        return unreadable(name, problem, data)
    if not isinstance(value, dict):
        return record_line(UNREADABLE_VALUE, name, value, name=name)
    return record_line(kind, name, value, **facts)


def header_of(head: Any, kind: str = "session") -> dict[str, Any]:
    """Return a document's first line as an object, empty if it is not of that kind."""
    for data in head:
        value, _ = decode_line(data)
        return value if isinstance(value, dict) and value.get("kind") == kind else {}
    return {}


def short(value: Any) -> str:
    """Return a native id as text of bounded length, empty for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return str(value)
    return text_of(value)[:UUID_CHARS_MAX]


def safe_name(text: str) -> str:
    """Return a text as a name for a branch or checkpoint: no longer than names may be, and not empty."""
    kept = "".join(char if char.isprintable() else "_" for char in text).strip()
    return kept.encode()[: NAME_BYTES_MAX - 32].decode(errors="ignore") or "unnamed"


def small_facts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that are fit for a session's metadata: short texts, numbers and truth values."""
    return {
        key: value
        for key, value in values.items()
        if isinstance(value, (bool, int, float)) or (isinstance(value, str) and 0 < len(value) <= METADATA_CHARS_MAX)
    }


def call_of(native: Any) -> ToolCallPart | None:
    """Return a tool call as libraries write it: flat, or with a ``function`` as OpenAI has it; None where it names no tool."""
    fields = object_of(native)
    function = object_of(fields.get("function")) or fields
    name = function.get("name")
    if not isinstance(name, str):
        return None
    given = next((function[key] for key in ("arguments", "args", "input", "parameters") if key in function), None)
    arguments, raw = arguments_of(given)
    used = {"id", "name", "function", "type", "arguments", "args", "input", "parameters"}
    ext = {key: value for key, value in fields.items() if key not in used}
    return ToolCallPart(text_of(fields.get("id")), name, arguments, arguments_raw=raw, ext=ext)


class RecordReader:
    """Reads the lines of one document; a subclass says what to do with each kind."""

    handlers: ClassVar[dict[str, Handler]] = {}

    def __init__(self, state: dict[str, Any] | None, find: Find, at_us: int | None = None) -> None:
        """Begin, or go on from ``state``; ``at_us`` is the time of events whose source has none."""
        state = state or {}
        self.at: int | None = state.get("at", at_us)
        self.title: str | None = state.get("title")
        self.titled: bool = state.get("titled", False)
        self.memo: dict[str, Any] = dict(state.get("memo", {}))
        self.find = find
        self.next_seq = 0

    def state(self) -> dict[str, Any]:
        """What a later reader needs to go on."""
        return {"at": self.at, "title": self.title, "titled": self.titled, "memo": dict(self.memo)}

    def feed(self, line: Line, next_seq: int) -> list[Projected]:
        """Return the events of a line; the first of them keeps it."""
        self.next_seq = next_seq
        if not line.data.strip():
            return [blank(line, self.at)]
        value, problem = decode_line(line.data)
        if problem is not None or not isinstance(value, dict):
            return [opaque(line, self.at, None, problem or "a JSON value that is no object")]
        if UNREADABLE in value:
            name = text_of(value[UNREADABLE])
            return [opaque(line, self.at, name, f"{name}: {text_of(value.get('problem'))}")]
        kind = text_of(value.get("kind"))
        if kind == UNREADABLE_VALUE:
            name = text_of(value.get("name"))
            return [opaque(line, self.at, name, f"{name}: a JSON value that is no object")]
        handler = self.handlers.get(kind)
        try:
            projected = [] if handler is None else handler(self, line, value)
        except RecursionError:
            return [opaque(line, self.at, kind, "nested too deeply")]
        return projected or [opaque(line, self.at, kind or None)]

    def finish(self, next_seq: int) -> list[Projected]:
        """Give the session its first prompt as a title, where it has none of its own."""
        if self.titled or not self.title:
            return []
        self.titled = True
        return [self.event(None, "title", {"title": self.title}, visibility="ui")]

    # ---- events ----------------------------------------------------------------------------------------------------------------------

    def message(
        self,
        line: Line | None,
        message: Message,
        *,
        uuid: str,
        at: int | None = None,
        branch: str = "",
        turn: bool = False,
        visibility: Visibility = "both",
        usage: Usage = NO_USAGE,
        actor: str | None = None,
        tokens: int = 0,
        problem: str | None = None,
    ) -> Projected:
        """Build a message's event; over-long media go out of line. ``tokens`` 0 are estimated."""
        self._seen(at)
        if turn and self.title is None and visibility == "both":
            self.title = title_of(message.text.strip().partition("\n")[0])
        return said(
            line,
            message,
            problem=problem,
            at=self.at,
            branch=branch,
            actor=name_of(actor),
            visibility=visibility,
            turn_count=int(turn),
            token_count=tokens,
            usage=usage,
            meta={"uuid": uuid},
        )

    def event(
        self,
        line: Line | None,
        event_type: str,
        data: dict[str, Any],
        *,
        at: int | None = None,
        branch: str = "",
        visibility: Visibility = "none",
        uuid: str | None = None,
        usage: Usage = NO_USAGE,
        problem: str | None = None,
    ) -> Projected:
        """Build an event that is no message; with a line it keeps it."""
        self._seen(at)
        meta = some({"uuid": uuid}) or None
        return told(line, event_type, data, problem=problem, at=self.at, branch=branch, visibility=visibility, usage=usage, meta=meta)

    def header(self, line: Line, value: dict[str, Any], *, uuid: str, at: int | None = None) -> list[Projected]:
        """Build the event of a document's first line: its facts but for the record."""
        facts = {key: item for key, item in value.items() if key != "record"}
        return [self.event(line, "settings", facts, at=at or None, uuid=uuid)]

    def kept(
        self,
        line: Line,
        kind: str,
        data: dict[str, Any] | None = None,
        *,
        problem: str | None = None,
        branch: str = "",
        uuid: str | None = None,
    ) -> Projected:
        """Build the event of a line that says nothing by itself but is kept: facts of the source, for nobody's view."""
        return self.event(line, "snapshot", {"kind": kind, **(data or {})}, branch=branch, uuid=uuid, problem=problem)

    def state_set(self, values: Any) -> list[Projected]:
        """Set the session's state, key by key; a key that cannot be one is left to the kept line."""
        given = values if isinstance(values, dict) else {}
        named = {key: value for key, value in given.items() if name_of(key)}
        left = len(given) - len(named)
        problem = f"{left} keys of the state are too long or empty: they stay in the kept line alone" if left else None
        return [self.event(None, "state.set", {"values": named}, problem=problem)] if given else []

    def updated(self, *, metadata: dict[str, Any] | None = None, system_prompt: str | None = None, title: Any = None) -> list[Projected]:
        """Change the session's facts; empty ones are left as they are."""
        data: dict[str, Any] = {}
        if metadata:
            data["metadata"] = metadata
        if system_prompt:
            data["system_prompt"] = system_prompt
        if text_or_none(title):
            self.titled = True
            data["title"] = title_of(title) or ""
        return [self.event(None, "session.updated", data)] if data else []

    def tagged(self, tags: Any) -> list[Projected]:
        """Give the session tags; what is no text is left out."""
        added = [tag for tag in list_of(tags) if isinstance(tag, str) and tag]
        return [self.event(None, "tag", {"added": added})] if added else []

    def _seen(self, at: int | None) -> None:
        if at is not None:
            self.at = at
