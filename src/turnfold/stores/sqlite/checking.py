"""What the file says about itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from turnfold.model.query import CheckReport
from turnfold.stores.sqlite.migrating import applied_numbers, edited

PROBLEMS_MAX: Final = 100
_INCOMPLETE: Final = (
    "SELECT s.tenant, s.session_id, c.last_seq, "
    "(SELECT count(*) FROM event WHERE pos > c.sn << 32 AND pos < (c.sn + 1) << 32) AS events, "
    "(SELECT ifnull(sum(last_seq - first_seq + 1), 0) FROM range_tombstone r WHERE r.sn = c.sn) AS pruned "
    "FROM counter c JOIN session s ON s.sn = c.sn WHERE events + pruned <> c.last_seq LIMIT ?"
)
_SEEMING: Final = "NULL value in seal."
_NULL_IN_SEAL: Final = (
    "SELECT 1 FROM seal WHERE upto_seq IS NULL OR previous IS NULL OR root IS NULL OR at_us IS NULL OR signature IS NULL LIMIT 1"
)
_OTHER_TABLES: Final = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'seal' AND sql NOT LIKE 'CREATE VIRTUAL%'"


def check_database(cursor: sqlite3.Cursor, path: str, durability: str) -> CheckReport:
    """Look for damage: SQLite's own check, then whether every session has as many events as its counter says."""
    facts: dict[str, str | int | float | bool] = {
        "path": path,
        "size_bytes": _size(path),
        "wal_bytes": _size(f"{path}-wal"),
        "sqlite_version": sqlite3.sqlite_version,
        "schema_version": max(applied_numbers(cursor)),
        "durability": durability,
        "journal_mode": str(cursor.execute("PRAGMA journal_mode").fetchone()[0]),
        "session_count": int(cursor.execute("SELECT count(*) FROM counter").fetchone()[0]),
        "event_count": int(cursor.execute("SELECT count(*) FROM event").fetchone()[0]),
    }
    return CheckReport(tuple(_problems(cursor)), facts)


def _problems(cursor: sqlite3.Cursor) -> Iterator[str]:
    yield from _quick_check(cursor)
    for name in edited(cursor):
        yield f"migration {name} was applied in another form than this code has it: the schema may differ"
    for tenant, session_id, last_seq, events, pruned in cursor.execute(_INCOMPLETE, (PROBLEMS_MAX,)).fetchall():
        yield f"session {session_id!r} of tenant {tenant!r}: last seq is {last_seq}, {events} events and {pruned} pruned are there"


def _quick_check(cursor: sqlite3.Cursor) -> Iterator[str]:
    """SQLite's own check, without what it only seems to see.

    SQLite (3.40.1 among others) reads the columns of a WITHOUT ROWID table in their stored order while it looks for NULL in the declared one;
    where the key is not what was declared first, as in ``seal``, it finds NULL in every row. Such lines fill the answer, so the other tables
    are then asked one by one.
    """
    lines = [str(line) for (line,) in cursor.execute(f"PRAGMA quick_check({PROBLEMS_MAX})").fetchall() if line != "ok"]
    if not any(line.startswith(_SEEMING) for line in lines) or cursor.execute(_NULL_IN_SEAL).fetchone():
        yield from lines
        return
    yield from (line for line in lines if not line.startswith(_SEEMING))
    names = [str(name) for (name,) in cursor.execute(_OTHER_TABLES).fetchall()]
    known = set(lines)
    for name in names:
        yield from (line for (line,) in cursor.execute(f"PRAGMA quick_check({name})").fetchall() if line != "ok" and line not in known)


def _size(path: str) -> int:
    file = Path(path)
    return file.stat().st_size if file.exists() else 0
