"""A transaction of several round trips, bound to a tenant: what the hot path does not need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

from turnfold.stores.postgres.packing import answer_of
from turnfold.stores.postgres.values import parameters
from turnfold.stores.postgres.wire import BEGIN, COMMIT, ROLLBACK, SET_TENANT, Lost, Step, Wire

Row = tuple[Any, ...]


class Transaction:
    """Statements of one transaction; those without a result wait for the next that has one."""

    __slots__ = ("_waiting", "wire")

    def __init__(self, wire: Wire, tenant: str) -> None:
        """Begin with the first statement."""
        self.wire = wire
        self._waiting: list[tuple[str, Sequence[Any], Sequence[int]]] = [
            (BEGIN, *parameters(())),
            (SET_TENANT, *parameters((tenant,))),
        ]

    def later(self, sql: LiteralString, *values: Any) -> None:
        """Run a statement whose rows nobody needs, with the next round trip."""
        self._waiting.append((sql, *parameters(values)))

    def rows(self, sql: LiteralString, *values: Any) -> list[Row]:
        """Run a statement and return its rows."""
        return self.all_rows([(sql, values)])[0]

    def row(self, sql: LiteralString, *values: Any) -> Row | None:
        """Run a statement and return its first row."""
        found = self.rows(sql, *values)
        return found[0] if found else None

    def all_rows(self, steps: Sequence[Step]) -> list[list[Row]]:
        """Run several statements in one round trip and return the rows of each."""
        return self.calls([(sql, *parameters(values)) for sql, values in steps])

    def answer(self, calls: Sequence[tuple[str, Sequence[Any], Sequence[int]]]) -> tuple[int, int, str, str]:
        """Run calls, the last of which is ``commit_events`` after everything was checked, and return what it says."""
        waiting, self._waiting = self._waiting, []
        found = answer_of(self.wire.run([*waiting, *calls])[-1].get_value(0, 0))
        assert found is not None, "what was checked under the lock is not refused"
        return found

    def calls(self, calls: Sequence[tuple[str, Sequence[Any], Sequence[int]]]) -> list[list[Row]]:
        """The same for statements with wire values."""
        waiting, self._waiting = self._waiting, []
        results = self.wire.run([*waiting, *calls])
        return [self.wire.rows(result) for result in results[len(waiting) :]]

    def commit(self) -> None:
        """Send what waits, and commit."""
        self.all_rows([(COMMIT, ())])

    def roll_back(self) -> None:
        """Undo everything; nothing was begun before the first round trip."""
        if not self.wire.is_broken() and not self.wire.is_idle():
            self.wire.ask([(ROLLBACK, ())])


@contextmanager
def transaction(wire: Wire, tenant: str) -> Iterator[Transaction]:
    """Run a transaction: committed at the end, rolled back on any error."""
    opened = Transaction(wire, tenant)
    try:
        yield opened
        opened.commit()
    except Lost:
        raise
    except BaseException:
        opened.roll_back()
        raise
