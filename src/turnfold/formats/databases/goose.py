"""Goose's sessions: ``sessions.db``, and the JSON lines of before it (one file a session, its description first).

A message is a line without what the database renews when Goose writes a conversation anew (the row's number, its time of writing). When Goose
compacts, it marks what came before as no longer for the model and goes on from a summary that people do not see: the summary becomes a
``compaction``, and the marks are said at the end, so that a compaction appends to what was imported. The ledger's rows stand among the
messages by their time; what the session's totals have beyond them comes at the end.

Source: the schema of versions 1 to 15 in the public repository of Goose. Columns that a version has not are not missed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from turnfold.formats.base import Document, Find, Reader, SourceInfo
from turnfold.formats.databases.database import DatabaseFormat, header_of
from turnfold.formats.databases.goose_reader import GooseReader
from turnfold.formats.databases.tables import Row, at_of, opened, row_line, rows_of, salvaging, session_id_of
from turnfold.formats.documents import snapshot, tables_of
from turnfold.formats.fields import metadata_of, name_of, object_of, text_of
from turnfold.formats.lines import decode_line
from turnfold.formats.places import data_root
from turnfold.limits import NAME_BYTES_MAX

COLUMNS = {
    "sessions": frozenset({"id", "working_dir", "created_at"}),
    "messages": frozenset({"id", "session_id", "role", "content_json", "created_timestamp"}),
}
HEADER_FIELDS = frozenset({"id", "session_type", "parent_session_id", "schedule_id", "created_at"})
SESSION_JSON = ("extension_data", "recipe_json", "user_recipe_values_json", "model_config_json")
RENEWED = frozenset({"id", "session_id", "timestamp", "tokens"})
"""Columns of a message that say nothing about it."""
DESCRIBE_LINES_MAX = 20


class GooseFormat(DatabaseFormat):
    """See ``formats.base.DocumentFormat``."""

    name = "goose"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for the columns of sessions and messages."""
        tables = tables_of(path, head)
        return 0.95 if all(tables.get(name, frozenset()) >= columns for name, columns in COLUMNS.items()) else 0.0

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the session's row."""
        row = header_of(head)
        parent = name_of(row.get("parent_session_id"))
        kind = name_of(row.get("session_type"))
        return SourceInfo(
            native_id=text_of(row.get("native_id")),
            agent=self.name,
            created_us=at_of(row.get("created_at")),
            parent={"session_id": parent, "relation": "subagent"} if parent else None,
            metadata={"session_type": kind} if kind else {},
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader of a session's lines."""
        return GooseReader(info, state, find)

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the sessions, the oldest first."""
        self.require(path)
        with snapshot(path) as connection:
            names = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master")}
            ids = [row[0] for row in connection.execute("SELECT id FROM sessions ORDER BY created_at, rowid")]
        for session in ids:
            with snapshot(path) as connection:
                document = _document(connection, session, has_ledger="usage_ledger" in names)
            if document is not None:
                yield document

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield the database of Goose's data folder."""
        for folder in folders(home, environ):
            path = folder / "sessions.db"
            if path.is_file():
                yield path

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return the database, there or not."""
        return [folder / "sessions.db" for folder in folders(home, environ)]


def folders(home: Path, environ: dict[str, str]) -> list[Path]:
    """Return where Goose keeps its sessions: the place that is set, that of Linux and macOS, that of Windows."""
    if environ.get("GOOSE_PATH_ROOT"):
        return [Path(environ["GOOSE_PATH_ROOT"]) / "data" / "sessions"]
    data = data_root(home, environ)
    found = [data / "goose" / "sessions"]
    if environ.get("APPDATA"):
        found.append(Path(environ["APPDATA"]) / "Block" / "goose" / "data" / "sessions")
    return found


# ---- the database ------------------------------------------------------------------------------------------------------------------------


def _document(connection: sqlite3.Connection, session: Any, *, has_ledger: bool) -> Document | None:
    rows = list(rows_of(connection, "SELECT * FROM sessions WHERE id = ?", (session,), json=SESSION_JSON))
    if not rows:  # deleted meanwhile
        return None
    row, native_id = rows[0], session_id_of(session)
    lines = [row_line("sessions", {name: value for name, value in row.items() if name in HEADER_FIELDS} | {"native_id": native_id})]
    damage: list[bytes] = []
    messages: list[Row] = []
    ledger: list[Row] = []
    with salvaging(damage, "messages"):
        if has_ledger:
            ledger += rows_of(connection, "SELECT * FROM usage_ledger WHERE session_id = ? ORDER BY id", (session,))
        statement = "SELECT * FROM messages WHERE session_id = ? ORDER BY id"
        messages += rows_of(connection, statement, (session,), json=("content_json", "metadata_json"))
    archived = _take_marks(messages)
    for message in messages:
        while ledger and _before(ledger[0], message):
            lines.append(row_line("usage_ledger", ledger.pop(0)))
        lines.append(row_line("messages", {name: value for name, value in message.items() if name not in RENEWED}))
    lines += (row_line("usage_ledger", entry) for entry in ledger)
    settled = len(lines)
    if archived:
        lines.append(row_line("messages.archived", {"message_ids": archived}))
    lines.append(row_line("sessions.state", {name: value for name, value in row.items() if name not in HEADER_FIELDS}))
    return Document(native_id=native_id, lines=[*lines, *damage], settled_count=settled)


def _before(entry: Row, message: Row) -> bool:
    """Whether a ledger's row was written before a message came."""
    first, second = at_of(entry.get("created_timestamp")), at_of(message.get("created_timestamp"))
    return first is not None and second is not None and first < second


def _take_marks(messages: list[Row]) -> list[Any]:
    """Take the marks of a compaction off the messages before its summary, and return those messages' ids."""
    marks = [visibility_of(message.get("metadata_json")) for message in messages]
    last = max((index for index, mark in enumerate(marks) if mark == "model"), default=-1)
    archived = []
    for message, mark in zip(messages[: last + 1], marks, strict=False):
        if mark == "ui":
            archived.append(message.get("message_id") or message.get("id"))
    for message, mark in zip(messages, marks, strict=True):
        if mark == "both" or (mark == "ui" and (message.get("message_id") or message.get("id")) in archived):
            message.pop("metadata_json", None)
    return archived


def visibility_of(metadata: Any) -> str:
    """Return who sees a message: ``both``, ``model``, ``ui`` or ``none``."""
    value = object_of(opened(metadata))
    for_people, for_model = value.get("userVisible") is not False, value.get("agentVisible") is not False
    return {(True, True): "both", (False, True): "model", (True, False): "ui"}.get((for_people, for_model), "none")


# ---- the lines of before it --------------------------------------------------------------------------------------------------------------


class GooseLinesFormat:
    """A session's JSON lines; see ``formats.base.Format``."""

    name = "goose-jsonl"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for a description in the first line and for messages in the others."""
        values = [object_of(decode_line(data)[0]) for data in islice(filter(bytes.strip, head.split(b"\n")), 2)]
        if not values:
            return 0.0
        if "working_dir" in values[0] and ("description" in values[0] or "message_count" in values[0]) and "role" not in values[0]:
            return 0.9
        return 0.6 if _is_message(values[0]) and all(map(_is_message, values)) else 0.0

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the description, and the time of the first message."""
        values = [object_of(decode_line(data)[0]) for data in islice(head, DESCRIBE_LINES_MAX) if data.strip()]
        first = values[0] if values and not _is_message(values[0]) else {}
        created = next((at for value in values if (at := at_of(value.get("created"))) is not None), None)
        folder, title = first.get("working_dir"), first.get("description")
        return SourceInfo(
            native_id=session_id_of(path.stem)[: NAME_BYTES_MAX // 4],
            agent="goose",
            title=title if isinstance(title, str) and title.strip() and len(title) < 1000 else None,
            created_us=created,
            metadata=metadata_of({"cwd": folder}),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader of the file's lines."""
        return GooseReader(info, state, find)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield the files where no database has taken them over."""
        for folder in folders(home, environ):
            if not (folder / "sessions.db").exists():
                yield from sorted(folder.glob("*.jsonl"))

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return the folders of those files."""
        return folders(home, environ)

    def companions(self, path: Path) -> list[Path]:
        """A session is one file."""
        return []

    def export_name(self, session_id: str) -> str:
        """Return the file's name."""
        return DatabaseFormat.export_name(GooseFormat(), session_id).removeprefix("goose-")


def _is_message(value: Row) -> bool:
    known = isinstance(value.get("content"), list) and value.get("role") in ("user", "assistant") and type(value.get("created")) is int
    return known and not {"uuid", "type", "timestamp"} & set(value)
