"""Making the schema on first use, and bringing it up to date: each migration in a transaction with the row that says so.

One process migrates at a time: an advisory lock of the transaction keeps the others waiting, and they find the work done.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from turnfold.errors import InvalidInput, PermissionDenied
from turnfold.model.query import MigrationReport
from turnfold.stores.postgres import schema
from turnfold.stores.postgres.schema import MIGRATIONS, SCHEMA_VERSION
from turnfold.stores.postgres.values import names
from turnfold.stores.postgres.wire import BEGIN, COMMIT, ROLLBACK, Refused, Wire
from turnfold.stores.sql.migrations import MANUAL, Migration, lacking, load, outdated, pending, report, too_new

_LOCK: Final = 0x5446
"""``TF``: the first key of our advisory locks."""
_FACTS: Final = (
    "SELECT current_setting('server_encoding'), to_regclass(current_setting('search_path') || '.migration') IS NOT NULL, "
    "current_setting('server_version_num')::bigint"
)
_APPLIED: Final = "SELECT number::bigint, needs::bigint FROM migration ORDER BY number"
_VERSION_MIN: Final = 130_000


def load_all() -> tuple[Migration, ...]:
    """Read every migration that this code has."""
    return load(schema.__name__, MIGRATIONS)


def applied_numbers(wire: Wire, where: str) -> frozenset[int]:
    """Return the numbers of the migrations that the schema has, none where there is no schema.

    Raises:
        SchemaTooNew: Newer code made it, and this code would misread it.
        InvalidInput: The server is too old, or the database does not keep text as UTF-8.
    """
    encoding, there, version = wire.ask([(_FACTS, ())])[0][0]
    if version < _VERSION_MIN:
        raise InvalidInput(f"{where}: the server's version is {version // 10_000}, it takes 13 or newer")
    if encoding != "UTF8":
        raise InvalidInput(f"{where}: the database keeps text as {encoding}", hint="create one with ENCODING 'UTF8'")
    if not there:
        return frozenset()
    rows = wire.ask([(_APPLIED, ())])[0]
    needs = max((row[1] for row in rows), default=0)
    if needs > SCHEMA_VERSION:
        raise too_new(where, needs, SCHEMA_VERSION)
    return frozenset(row[0] for row in rows)


def prepare(wire: Wire, where: str, schema_name: str, mode: str) -> None:
    """Make the schema, or apply the pre migrations that it lacks.

    Raises:
        SchemaOutdated: It lacks some, and the mode is ``manual``.
    """
    applied = applied_numbers(wire, where)
    missing = lacking(MIGRATIONS, applied)
    if not missing:
        return
    if applied and mode == MANUAL:
        raise outdated(where, missing)
    apply(wire, where, schema_name, load_all() if not applied else pending(load_all(), applied, post=False))


def apply(wire: Wire, where: str, schema_name: str, items: Sequence[Migration]) -> list[Migration]:
    """Apply what another process has not applied meanwhile; return what that was."""
    done: list[Migration] = []
    wire.ask([(BEGIN, ()), ("SELECT pg_advisory_xact_lock($1::int, $2::int)", (_LOCK, _lock_key(schema_name)))])
    try:
        wire.script(
            f'CREATE SCHEMA IF NOT EXISTS "{schema_name}"; SET LOCAL search_path = "{schema_name}"; SET LOCAL statement_timeout = 0'
        )
        before = applied_numbers(wire, where)
        for item in items:
            if item.number not in before:
                wire.script(item.sql)
                note = "INSERT INTO migration(number, name, checksum, needs, applied_at_us) VALUES($1, $2, $3, $4, clock_us())"
                wire.ask([(note, (item.number, item.name, item.checksum, item.needs))])
                done.append(item)
        wire.ask([(COMMIT, ())])
    except Refused as error:
        wire.ask([(ROLLBACK, ())])
        if error.state == "42501":
            hint = "open the store once with a role that may, then let it run SELECT grant_to('<role>')"
            raise PermissionDenied(f"{where}: this role may not make or change the schema: {error}", hint=hint) from error
        raise
    except BaseException:
        if not wire.is_broken():
            wire.ask([(ROLLBACK, ())])
        raise
    return done


def _lock_key(schema_name: str) -> int:
    return zlib.crc32(schema_name.encode()) & 0x7FFF_FFFF


def migrate(wire: Wire, where: str, schema_name: str, *, dry_run: bool, post: bool) -> MigrationReport:
    """Apply what the schema lacks; see ``ports.store``."""
    before = applied_numbers(wire, where)
    todo = pending(load_all(), before, post=post)
    if dry_run:
        return report(MIGRATIONS, before, before, todo, dry_run=True)
    done: list[Migration] = []
    for item in todo:
        done += apply(wire, where, schema_name, (item,))
    return report(MIGRATIONS, before, applied_numbers(wire, where), done, dry_run=False)


def edited(wire: Wire) -> list[str]:
    """Return the names of migrations that the schema has with another text than this code."""
    rows = wire.ask([("SELECT number::bigint, checksum FROM migration WHERE name = ANY($1)", (names(MIGRATIONS),))])[0]
    texts = {item.number: item for item in load_all()}
    return [texts[number].name for number, checksum in rows if texts[number].checksum != checksum]
