"""The SQLite file of the Go package ``session`` (ZimaOS-Blue): a row per session, its messages as one JSON text.

Messages have no ids and no times there; they get the time at which the session was last active when they were first met. A compaction has
already thrown away what it summarised; its summary, which the package saves in place of the system prompt, is read as what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from turnfold.errors import InvalidInput
from turnfold.formats.base import Document, Find, Line, Projected, Reader, SourceInfo
from turnfold.formats.documents import snapshot, tables_of, unreadable
from turnfold.formats.fields import count_of, list_of, object_of, stem_of, text_of, text_or_none
from turnfold.formats.lines import decode_line
from turnfold.formats.places import OneFile
from turnfold.formats.placing import place_id
from turnfold.formats.records import RecordReader, call_of, header_of, record_line, small_facts
from turnfold.ids import SessionAddress, format_session_id
from turnfold.model.event import to_us
from turnfold.model.message import ROLES, Message
from turnfold.model.parts import Part, TextPart, ToolResultPart

AGENT = "go-session"
STATES = ("active", "idle", "compacting", "suspended", "archived")
_COLUMNS = frozenset({"id", "agent_id", "channel_id", "peer_id", "state", "messages", "system_prompt", "last_active_at", "compacted_at"})
_time = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s*(Z|[+-]\d\d:?\d\d)?(?:\s.*)?", re.DOTALL)
_summary = re.compile(r"\[Previous conversation summary: (.*)\]\Z", re.DOTALL)


class GoSessionFormat(OneFile):
    """See ``formats.base.DocumentFormat``."""

    name = "go-session"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for the package's table."""
        return 0.95 if tables_of(path, head).get("sessions", frozenset()) >= _COLUMNS else 0.0

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the rows, oldest first.

        Raises:
            FormatError: The database cannot be read.
        """
        with snapshot(path) as connection:
            for row in connection.execute("SELECT * FROM sessions ORDER BY created_at, id"):
                yield _document({name: row[name] for name in row.keys()})  # noqa: SIM118  # a row is no mapping

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the header, and how long the session has been active, which stands in its last line."""
        lines = list(head)
        header, last = header_of(lines), object_of(decode_line(lines[-1])[0]) if lines else {}
        facts = small_facts({name: header.get(name) for name in ("agent_id", "channel_id", "peer_id", "thread_id")})
        active = parse_go_time(object_of(last.get("record")).get("last_active_at"))
        if active is not None:
            facts["last_active_at_us"] = active
        return SourceInfo(
            native_id=text_of(header.get("id")) or path.stem,
            agent=AGENT,
            created_us=parse_go_time(header.get("at")),
            metadata=facts,
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader; messages that are new get the time at which the session was last active."""
        return GoSessionReader(state, find, info.created_us, met_at=info.metadata.get("last_active_at_us"))

    def export_name(self, session_id: str) -> str:
        """Return a name for the session's lines; the store's own form is not written."""
        return f"{stem_of(session_id)}.jsonl"


def parse_go_time(text: Any) -> int | None:
    """Return a time as Go's SQLite drivers write it, in microseconds since the epoch.

    One driver writes ``2026-03-04 05:06:07.123456789+00:00``, the other what ``Time.String`` gives, with the zone's name and the
    monotonic clock behind it.
    """
    match = _time.fullmatch(text) if isinstance(text, str) and len(text) < 100 else None
    if match is None:
        return None
    try:
        at = datetime.fromisoformat(f"{match[1]}T{match[2]}{'+00:00' if match[4] in {None, 'Z'} else match[4]}")
        return to_us(at.astimezone(UTC)) + int((match[3] or "0").ljust(9, "0")[:6])
    except (ValueError, OverflowError):
        return None


def _document(row: dict[str, Any]) -> Document:
    names = ("agent_id", "channel_id", "peer_id", "thread_id")
    facts: dict[str, Any] = {name: text_or_none(row.get(name)) for name in names}
    session_id = _session_id(row, facts)
    lines = [record_line("session", session_id, None, id=session_id, at=_text(row.get("created_at")), **facts)]
    metadata, wrong = _json(row.get("metadata"))
    summary = object_of(metadata).get("summary")
    if row.get("compacted_at") is not None or summary:
        lines.append(record_line("compaction", "compaction", {"summary": summary, "compacted_at": _text(row.get("compacted_at"))}))
    value, problem = _json(row.get("messages"))
    messages = list_of(object_of(value).get("messages"))
    lines += [record_line("message", f"message {number}", one, number=number) for number, one in enumerate(messages, 1)]
    settled_count = len(lines)
    for name, what in (("messages", problem), ("metadata", wrong)):
        if what is not None:
            lines.append(unreadable(f"{session_id}, {name}", what, str(row.get(name)).encode(errors="replace")))
    rest = {key: _text(item) for key, item in row.items() if key not in {"messages", "metadata"}}
    lines.append(record_line("row", session_id, {**rest, "metadata": metadata}))
    return Document(native_id=session_id, lines=lines, settled_count=settled_count)


def _session_id(row: dict[str, Any], facts: dict[str, Any]) -> str:
    """The composite id; the package joins its parts without escaping, so that two sessions may have one: here they are apart."""
    try:
        return format_session_id(SessionAddress(facts["agent_id"], facts["channel_id"], facts["peer_id"], facts["thread_id"]))
    except (InvalidInput, TypeError, AttributeError):
        return text_or_none(row.get("id")) or "go-session"


def _json(text: Any) -> tuple[Any, str | None]:
    if text is None or text == "":
        return None, None
    return decode_line(text if isinstance(text, bytes) else str(text).encode(errors="replace"))


def _text(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


class GoSessionReader(RecordReader):
    """Reads one row."""

    def __init__(self, state: dict[str, Any] | None, find: Find, at_us: int | None, *, met_at: int | None) -> None:
        """Begin, or go on."""
        super().__init__(state, find, at_us)
        self._met_at = met_at

    def _session(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        return self.header(line, value, uuid=place_id("", 0), at=parse_go_time(value.get("at")))

    def _compaction(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        record = object_of(value.get("record"))
        begin = self.find(place_id("", 0))
        data = {"first_seq": 1, "last_seq": begin.seq if begin is not None else 1, "summary": text_or_none(record.get("summary"))}
        data = {key: item for key, item in data.items() if item is not None}
        return [self.event(line, "compaction", data, at=parse_go_time(record.get("compacted_at")), visibility="ui")]

    def _message(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        record, number = object_of(value.get("record")), count_of(value.get("number"))
        role, content = text_of(record.get("role")), record.get("content")
        if role not in ROLES or not isinstance(content, str):
            return [
                self.kept(line, "message", problem=f"message {number} has no role that is known, or no text", uuid=place_id("", number))
            ]
        calls = [call_of(one) for one in list_of(record.get("tool_calls"))]
        parts: list[Part] = [call for call in calls if call is not None]
        if role == "tool":
            parts.insert(0, ToolResultPart(text_of(record.get("tool_call_id")), content))
        elif content or not parts:
            parts.insert(0, TextPart(content))
        known = {"role", "content", "tool_calls", "tool_call_id"}
        ext = {key: item for key, item in record.items() if key not in known or (key == "tool_calls" and None in calls)}
        message = Message(role, parts, ext=ext)
        return [self.message(line, message, uuid=place_id("", number), at=self._met_at, turn=role == "user")]

    def _row(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        record = object_of(value.get("record"))
        metadata = object_of(record.get("metadata"))
        state, prompt = record.get("state"), text_of(record.get("system_prompt"))
        named = STATES[state] if isinstance(state, int) and 0 <= state < len(STATES) else None
        facts = {**small_facts(object_of(metadata.get("custom_data"))), **small_facts({"native_state": named})}
        kept = self.event(line, "snapshot", {"kind": "session"}, at=parse_go_time(record.get("updated_at")))
        prompt = "" if _summary.match(prompt) else prompt
        out = [kept, *self.updated(metadata=facts, system_prompt=prompt, title=metadata.get("title"))]
        return [*out, *self.tagged(metadata.get("tags"))]

    handlers = {  # noqa: RUF012  # declared as ClassVar in the base
        "session": _session,
        "compaction": _compaction,
        "message": _message,
        "row": _row,
    }
