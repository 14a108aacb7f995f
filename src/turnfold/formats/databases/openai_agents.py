"""Sessions of the OpenAI Agents SDK (``SQLiteSession``, ``SQLAlchemySession`` on SQLite, ``AdvancedSQLiteSession``).

Tables are known by their columns, since the SDK lets them have other names. One row is one item of the Responses API and becomes one message.
``AdvancedSQLiteSession`` writes a branch by copying the rows of its structure table: the copies become the branch's fork point, and a
message's own first row says on which branch it was written. The usage of a turn stands before the next turn of its branch; that of the last
turns, which may still grow, comes at the end.

Source: the DDL and rows that openai-agents 0.24 writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from turnfold.formats.base import Document, Find, Line, Place, Projected, Reader, SourceInfo
from turnfold.formats.databases.database import DatabaseFormat, header_of
from turnfold.formats.databases.tables import (
    Handler,
    Row,
    TableReader,
    answers,
    at_of,
    quoted,
    row_line,
    rows_of,
    salvaging,
    session_id_of,
)
from turnfold.formats.documents import line_of, snapshot, tables_of
from turnfold.formats.fields import count_of, name_of, object_of, text_of, text_or_none
from turnfold.formats.media import Parts
from turnfold.formats.responses import message_of, output_of
from turnfold.model.event import MAIN, Visibility
from turnfold.model.message import ROLES, Message
from turnfold.model.parts import ServerToolCallPart
from turnfold.model.usage import NO_USAGE, Usage

MESSAGE_COLUMNS = frozenset({"id", "session_id", "message_data"})
STRUCTURE_COLUMNS = frozenset({"id", "session_id", "message_id", "branch_id"})
USAGE_COLUMNS = frozenset({"session_id", "branch_id", "user_turn_number", "input_tokens", "output_tokens"})
MESSAGES, STRUCTURE, USAGE = "agent_messages", "message_structure", "turn_usage"


class _Tables(NamedTuple):
    """A pair of tables, and the ones that an ``AdvancedSQLiteSession`` adds."""

    messages: str
    sessions: str | None
    structure: bool
    usage: bool


class OpenAIAgentsFormat(DatabaseFormat):
    """See ``formats.base.DocumentFormat``."""

    name = "openai-agents"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for a table with the columns of the items."""
        tables = tables_of(path, head)
        found = [columns for columns in tables.values() if columns >= MESSAGE_COLUMNS]
        return 0.0 if not found else 0.95 if MESSAGES in tables else 0.85

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the session's row."""
        row = header_of(head)
        return SourceInfo(native_id=text_of(row.get("session_id")), agent=self.name, created_us=at_of(row.get("created_at")))

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader of a session's lines."""
        return _Reader(info, state, find)

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the sessions in the order in which they were begun."""
        self.require(path)
        with snapshot(path) as connection:
            pairs = _pairs(connection)
            found = [(pair, session) for pair in pairs for session in _sessions(connection, pair)]
        several = len(pairs) > 1
        for pair, session in found:
            native_id = session_id_of(session)
            if several and pair.messages != MESSAGES:
                native_id = f"{pair.messages}/{native_id}"
            with snapshot(path) as connection:
                document = _document(connection, pair, session, native_id)
            yield document


def _pairs(connection: sqlite3.Connection) -> list[_Tables]:
    names = [str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")]
    columns = {name: {str(row[1]) for row in connection.execute(f"PRAGMA table_info({quoted(name)})")} for name in names}
    structure = columns.get(STRUCTURE, set()) >= STRUCTURE_COLUMNS
    usage = columns.get(USAGE, set()) >= USAGE_COLUMNS
    found = []
    for name in names:
        if columns[name] >= MESSAGE_COLUMNS:
            owners = [str(row[2]) for row in connection.execute(f"PRAGMA foreign_key_list({quoted(name)})")]
            owner = next((owner for owner in owners if "session_id" in columns.get(owner, ())), None)
            found.append(_Tables(name, owner, structure, usage))
    return found


def _sessions(connection: sqlite3.Connection, pair: _Tables) -> list[Any]:
    """The ids of the sessions that have a row or a message."""
    messages = f"SELECT session_id, min(id) AS first FROM {quoted(pair.messages)} GROUP BY session_id ORDER BY first"  # noqa: S608
    found = dict.fromkeys(row[0] for row in connection.execute(messages))
    if pair.sessions is not None:
        statement = f"SELECT session_id FROM {quoted(pair.sessions)} ORDER BY rowid"  # noqa: S608
        found |= dict.fromkeys(row[0] for row in connection.execute(statement))
    return list(found)


def _document(connection: sqlite3.Connection, pair: _Tables, session: Any, native_id: str) -> Document:
    header: Row = {"session_id": native_id}
    updated: Any = None
    if pair.sessions is not None:
        statement = f"SELECT * FROM {quoted(pair.sessions)} WHERE session_id = ?"  # noqa: S608
        for row in rows_of(connection, statement, (session,)):
            updated = row.pop("updated_at", None)
            header = row | {"session_id": native_id}
    lines = [row_line("agent_sessions", header)]
    usages: dict[tuple[Any, Any], Row] = {}
    with salvaging(lines, "items"):
        if pair.usage:
            details = ("input_tokens_details", "output_tokens_details")
            for row in rows_of(connection, "SELECT * FROM turn_usage WHERE session_id = ? ORDER BY id", (session,), json=details):
                usages[row.get("branch_id"), row.get("user_turn_number")] = row
        _add_items(connection, pair, session, lines=lines, usages=usages)
    settled = len(lines)
    lines += (row_line(USAGE, row) for row in usages.values())
    lines.append(line_of({"table": "agent_sessions.updated", "row": {"updated_at": updated}}))
    return Document(native_id=native_id, lines=lines, settled_count=settled)


def _add_items(
    connection: sqlite3.Connection, pair: _Tables, session: Any, *, lines: list[bytes], usages: dict[tuple[Any, Any], Row]
) -> None:
    """Add the items in the order in which they were written, each branch's fork before its first item."""
    first: dict[Any, Row] = {}
    copies: dict[Any, list[Row]] = {}
    if pair.structure:
        for row in rows_of(connection, "SELECT * FROM message_structure WHERE session_id = ? ORDER BY id", (session,)):
            if first.setdefault(row["message_id"], row) is not row:
                copies.setdefault(row["branch_id"], []).append(row)
    forks = [(rows[0]["id"], _fork_line(branch, rows)) for branch, rows in copies.items()]
    statement = f"SELECT * FROM {quoted(pair.messages)} WHERE session_id = ? ORDER BY id"  # noqa: S608
    turns: dict[Any, Any] = {}
    for row in rows_of(connection, statement, (session,), json=("message_data",)):
        structure = first.get(row["id"])
        if structure is None:
            lines.append(row_line(MESSAGES, row))
            continue
        while forks and forks[0][0] < structure["id"]:
            lines.append(forks.pop(0)[1])
        branch, turn = structure["branch_id"], structure.get("user_turn_number")
        done = (branch, turns.get(branch, turn))
        if done[1] != turn and done in usages:
            lines.append(row_line(USAGE, usages.pop(done)))
        turns[branch] = turn
        lines.append(row_line(MESSAGES, row, structure=structure))
    lines += (line for _, line in forks)


def _fork_line(branch: Any, copies: list[Row]) -> bytes:
    return row_line(STRUCTURE, {"branch_id": branch, "after_message_id": copies[-1]["message_id"], "rows": copies})


class _Reader(TableReader):
    """Projects one session."""

    def handlers(self) -> dict[str, Handler]:
        return {
            "agent_sessions": self._header,
            MESSAGES: self._item,
            STRUCTURE: self._fork,
            USAGE: self._usage,
            "agent_sessions.updated": self._updated,
        }

    def finish(self, next_seq: int) -> list[Projected]:
        """Switch to the branch that was written to last."""
        out = super().finish(next_seq)
        current, switched = self.memory.get("current", MAIN), self.memory.get("switched", MAIN)
        if current != switched:
            self.memory["switched"] = current
            out.append(self.own("branch.switched", {"name": current, "previous": switched}, branch=current))
        return out

    def _header(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        return [self.event(line, "settings", {"kind": "agent_sessions"})]

    def _updated(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        return [self.event(line, "settings", {"kind": "agent_sessions.updated"}, at=at_of(row.get("updated_at")) or self.at_us)]

    def _item(self, line: Line, row: Row, whole: Row) -> list[Projected]:
        self.seen_at(at_of(row.get("created_at")))
        structure = object_of(whole.get("structure"))
        branch = name_of(structure.get("branch_id")) or MAIN
        out: list[Projected] = []
        if branch != MAIN and branch not in self.memory.get("branches", ()):
            out.append(self._branch(branch, Place(0, MAIN)))
        self.memory["current"] = branch
        envelope = {"branch": branch, "meta": {"uuid": str(row.get("id"))}}
        item = row.get("message_data")
        message = _message(item) if isinstance(item, dict) else None
        if message is None:
            problem = None if isinstance(item, dict) else "the item is no JSON object"
            kind = text_or_none(object_of(item).get("type")) or MESSAGES
            return [*out, self.unread(line, kind, problem, **envelope)]
        parts: Parts = []
        for answer in answers(message):
            answer.response = output_of(answer.response, parts)
        visibility: Visibility = "model" if message.role in {"system", "developer"} else "both"
        typed = message.role == "user"
        out.append(self.message(line, message, parts=parts, visibility=visibility, turn_count=1 if typed else 0, **envelope))
        return out

    def _fork(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        branch, after = name_of(row.get("branch_id")), row.get("after_message_id")
        known = branch is None or branch == MAIN or branch in self.memory.get("branches", ())
        if branch is None or known:
            return [self.event(line, "opaque", {"native_type": STRUCTURE})]
        return [self._branch(branch, self.find(str(after)) or Place(0, MAIN), line)]

    def _branch(self, branch: str, place: Place, line: Line | None = None) -> Projected:
        self.memory["branches"] = [*self.memory.get("branches", ()), branch]
        data = {"name": branch, "parent": place.branch or MAIN, "fork_seq": place.seq}
        envelope = {"branch": place.branch or MAIN}
        return self.own("branch.created", data, **envelope) if line is None else self.event(line, "branch.created", data, **envelope)

    def _usage(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        self.seen_at(at_of(row.get("created_at")))
        data = {name: row.get(name) for name in ("branch_id", "user_turn_number", "requests", "total_tokens")}
        branch = name_of(row.get("branch_id")) or MAIN
        known = branch in self.memory.get("branches", ())
        return [self.event(line, "usage", data, usage=_usage_of(row), branch=branch if known else MAIN)]


def _message(item: dict[str, Any]) -> Message | None:
    """The message of an item; the short form of a message has no ``type``, and tools that the provider runs have one for each."""
    kind = text_of(item.get("type"))
    if not kind and text_of(item.get("role")) in ROLES:
        item = {**item, "type": "message"}
    message = message_of(item)
    if message is not None:
        return message
    if kind.endswith("_call"):
        call = {key: value for key, value in item.items() if key != "id"}
        return Message("assistant", [ServerToolCallPart(text_of(item.get("id")), kind.removesuffix("_call"), call)])
    return None


def _usage_of(row: Row) -> Usage:
    read_in, out = count_of(row.get("input_tokens")), count_of(row.get("output_tokens"))
    if not read_in and not out:
        return NO_USAGE
    details, made = object_of(row.get("input_tokens_details")), object_of(row.get("output_tokens_details"))
    return Usage(
        read_in,
        out,
        count_of(details.get("cached_tokens")),
        count_of(details.get("cache_write_tokens")),
        count_of(made.get("reasoning_tokens")),
    )
