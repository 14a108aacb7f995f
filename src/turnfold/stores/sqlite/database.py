"""Opening the file, and what SQLite's errors mean to a caller: always a TurnfoldError that names the path."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from turnfold.errors import InvalidInput, StoreClosed, StoreCorrupt, StoreUnavailable, TurnfoldError
from turnfold.limits import LOCK_WAIT_S_MAX
from turnfold.stores.sql.migrations import too_new
from turnfold.stores.sqlite.schema import APPLICATION_ID, SCHEMA_VERSION

DURABILITIES: Final = ("full", "normal")

STATEMENTS_CACHED: Final = 256
WAL_PAGES: Final = 1_000
"""The log is copied into the database when it has this many pages (4 MB), and then written again from its start: never truncated, because
blocks that are there already sync in half the time."""
LOG_BYTES_MAX: Final = 32 + WAL_PAGES * (24 + 4_096)
READER_CACHE_KIB: Final = 8_192
_LOOK_S: Final = 0.002

_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_CLOSED: Final = "Cannot operate on a closed"
_HINTS: Final = {
    sqlite3.SQLITE_FULL: "free some space, then try again; everything acknowledged is there",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "the folder must exist and be writable",
    sqlite3.SQLITE_IOERR: "look at the disk: space, quota, permissions, health",
    sqlite3.SQLITE_BUSY: "another program holds the database; end its transaction, then try again",
    sqlite3.SQLITE_PERM: "make the file and its folder writable",
}


def translate(path: str, error: Exception) -> TurnfoldError:
    """Return the error that a caller gets for one of SQLite's or the system's."""
    if isinstance(error, OSError):
        return StoreUnavailable(f"{path}: {error.strerror or error}", hint="the folder must exist and be writable", path=path)
    if isinstance(error, OverflowError | UnicodeEncodeError):
        return InvalidInput(f"a value cannot be stored: {error}")
    text = str(error)
    if isinstance(error, sqlite3.ProgrammingError) and text.startswith(_CLOSED):
        return StoreClosed(f"the store {path} is closed", path=path)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _CORRUPT:
        hint = "restore it from a backup, or read what is left with the sqlite3 program's .recover"
        return StoreCorrupt(f"{path}: {text}", hint=hint, path=path)
    if code == sqlite3.SQLITE_TOOBIG or isinstance(error, sqlite3.DataError):
        return InvalidInput(f"a value is too large for SQLite: {text}")
    return StoreUnavailable(f"{path}: {text}", hint=_HINTS.get(code, ""), path=path)


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn SQLite's and the system's errors into ours."""
    try:
        yield
    except (sqlite3.Error, OSError, OverflowError, UnicodeEncodeError) as error:
        raise translate(path, error) from error


def connect_writer(path: str, durability: str, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """Open the one writing connection; ``prepare`` creates or migrates the schema where that is needed."""
    _make_folder(path)
    connection = _connect(path)
    try:
        _check_identity(path, connection)
        _log_ahead(connection)
        connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
        # What is erased is overwritten, in freed pages too; Debian builds SQLite so, others do not.
        connection.execute("PRAGMA secure_delete = ON")
        prepare(connection)
        connection.execute("PRAGMA busy_timeout = 0")  # from here on the turnstile waits
    except BaseException:
        connection.close()
        raise
    return connection


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Turn on WAL. While another process does so to the same new file SQLite answers BUSY at once, whatever its timeout: ask again."""
    end = time.monotonic() + LOCK_WAIT_S_MAX
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_LOOK_S)
        else:
            return


def connect_reader(path: str) -> sqlite3.Connection:
    """Open a connection that can only read."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
    return connection


def _make_folder(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)


def _connect(path: str) -> sqlite3.Connection:
    return sqlite3.connect(
        path,
        timeout=LOCK_WAIT_S_MAX,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS_CACHED,
    )


def _check_identity(path: str, connection: sqlite3.Connection) -> None:
    """Refuse a file that is not ours or of a newer version, before anything is written to it."""
    connection.execute("BEGIN")  # one moment: another process may be making the schema, and is seen before it or after it
    try:
        application_id = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    finally:
        connection.execute("COMMIT")
    if application_id == APPLICATION_ID:
        if version > SCHEMA_VERSION:
            raise too_new(path, version, SCHEMA_VERSION)
        return
    if application_id or tables:
        raise StoreCorrupt(f"{path} is a database of another application", hint="choose another path", path=path)
