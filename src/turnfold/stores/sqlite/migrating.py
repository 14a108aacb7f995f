"""Bringing a file's schema up to date: when it is opened for writing (pre migrations), and on demand (all of them).

A new file is made by every migration in one transaction. A file with data takes each migration in a transaction of its own, together with
the row that says so: killed in between, it has whole migrations, and the next open goes on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, Protocol

from turnfold.model.query import MigrationReport
from turnfold.stores.sql.migrations import AUTO, FIRST_NUMBER, MANUAL, Migration, lacking, load, outdated, pending, report
from turnfold.stores.sqlite import schema
from turnfold.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS

_MIGRATION_TABLE: Final = 2
"""The migration that makes the table in which the others are noted."""
_NOTE: Final = "INSERT OR IGNORE INTO migration(number, name, checksum, applied_at_us) VALUES(?, ?, ?, ?)"


def load_all() -> tuple[Migration, ...]:
    """Read every migration that this code has."""
    return load(schema.__name__, MIGRATIONS)


def applied_numbers(cursor: sqlite3.Cursor | sqlite3.Connection) -> frozenset[int]:
    """Return the numbers of the migrations that a file has, none for an empty file."""
    try:
        return frozenset(row[0] for row in cursor.execute("SELECT number FROM migration"))
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
    return frozenset({FIRST_NUMBER} if cursor.execute("PRAGMA user_version").fetchone()[0] else ())


def edited(cursor: sqlite3.Cursor) -> list[str]:
    """Return the names of migrations that a file has with another text than this code."""
    rows = cursor.execute("SELECT number, checksum FROM migration").fetchall()
    texts = {item.number: item for item in load_all()}
    return [texts[number].name for number, checksum in rows if number in texts and texts[number].checksum != checksum]


def prepare(path: str, connection: sqlite3.Connection, mode: str, now_us: int) -> None:
    """Make a new file's schema, or apply the pre migrations that a file lacks.

    Raises:
        SchemaOutdated: It lacks some, and the mode is ``manual``.
    """
    applied = applied_numbers(connection)
    missing = lacking(MIGRATIONS, applied)
    if not missing:
        return
    if not applied:
        _in_transaction(connection, load_all(), now_us)
    elif mode == AUTO:
        for item in pending(load_all(), applied, post=False):
            _in_transaction(connection, (item,), now_us)
    elif mode == MANUAL:
        raise outdated(path, missing)


def _in_transaction(connection: sqlite3.Connection, items: Sequence[Migration], now_us: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        apply(connection, items, now_us)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def apply(cursor: sqlite3.Cursor | sqlite3.Connection, items: Sequence[Migration], now_us: int) -> list[Migration]:
    """Apply, inside a transaction, what another process has not applied meanwhile; return what that was."""
    before = applied_numbers(cursor)
    done = [item for item in items if item.number not in before]
    for item in done:
        for statement in statements(item.sql):
            cursor.execute(statement)
    after = before | {item.number for item in done}
    if _MIGRATION_TABLE in after:
        for item in load_all() if FIRST_NUMBER in before else items:
            if item.number in after:
                cursor.execute(_NOTE, (item.number, item.name, item.checksum, now_us))
    version = cursor.execute("PRAGMA user_version").fetchone()[0]
    cursor.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    cursor.execute(f"PRAGMA user_version = {max([version, *(item.needs for item in done)])}")
    return done


def statements(script: str) -> Iterator[str]:
    """Cut a script into statements (``executescript`` would commit the transaction first)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


class Transact(Protocol):
    """Runs work in a write transaction of its own."""

    def __call__(self, work: Callable[[sqlite3.Cursor], list[Migration]], /) -> list[Migration]:
        """Return what the work returns."""
        ...


def migrate(transact: Transact, read: Callable[[], frozenset[int]], *, dry_run: bool, post: bool, now_us: int) -> MigrationReport:
    """Apply what a file lacks.

    Args:
        transact: Runs one migration.
        read: Says which the file has.
        dry_run: Only say what would be done.
        post: Take the post migrations too.
        now_us: Noted with each.
    """
    before = read()
    todo = pending(load_all(), before, post=post)
    if dry_run:
        return report(MIGRATIONS, before, before, todo, dry_run=True)
    done: list[Migration] = []
    for item in todo:
        done += transact(partial(apply, items=(item,), now_us=now_us))
    return report(MIGRATIONS, before, read(), done, dry_run=False)
