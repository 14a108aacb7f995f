"""Migrations: numbered SQL files, and which of them a database has, lacks, or must not have.

Theory of operation. A file is called ``NNNN.pre.title.sql`` or ``NNNN.post.title.sql`` and lies in ``migrations/`` beside the module that
lists its name. ``pre`` adds (tables, columns, indexes, functions) and is applied before the new code runs: the code of the previous release goes
on working on the result. ``post`` is applied once every process runs the new code: it drops, constrains, or allows what the previous code
cannot read. A pre migration works whether or not an earlier post has been applied, because nobody is made to run those in time; a post
migration may count on every pre migration before it. The schema is the sum of all files in order.

Each database keeps two things: the numbers that were applied, and one number ``needs``, the oldest code that may use it, where the number of a
code is that of the last migration it knows. A post migration raises ``needs`` to its own number, a pre migration leaves it, unless the file's
first line says otherwise (``-- needs code: N``). So a database is refused by name by the code that would misread it, and only by that; one
with a newer pre migration alone opens as ever.

The texts are data of the package, read when something is to be applied and never by who opens a database that is up to date. They are
therefore no ``LiteralString``, which only text in the source can be: what keeps values out of them is that nothing is ever put into them.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, Protocol, cast

import msgspec

from turnfold.errors import SchemaOutdated, SchemaTooNew
from turnfold.model.query import MigrationReport

PRE: Final = "pre"
POST: Final = "post"
AUTO: Final = "auto"
"""Option ``migrate``: pre migrations are applied when the store is opened."""
MANUAL: Final = "manual"
"""Option ``migrate``: a store that lacks one refuses to work until ``turnfold store migrate`` was run."""
LATER: Final = "later"
"""How ``migrate`` itself opens a store: as it is."""
MIGRATE_MODES: Final = (AUTO, MANUAL)
FIRST_NUMBER: Final = 1

_NEEDS: Final = "-- needs code: "


class _Loader(Protocol):
    def get_data(self, path: str) -> bytes: ...


class Migration(msgspec.Struct, frozen=True):
    """One file. ``needs`` is the number of the oldest code that may use a database where it was applied."""

    number: int
    phase: str
    name: str
    sql: str
    needs: int

    @property
    def checksum(self) -> str:
        """CRC-32 of the text: a file that was edited after it was applied somewhere shows."""
        return f"{zlib.crc32(self.sql.encode()):08x}"


def number_of(name: str) -> int:
    """Return the number in a migration's name."""
    return int(name.partition(".")[0])


def numbers(names: Sequence[str], phase: str | None = None) -> frozenset[int]:
    """Return the numbers of all migrations, or of those of one phase."""
    return frozenset(number_of(name) for name in names if phase is None or name.split(".")[1] == phase)


def load(module: str, names: Sequence[str]) -> tuple[Migration, ...]:
    """Read the files ``migrations/<name>.sql`` beside a module, in order.

    Args:
        module: Dotted name of the imported module that lists them.
        names: Names without ``.sql``, numbered from 1 without a gap.
    """
    assert [number_of(name) for name in names] == list(range(FIRST_NUMBER, FIRST_NUMBER + len(names))), "migrations are numbered in order"
    spec = sys.modules[module].__spec__
    assert spec is not None
    assert spec.origin is not None
    loader = cast("_Loader", spec.loader)  # what importlib.resources does in the end, without its import of 3.5 ms
    folder = Path(spec.origin).parent / "migrations"
    return tuple(_parse(name, loader.get_data(str(folder / f"{name}.sql")).decode()) for name in names)


def _parse(name: str, text: str) -> Migration:
    number, phase, _ = name.split(".")
    assert phase in {PRE, POST}, f"{name}: a migration is pre or post"
    sql = text.replace("\r\n", "\n")
    first_line = sql.partition("\n")[0]
    own = int(number) if phase == POST else FIRST_NUMBER
    needs = int(first_line.removeprefix(_NEEDS)) if first_line.startswith(_NEEDS) else own
    return Migration(int(number), phase, name, sql, needs)


def pending(known: Sequence[Migration], applied: Collection[int], *, post: bool) -> list[Migration]:
    """Return what is to be applied, in order: pre migrations, and the others too where ``post`` is set."""
    return [item for item in known if item.number not in applied and (post or item.phase == PRE)]


def lacking(names: Sequence[str], applied: Collection[int], through: int = 0) -> list[str]:
    """Return the names of what a database lacks: pre migrations, and with ``through`` all up to that number."""
    wanted = numbers(names, PRE) if not through else {number for number in numbers(names) if number <= through}
    return [name for name in names if number_of(name) in wanted and number_of(name) not in applied]


def too_new(where: str, needs: int, known: int) -> SchemaTooNew:
    """Return the error for a database that only newer code may use.

    Args:
        where: Its name for people, without a password.
        needs: The number of the oldest code that may use it.
        known: The number of this code.
    """
    return SchemaTooNew(
        f"{where} has a schema that needs version {needs}, this turnfold knows versions up to {known}",
        path=where,
        version=needs,
        known=known,
    )


def outdated(where: str, names: Sequence[str], *, post: bool = False) -> SchemaOutdated:
    """Return the error for a database that lacks migrations which this code, or with ``post`` what it was asked for, needs."""
    hint = "run `turnfold store migrate --post` when nothing runs the previous version any more" if post else None
    return SchemaOutdated(f"{where} lacks {', '.join(names)}", hint=hint, path=where, lacking=list(names))


def report(
    names: Sequence[str], before: Collection[int], after: Collection[int], done: Sequence[Migration], *, dry_run: bool
) -> MigrationReport:
    """Describe a run.

    Args:
        names: All that this code knows.
        before: Numbers of what the database had.
        after: Numbers of what it has now.
        done: What was applied, or would have been.
        dry_run: Nothing was written.
    """
    has = {*after, *(item.number for item in done)}
    return MigrationReport(
        before=max(before, default=0),
        after=max(after, default=0),
        known=number_of(names[-1]),
        applied=tuple(item.name for item in done),
        pending=tuple(name for name in names if number_of(name) not in has),
        dry_run=dry_run,
    )
