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
    for (line,) in cursor.execute(f"PRAGMA quick_check({PROBLEMS_MAX})").fetchall():
        if line != "ok":
            yield str(line)
    for name in edited(cursor):
        yield f"migration {name} was applied in another form than this code has it: the schema may differ"
    for tenant, session_id, last_seq, events, pruned in cursor.execute(_INCOMPLETE, (PROBLEMS_MAX,)).fetchall():
        yield f"session {session_id!r} of tenant {tenant!r}: last seq is {last_seq}, {events} events and {pruned} pruned are there"


def _size(path: str) -> int:
    file = Path(path)
    return file.stat().st_size if file.exists() else 0
