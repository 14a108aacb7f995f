"""What the file says about itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from turnfold.model.query import CheckReport
from turnfold.stores.sqlite.blocks import damaged
from turnfold.stores.sqlite.migrating import applied_numbers, edited

PROBLEMS_MAX: Final = 100
_INCOMPLETE: Final = (
    "SELECT s.tenant, s.session_id, c.last_seq, "
    "(SELECT count(*) FROM event WHERE pos > c.sn << 32 AND pos < (c.sn + 1) << 32) AS events, "
    "(SELECT ifnull(sum(last_seq - first_seq + 1), 0) FROM range_tombstone r WHERE r.sn = c.sn) AS gone "  # not "pruned": that is a column of counter
    "FROM counter c JOIN session s ON s.sn = c.sn WHERE events + gone <> c.last_seq LIMIT ?"
)
_TABLES: Final = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"


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
        "free_bytes": int(cursor.execute("PRAGMA freelist_count").fetchone()[0]) * int(cursor.execute("PRAGMA page_size").fetchone()[0]),
        "compacted_event_count": int(cursor.execute("SELECT ifnull(sum(event_count), 0) FROM block").fetchone()[0]),
        "event_count": int(cursor.execute("SELECT count(*) FROM event").fetchone()[0]),
    }
    return CheckReport(tuple(_problems(cursor)), facts)


def _problems(cursor: sqlite3.Cursor) -> Iterator[str]:
    yield from _quick_check(cursor)
    yield from damaged(cursor)
    for name in edited(cursor):
        yield f"migration {name} was applied in another form than this code has it: the schema may differ"
    for tenant, session_id, last_seq, events, pruned in cursor.execute(_INCOMPLETE, (PROBLEMS_MAX,)).fetchall():
        yield f"session {session_id!r} of tenant {tenant!r}: last seq is {last_seq}, {events} events and {pruned} pruned are there"


def _quick_check(cursor: sqlite3.Cursor) -> Iterator[str]:
    """SQLite's own check without its mistakes. A few rows of a mistaken table fill the answer; then every table is asked by itself."""
    lines = [str(line) for (line,) in cursor.execute(f"PRAGMA quick_check({PROBLEMS_MAX})").fetchall() if line != "ok"]
    if any(_is_mistaken(cursor, line) for line in lines):
        for (name,) in cursor.execute(_TABLES).fetchall():
            lines += [str(line) for (line,) in cursor.execute(f"PRAGMA quick_check({name})").fetchall() if line != "ok"]
    yield from dict.fromkeys(line for line in lines if not _is_mistaken(cursor, line))


def _is_mistaken(cursor: sqlite3.Cursor, line: str) -> bool:
    """Whether SQLite (3.40) sees a NULL that is not there: it confuses columns of a table whose key is not made of its first ones."""
    place = line.removeprefix("NULL value in ")
    if place == line:
        return False
    table, _, column = place.partition(".")
    return cursor.execute(f'SELECT 1 FROM "{table}" WHERE "{column}" IS NULL LIMIT 1').fetchone() is None


def _size(path: str) -> int:
    file = Path(path)
    return file.stat().st_size if file.exists() else 0
