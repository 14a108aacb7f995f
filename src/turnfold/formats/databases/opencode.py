"""OpenCode's sessions: ``opencode.db``, and the folder ``storage`` with a JSON file for each session, message and part that came before it.

Both are said as the same lines. A message with its parts is one line, its tools' results one line each behind it, so that the output of a tool
stands once, with the event that holds it. What OpenCode changes later is kept apart from what stays: title, totals and a pending revert of a
session, the list of to-dos, which outputs were pruned; the summary of a turn stands before the next one. An answer that is still being written
comes last. A row's ``time_updated`` says nothing that is not in it and is left out; the tables of credentials, shares and events are not read.

Of the folder's layout the session's file (``storage/session/<project>/<session>.json``) stands for the rest. A fork has no link to where it
came from; a session that a tool started has its parent.

Source: databases that OpenCode 1.18 wrote; the folder's layout as public descriptions and other readers of it have it (no program that writes
it was at hand).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from turnfold.errors import FormatError
from turnfold.formats.base import Document, Find, Reader, SourceInfo
from turnfold.formats.databases.database import DatabaseFormat, header_of
from turnfold.formats.databases.opencode_lines import Source, document_of
from turnfold.formats.databases.opencode_reader import OpenCodeReader
from turnfold.formats.databases.tables import Row, at_of, rows_of, salvaging, session_id_of
from turnfold.formats.documents import head_value, snapshot, tables_of
from turnfold.formats.fields import metadata_of, name_of, object_of, text_of, text_or_none
from turnfold.formats.heads import SQLITE_MAGIC, read_head
from turnfold.formats.lines import decode_line
from turnfold.formats.places import data_root

COLUMNS = {
    "session": frozenset({"id", "directory", "title", "version", "time_created"}),
    "message": frozenset({"id", "session_id", "time_created", "data"}),
    "part": frozenset({"id", "message_id", "session_id", "data"}),
}
SESSION_JSON = ("summary_diffs", "metadata", "revert", "permission", "model")


class OpenCodeFormat(DatabaseFormat):
    """See ``formats.base.DocumentFormat``."""

    name = "opencode"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for the tables, or for the fields of a session's file."""
        if head.startswith(SQLITE_MAGIC):
            tables = tables_of(path, head)
            return 0.95 if all(tables.get(name, frozenset()) >= columns for name, columns in COLUMNS.items()) else 0.0
        value = head_value(head)
        if not isinstance(value, dict) or not text_of(value.get("id")).startswith("ses_") or "time" not in value:
            return 0.0
        return 0.9 if "projectID" in value or "directory" in value else 0.0

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the session's row."""
        row = header_of(head)
        parent = name_of(row.get("parent_id") or row.get("parentID"))
        fields = {"cwd": row.get("directory"), "project": row.get("project_id") or row.get("projectID"), "slug": row.get("slug")}
        return SourceInfo(
            native_id=text_of(row.get("native_id")),
            agent=self.name,
            version=text_or_none(row.get("version")),
            created_us=at_of(row.get("time_created")) or at_of(object_of(row.get("time")).get("created")),
            parent={"session_id": parent, "relation": "subagent"} if parent else None,
            metadata=metadata_of(fields),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader of a session's lines."""
        return OpenCodeReader(info, state, find)

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the sessions of a database, the oldest first, or the one whose file it is."""
        is_database = read_head(path, len(SQLITE_MAGIC)) == SQLITE_MAGIC
        if not is_database:
            yield _from_folder(path)
            return
        self.require(path)
        with snapshot(path) as connection:
            ids = [row[0] for row in connection.execute("SELECT id FROM session ORDER BY time_created, id")]
        for session in ids:
            with snapshot(path) as connection:
                document = _from_database(connection, session)
            if document is not None:
                yield document

    def covered(self, path: Path) -> Iterable[Path]:
        """Return the files of a session's messages, parts and to-dos, or SQLite's own beside a database."""
        if path.suffix != ".json":
            return super().covered(path)
        messages = _files(_root(path) / "message" / path.stem)
        parts = [part for message in messages for part in _files(_root(path) / "part" / message.stem)]
        return [*messages, *parts, *_beside(path).values(), _root(path) / "project" / f"{path.parent.name}.json"]

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield the databases in OpenCode's data folder; the files of older versions only where no database has taken them over."""
        data = _data_folder(home, environ)
        found = sorted(data.glob("opencode*.db"))
        yield from found or sorted((data / "storage" / "session").glob("*/ses_*.json"), key=lambda path: path.name)

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return the database, and the folder of the files of older versions."""
        return [_data_folder(home, environ) / "opencode.db", _data_folder(home, environ) / "storage"]


def _data_folder(home: Path, environ: dict[str, str]) -> Path:
    return data_root(home, environ) / "opencode"


# ---- the database ------------------------------------------------------------------------------------------------------------------------


def _from_database(connection: sqlite3.Connection, session: Any) -> Document | None:
    rows = list(rows_of(connection, "SELECT * FROM session WHERE id = ?", (session,), json=SESSION_JSON))
    if not rows:  # deleted meanwhile
        return None
    damage: list[bytes] = []
    source = Source(session_id_of(session), rows[0])
    with salvaging(damage, "messages"):
        for row in rows_of(connection, "SELECT * FROM part WHERE session_id = ? ORDER BY message_id, id", (session,)):
            source.parts.setdefault(row["message_id"], []).append(_opened(row))
        statement = "SELECT * FROM message WHERE session_id = ? ORDER BY time_created, id"
        source.messages += (_opened(row) for row in rows_of(connection, statement, (session,)))
    for table, order in (("todo", "position"), ("session_message", "seq")):
        try:
            statement = f"SELECT * FROM {table} WHERE session_id = ? ORDER BY {order}"  # noqa: S608
            source.more[table] = list(rows_of(connection, statement, (session,), json=("data",)))
        except sqlite3.OperationalError:  # a file of another version
            continue
    return document_of(source, damage)


def _opened(row: Row) -> Row:
    """Return a row with its ``data`` as JSON; where that cannot be read it stays text."""
    data = row.get("data")
    value, problem = decode_line(data.encode(errors="replace")) if isinstance(data, str) else (None, "no text")
    row.pop("time_updated", None)
    return row if problem is not None else row | {"data": value}


# ---- the folder --------------------------------------------------------------------------------------------------------------------------


def _root(path: Path) -> Path:
    return path.parent.parent.parent


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def _beside(path: Path) -> dict[str, Path]:
    return {name: _root(path) / name / path.name for name in ("todo", "session_diff")}


def _from_folder(path: Path) -> Document:
    value = _read(path)
    if not isinstance(value, dict):
        raise FormatError(f"{path}: not the file of a session of OpenCode", path=str(path))
    source = Source(session_id_of(value.get("id") or path.stem), value)
    for file in _files(_root(path) / "message" / path.stem):
        source.messages.append(_record(file))
        source.parts[file.stem] = [_record(part) for part in _files(_root(path) / "part" / file.stem)]
    for name, file in _beside(path).items():
        found = _read(file) if file.is_file() else None
        if found:
            source.more[name] = found if isinstance(found, list) else [found]
    return document_of(source, [])


def _record(path: Path) -> Row:
    """Return a file as the row that the database would have."""
    data = _read(path)
    if not isinstance(data, dict):
        return {"id": path.stem, "data": data}
    created = object_of(data.get("time")).get("created")
    row: Row = {"id": path.stem, "session_id": data.pop("sessionID", None), "message_id": data.pop("messageID", None)}
    if data.get("id") == path.stem:
        del data["id"]
    return row | {"data": data} | ({"time_created": created} if created is not None else {})


def _read(path: Path) -> Any:
    """Return a file's JSON, or its text where it is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"{path.name}: {error.strerror}"
    value, problem = decode_line(content)
    return value if problem is None else content.decode(errors="replace")
