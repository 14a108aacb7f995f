"""Online backup: one moment of the database as a file of its own, while others write on.

SQLite's backup interface copies pages; a read transaction on the source holds the moment that it copies, so it neither waits for writers nor
begins again when they write. The copy is made beside its place, checked, synced and moved there.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from turnfold.errors import AlreadyExists, StoreCorrupt
from turnfold.model.query import CheckReport
from turnfold.stores.sqlite.checking import check_database
from turnfold.stores.sqlite.database import connect_reader, translated

PART_SUFFIX = ".part"


def backup_database(path: str, target: Path, *, replace: bool) -> CheckReport:
    """Copy a database to a new file.

    Args:
        path: The database.
        target: The file to make.
        replace: Put it in the place of one that is there.

    Returns:
        What the check of the copy found: no problems, and its facts.

    Raises:
        AlreadyExists: There is such a file.
        StoreCorrupt: The copy is damaged, and so is the source; what is at the target stays as it is.
        StoreUnavailable: It cannot be written.
    """
    if target.exists() and not replace:
        raise AlreadyExists(
            f"{target} exists already", hint="choose another name, or say that it is to be replaced", kind="file", name=str(target)
        )
    part = target.with_name(target.name + PART_SUFFIX)
    try:
        with translated(str(target)):
            target.parent.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            _copy(path, part)
            report = _check(part, target)
            _sync(part)
            part.replace(target)
            _sync(target.parent)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return report


def _copy(path: str, part: Path) -> None:
    source = connect_reader(path)
    try:
        copy = sqlite3.connect(part, isolation_level=None)
        try:
            copy.execute("PRAGMA synchronous = OFF")  # synced as a whole at the end
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM counter").fetchone()
            source.backup(copy)
            source.execute("COMMIT")
            copy.execute("PRAGMA journal_mode = DELETE")  # one file; whoever opens it as a store turns the log on again
        finally:
            copy.close()
    finally:
        source.close()


def _check(part: Path, target: Path) -> CheckReport:
    copy = connect_reader(str(part))
    try:
        report = check_database(copy.cursor(), str(target), "full")
    finally:
        copy.close()
    if report.problems:
        raise StoreCorrupt(
            f"the backup was not kept: {report.problems[0]}",
            hint="turnfold store check shows what is wrong with the store; copy what is readable with turnfold store copy",
            path=str(target),
        )
    facts = {**report.facts, "size_bytes": part.stat().st_size}
    return CheckReport((), {name: facts[name] for name in ("path", "size_bytes", "schema_version", "session_count", "event_count")})


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
