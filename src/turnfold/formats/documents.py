"""What document formats share: looking at a file's kind cheaply, reading databases that others own, and saying records as lines."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from turnfold.errors import FormatError
from turnfold.formats.heads import SQLITE_MAGIC
from turnfold.formats.lines import clean, decode_line

UNREADABLE = "turnfold.unreadable"
"""Key of a line that stands for a record that could not be read."""
DATABASE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What reading a database raises; the second where SQLite's own message quotes bytes of a damaged file."""
_encode = msgspec.json.Encoder().encode


def line_of(record: Any) -> bytes:
    """Return a record (plain JSON types; bytes become base64) as one line without its newline."""
    try:
        return _encode(record)
    except (UnicodeEncodeError, msgspec.MsgspecError):
        return _encode(clean(record))


def unreadable(name: str, problem: str, content: bytes = b"") -> bytes:
    """Return the line of a record that cannot be read: its name, what is wrong, and what was there."""
    try:
        return _encode({UNREADABLE: name, "problem": problem, "content": content.decode()})
    except UnicodeDecodeError:
        return _encode({UNREADABLE: name, "problem": problem, "content_base64": base64.b64encode(content).decode()})


@lru_cache(maxsize=4)
def head_value(head: bytes) -> Any:
    """Return the JSON value that a file's beginning is, whole or as its first line; None where it is neither."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] not in {b"{", b"["}:
        return None
    value, problem = decode_line(text)
    if problem is None:
        return value
    first, _, rest = text.partition(b"\n")
    return decode_line(first)[0] if rest else None


@lru_cache(maxsize=16)
def _tables(path: str, _mtime_ns: int, _size_bytes: int) -> dict[str, frozenset[str]]:
    try:
        with open_database(Path(path)) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
            return {name: frozenset(row[1] for row in connection.execute("SELECT * FROM pragma_table_info(?)", (name,))) for name in names}
    except (FormatError, *DATABASE_ERRORS):
        return {}


def tables_of(path: Path, head: bytes) -> dict[str, frozenset[str]]:
    """Return a SQLite file's tables and their columns; empty for any other file."""
    if not head.startswith(SQLITE_MAGIC):
        return {}
    try:
        facts = path.stat()
    except OSError:
        return {}
    return _tables(str(path), facts.st_mtime_ns, facts.st_size)


@contextmanager
def open_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open another program's SQLite file to read; nothing in it is changed, and what is in its WAL is seen.

    SQLite itself may leave its empty ``-wal`` and ``-shm`` files beside a database in WAL mode that nobody else has open. Where it must not
    write them (a read-only folder), a database without a WAL is read as one that does not change.

    Raises:
        FormatError: It cannot be opened.
    """
    try:
        connection = _connect(path, "mode=ro")
    except sqlite3.Error as error:
        raise FormatError(f"{path}: {error}", hint="is it readable, and is its folder?", path=str(path)) from error
    with closing(connection):
        connection.text_factory = _text
        connection.row_factory = sqlite3.Row
        yield connection


@contextmanager
def snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for one consistent look at it.

    Raises:
        FormatError: It cannot be opened or read.
    """
    with open_database(path) as connection:
        try:
            connection.execute("BEGIN")
            yield connection
        except DATABASE_ERRORS as error:
            raise FormatError(f"{path}: {error}", hint="is the file whole?", path=str(path)) from error


def _connect(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?{how}", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.OperationalError:
        connection.close()
        wal = path.with_name(path.name + "-wal")
        if "immutable" in how or (wal.exists() and wal.stat().st_size):
            raise
        return _connect(path, f"{how}&immutable=1")
    except sqlite3.DatabaseError:  # damage is for whoever reads to find
        pass
    return connection


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
