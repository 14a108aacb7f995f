"""agent-session-linker's backends as a format: how to know their files, and the reader of a session."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from turnfold.errors import FormatError
from turnfold.formats.base import Document, Find, Line, Projected, Reader, SourceInfo
from turnfold.formats.documents import head_value, snapshot, tables_of
from turnfold.formats.fields import count_of, list_of, name_of, object_of, stem_of, text_of, text_or_none
from turnfold.formats.heads import SQLITE_MAGIC, read_head
from turnfold.formats.lines import parse_at
from turnfold.formats.places import OneFile, oldest_first
from turnfold.formats.placing import PlacingReader, place_id
from turnfold.formats.records import header_of, read_file, read_record, small_facts
from turnfold.formats.session_linker.state import CHECKPOINT, Stored, documents_of, stored_from
from turnfold.model.message import Message
from turnfold.model.parts import Part, ReasoningPart, TextPart
from turnfold.model.usage import Usage

AGENT = "agent-session-linker"
LINKS = "links.json"
_COLUMNS = frozenset({"session_id", "payload", "saved_at"})
_begins = re.compile(rb'\s*\{\s*"session_id":\s*"(?:[^"\\]|\\.)*",\s*"agent_id":\s*"(?:[^"\\]|\\.)*",\s*"schema_version":')


class SessionLinkerFormat(OneFile):
    """See ``formats.base.DocumentFormat``."""

    name = "session-linker"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for a session's fields, or for the backend's table. A checkpoint is read with its session, alone where that is gone."""
        if tables_of(path, head).get("sessions", frozenset()) == _COLUMNS:
            return 0.95
        if _begins.match(head) is None:
            value = object_of(head_value(head))
            if not all(name in value for name in ("session_id", "schema_version", "segments", "tools_used")):
                return 0.0
        match = CHECKPOINT.match(path.stem)
        return 0.0 if match is not None and path.with_name(f"{match[1]}.json").is_file() else 0.95

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the session of a file, or all sessions of a database.

        Raises:
            FormatError: The file is not JSON, or the database cannot be read.
        """
        links = list_of(read_record(path.with_name(LINKS))[0]) if path.with_name(LINKS).is_file() else []
        if path.suffix != ".json" and read_head(path, len(SQLITE_MAGIC)) == SQLITE_MAGIC:
            yield from documents_of(_rows(path), links)
            return
        files = [path, *(place for place in self.covered(path) if place.name != LINKS)]
        found = [_read(place) for place in files]
        if found[0].problem is not None:
            raise FormatError(f"{path}: {found[0].problem}", hint="it may have been cut off while it was written", path=str(path))
        yield from documents_of(found, links)

    def covered(self, path: Path) -> Iterable[Path]:
        """The checkpoints of a session's file, their index, and the links."""
        links = [path.with_name(LINKS)] if path.with_name(LINKS).is_file() else []
        if path.suffix != ".json":
            return links
        return [place for place in _checkpoints_beside(path) if place != path] + links

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the header."""
        header = header_of(head)
        parent = text_or_none(header.get("parent"))
        return SourceInfo(
            native_id=text_of(header.get("session_id")) or path.stem,
            agent=AGENT,
            created_us=parse_at(header.get("at")),
            parent={"session_id": parent, "relation": "continuation"} if parent else None,
            metadata=small_facts({"agent_id": header.get("agent_id")}),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader of a session."""
        return SessionLinkerReader(state, find, info.created_us)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield the files and the database of ``~/.agent-sessions``, oldest first."""
        folder = home / ".agent-sessions"
        for path in oldest_first((*folder.glob("*.json"), folder / "sessions.db")):
            if self.sniff(path, read_head(path)) > 0:
                yield path

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return that folder."""
        return [home / ".agent-sessions"]

    def export_name(self, session_id: str) -> str:
        """Return a name for the session's lines; the backend's own form is not written."""
        return f"{stem_of(session_id)}.jsonl"


def _checkpoints_beside(path: Path) -> list[Path]:
    prefix = f"__checkpoint__{path.stem}__"
    return sorted(
        place for place in path.parent.glob("__checkpoint__*.json") if place.stem.startswith(prefix) and CHECKPOINT.match(place.stem)
    )


def _read(path: Path) -> Stored:
    data, problem = read_file(path)
    return stored_from(path.stem, data) if problem is None else Stored(path.stem, None, problem)


def _rows(path: Path) -> list[Stored]:
    with snapshot(path) as connection:
        rows = connection.execute("SELECT session_id, payload FROM sessions ORDER BY rowid").fetchall()
    found = []
    for key, payload in rows:
        data = payload if isinstance(payload, bytes) else str(payload).encode(errors="surrogatepass")
        found.append(stored_from(str(key), data))
    return found


class SessionLinkerReader(PlacingReader):
    """Reads one session."""

    def _message(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        segment, branch = object_of(value.get("record")), text_of(value.get("branch"))
        number, role, content = count_of(value.get("number")), text_of(segment.get("role")), segment.get("content")
        uuid = place_id(branch, number)
        if not role or not isinstance(content, str):
            return [self.kept(line, "segment", problem=f"segment {number} has no role or no text", branch=branch, uuid=uuid)]
        kind = text_of(segment.get("segment_type"))
        known = role if role in {"system", "developer", "user", "assistant", "tool"} else "assistant"
        part: Part = ReasoningPart(content) if kind == "reasoning" and known == "assistant" else TextPart(content)
        ext = {key: segment[key] for key in ("segment_type", "metadata") if segment.get(key) and segment[key] != "conversation"}
        message = Message(known, [part], native_id=text_or_none(segment.get("segment_id")), ext=ext)
        if known != role:
            message.name = name_of(role)
        tokens = count_of(segment.get("token_count"))
        at = parse_at(segment.get("timestamp"))
        return [self.message(line, message, uuid=uuid, at=at, branch=branch, turn=role == "user", tokens=tokens)]

    def _tool(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        record = object_of(value.get("record"))
        return [self.event(line, "tool.progress", {"kind": "tool", **record}, at=parse_at(record.get("timestamp")), visibility="ui")]

    def _link(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        record = object_of(value.get("record"))
        data = {"target": record.get("target_session_id"), "relation": record.get("relationship"), "metadata": record.get("metadata")}
        return [self.event(line, "link", data, at=parse_at(record.get("created_at")), visibility="ui")]

    def _state(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        record = object_of(value.get("record"))
        state = {name: record[name] for name in ("preferences", "entities", "tasks", "summary") if record.get(name)}
        cost = record.get("total_cost_usd")
        paid = isinstance(cost, (int, float)) and not isinstance(cost, bool) and 0 < cost < 1e9
        at = parse_at(record.get("updated_at"))
        problem = text_or_none(value.get("problem"))
        kept = self.event(line, "snapshot", {"kind": "session"}, at=at, problem=problem)
        usage = [self.event(None, "usage", {"total_cost_usd": cost}, usage=Usage(cost_microusd=round(cost * 1e6)))] if paid and cost else []
        return [kept, *self.state_set(state), *usage]

    handlers = PlacingReader.handlers | {
        "message": _message,
        "tool": _tool,
        "link": _link,
        "state": _state,
    }
