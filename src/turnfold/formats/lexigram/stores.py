"""What lexigram-ai-session has stored, as lines: sessions with their checkpoints, which are whole copies of them.

The database store has a row per session (``ai_sessions``, lists and objects as JSON text) and per checkpoint (``ai_checkpoints``). The cache
store has a JSON document under each key: ``ai:session:<id>``, ``ai:checkpoint:<id>``, and indexes, which say nothing that these do not.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from turnfold.errors import FormatError
from turnfold.formats.base import Document
from turnfold.formats.documents import snapshot, unreadable
from turnfold.formats.fields import list_of, object_of, text_of, text_or_none
from turnfold.formats.lines import decode_line
from turnfold.formats.records import read_record, record_line, safe_name
from turnfold.formats.weave import Placed, weave

SESSION_KEY, CHECKPOINT_KEY = "ai:session:", "ai:checkpoint:"
_INDEX_KEYS = ("ai:session:user:", "ai:checkpoint:idx:")
_JSON_COLUMNS = frozenset({"turns", "metadata", "active_tools", "active_skills", "variables", "state"})


class Found(NamedTuple):
    """A record, or the name of one that could not be read, with what is wrong and what was there."""

    record: dict[str, Any]
    name: str
    problem: str | None = None
    data: bytes = b""


def found_in_database(path: Path) -> tuple[list[Found], list[Found]]:
    """Read sessions and checkpoints out of the tables.

    Raises:
        FormatError: The database cannot be read.
    """
    with snapshot(path) as connection:
        sessions = [_row(row, "session_id") for row in connection.execute("SELECT * FROM ai_sessions ORDER BY rowid")]
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        rows = connection.execute("SELECT * FROM ai_checkpoints ORDER BY rowid").fetchall() if "ai_checkpoints" in tables else []
        checkpoints = [_row(row, "checkpoint_id") for row in rows]
    return sessions, checkpoints


def _row(row: sqlite3.Row, key: str) -> Found:
    record: dict[str, Any] = {}
    broken: list[str] = []
    for name in row.keys():  # noqa: SIM118  # a row is no mapping
        value = row[name]
        if name in _JSON_COLUMNS and value is not None:
            value, problem = decode_line(value if isinstance(value, bytes) else str(value).encode())
            if problem is not None:
                broken.append(name)
                value = str(row[name])
        record[name] = value
    problem = f"not JSON: {', '.join(broken)}" if broken else None
    return Found(record, str(record.get(key) or "row"), problem)


def found_in_json(path: Path) -> tuple[list[Found], list[Found]]:
    """Read sessions and checkpoints out of one session's document, or out of a dump ``{key: document}`` of the cache.

    Raises:
        FormatError: It is not JSON.
    """
    value, problem, _ = read_record(path)
    if problem is not None or not isinstance(value, dict):
        raise FormatError(f"{path}: {problem or 'a JSON value that is no object'}", path=str(path))
    if "session_id" in value:
        return [Found(value, text_of(value["session_id"]))], []
    sessions: list[Found] = []
    checkpoints: list[Found] = []
    for key, item in value.items():
        if not key.startswith(_INDEX_KEYS):
            for prefix, group in ((SESSION_KEY, sessions), (CHECKPOINT_KEY, checkpoints)):
                if key.startswith(prefix):
                    group.append(_cached(key.removeprefix(prefix), item))
    return sessions, checkpoints


def _cached(name: str, item: Any) -> Found:
    """A document of the cache, which holds it as text."""
    data = item.encode() if isinstance(item, str) else b""
    value, problem = decode_line(data) if isinstance(item, str) else (item, None)
    if problem is None and not isinstance(value, dict):
        problem = "a JSON value that is no object"
    return Found(object_of(value), name, problem, data)


def documents_of(sessions: list[Found], checkpoints: list[Found]) -> Iterator[Document]:
    """Yield the sessions with their checkpoints; checkpoints whose session is gone are sessions of their own."""
    by_session: dict[str, list[Found]] = {}
    for checkpoint in checkpoints:
        session_id = text_of(checkpoint.record.get("session_id")) or text_of(object_of(checkpoint.record.get("state")).get("session_id"))
        by_session.setdefault(session_id, []).append(checkpoint)
    unknown = by_session.pop("", [])
    for index, session in enumerate(sessions):
        own = by_session.pop(text_of(session.record.get("session_id")) or session.name, [])
        yield _document(session, [*own, *unknown] if index == 0 else own)
    for session_id, left in by_session.items():
        for checkpoint in left:
            state = object_of(checkpoint.record.get("state"))
            yield _document(Found(state, checkpoint.name, checkpoint.problem), [], native_id=f"{session_id}/checkpoints/{checkpoint.name}")


def _document(session: Found, checkpoints: list[Found], native_id: str | None = None) -> Document:
    state = session.record
    session_id = native_id or text_or_none(state.get("session_id")) or session.name
    names = ("user_id", "parent_session_id", "branch_name")
    facts = {name: text_or_none(state.get(name)) for name in names}
    lines = [record_line("session", session.name, None, session_id=session_id, at=text_or_none(state.get("created_at")), **facts)]
    ordered = sorted(checkpoints, key=lambda one: text_of(one.record.get("created_at")))
    copies = [one for one in ordered if isinstance(one.record.get("state"), dict)]
    woven = weave(list_of(state.get("turns")), [_turns(one) for one in copies], _key)
    lines += [record_line("message", f"turn {number}", turn, number=number) for number, turn in enumerate(woven.messages, 1)]
    settled_count = len(lines)
    for copy, placed in zip(copies, woven.placed, strict=True):
        lines += _checkpoint_lines(copy, placed)
    for broken in ordered:
        if broken not in copies:
            problem = broken.problem or "it has no state"
            lines.append(unreadable(f"checkpoint {broken.name}", problem, broken.data or _said(broken.record)))
    rest = {key: value for key, value in state.items() if key != "turns" or not isinstance(value, list)}
    if session.problem is not None and not rest:
        lines.append(unreadable(session.name, session.problem, session.data))
    else:
        lines.append(record_line("state", session.name, rest, problem=session.problem))
    return Document(native_id=session_id, lines=lines, settled_count=settled_count)


def _checkpoint_lines(copy: Found, placed: Placed) -> Iterator[bytes]:
    """A checkpoint as a place in the session, after its own turns where the session was restored and went on otherwise."""
    name = safe_name(copy.name)
    branch = safe_name(f"checkpoint-{name}") if placed.rest else None
    if branch is not None:
        yield record_line("branch", name, None, branch=branch, through=placed.through)
    for number, turn in enumerate(placed.rest, placed.through + 1):
        yield record_line("message", f"checkpoint {name}, turn {number}", turn, number=number, branch=branch)
    state = {key: value for key, value in object_of(copy.record.get("state")).items() if key != "turns"}
    facts: dict[str, Any] = {"name": name, "branch": branch, "through": placed.through + len(placed.rest), "problem": copy.problem}
    facts["at"] = text_or_none(copy.record.get("created_at"))
    facts["changed"] = {str(index): turn for index, turn in placed.changed.items()} or None
    yield record_line("checkpoint", name, {**copy.record, "state": state}, **facts)


def _turns(copy: Found) -> list[Any]:
    return list_of(object_of(copy.record.get("state")).get("turns"))


def _key(turn: Any) -> str:
    turn_id = text_or_none(object_of(turn).get("turn_id"))
    return f"id:{turn_id}" if turn_id else msgspec.json.encode(turn, order="sorted").decode()


def _said(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, default=str).encode()
