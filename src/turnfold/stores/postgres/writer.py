"""How commits reach the server: alone in one round trip, or in a group in one round trip and one transaction.

Theory of operation. Commits of all threads meet at a combining lock (``stores._combiner``); its holder has one connection. A commit that
``packing`` can put into calls goes out in one round trip; the server acts only if every check holds, and otherwise says nothing (no row) or
fails, and has changed nothing. Then, and for the rare kinds, the long way (``slow``) finds the error or does it. A group of single appends is one
transaction: a refused member writes nothing and leaves the others alone; an error (an id that exists) undoes the group, and each goes alone.
Members are sent in the order of their keys, as everywhere, so that groups of two processes cannot wait for each other.

When the connection breaks, a commit with events is made again on a new one, once the server is back: if it had been written, its ids are there,
and the answer is the original places. A commit without events has nothing to be recognised by; it is made again only if it was never sent.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from turnfold.errors import InvalidInput, StoreClosed, StoreUnavailable, TurnfoldError
from turnfold.ids import check_session_id
from turnfold.limits import POSTGRES_GROUP_MAX, POSTGRES_LANES
from turnfold.model.commit import Commit, Committed
from turnfold.model.session import SessionKey
from turnfold.ports.store import Clock
from turnfold.stores._combiner import Combiner
from turnfold.stores.postgres import packing
from turnfold.stores.postgres.packing import Call, append_call, commit_call, create_call, is_regular, is_single
from turnfold.stores.postgres.pool import Pool
from turnfold.stores.postgres.slow import commit_slowly
from turnfold.stores.postgres.wire import Lost, Refused, Wire, translate

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

T = TypeVar("T")

_TRUE = b"\1"
_UNDECIDED = ("53", "57", "58")
"""Classes of states that say nothing about the commit: resources, cancellation, the system."""
UNSTORABLE = (UnicodeEncodeError, struct.error, OverflowError)
"""What Python says to values that no column takes: lone surrogates, numbers beyond 64 bits."""


def unstorable(error: Exception) -> InvalidInput:
    """Return the error for such a value."""
    return InvalidInput(f"a value cannot be stored: {error}")


class Writer:
    """Commits of one store, on a few lanes: a session always takes the same one, so that its commits meet in groups and not at its lock."""

    def __init__(self, pool: Pool, where: str, clock: Clock | None, integrity_key: bytes | None) -> None:
        """Prepare; a lane connects when it is first used.

        Args:
            pool: Of the store.
            where: The store's name in errors.
            clock: The time in microseconds; None takes the server's.
            integrity_key: HMAC key of the digests, to recognise repeats.
        """
        self._lanes = tuple(_Lane(pool, where, clock, integrity_key) for _ in range(POSTGRES_LANES))

    def commit(self, commit: Commit) -> Committed | Exception:
        """Write a commit, together with those of other threads."""
        return self._lanes[hash(commit.key) % POSTGRES_LANES].submit((commit,))[0]

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        """Write commits, each on its own, in one go."""
        return self._lanes[hash(commits[0].key) % POSTGRES_LANES].submit(commits)

    def close(self) -> None:
        """Finish what is being written."""
        for lane in self._lanes:
            lane.close()


class _Lane:
    """One connection, and who waits for it."""

    def __init__(self, pool: Pool, where: str, clock: Clock | None, integrity_key: bytes | None) -> None:
        self._pool = pool
        self._where = where
        self._clock = clock
        self._key = integrity_key
        self._wire: Wire | None = None
        self._closed = False
        self._combiner: Combiner[Commit, Committed] = Combiner(self._run, group_max=POSTGRES_GROUP_MAX)
        self.submit = self._combiner.submit

    def close(self) -> None:
        """Finish what is being written."""
        with self._combiner.exclusive():
            self._closed = True
            if self._wire is not None:
                self._wire.close()
                self._wire = None

    # ---- groups ----------------------------------------------------------------------------------------------------------------------
    def _run(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        if self._closed:
            return [StoreClosed(f"the store {self._where} is closed", path=self._where) for _ in commits]
        if len(commits) == 1:
            return [self._one(commits[0])]
        results: list[Committed | Exception | None] = [None] * len(commits)
        singles = list(_leading_singles(commits))
        singles.sort(key=lambda at: commits[at].key)
        for first in range(0, len(singles), POSTGRES_GROUP_MAX):
            group = singles[first : first + POSTGRES_GROUP_MAX]
            for at, result in zip(group, self._together([commits[at] for at in group]), strict=True):
                results[at] = result
        return [self._one(commits[at]) if result is None else result for at, result in enumerate(results)]

    def _together(self, commits: Sequence[Commit]) -> list[Committed | None]:
        """Append several events in one transaction; None for each that has to go alone."""
        try:
            wire = self._connected()
            now_us = self._now()
            results = wire.run([append_call(commit, now_us) for commit in commits])
        except (Refused, Lost, *UNSTORABLE):
            return [None] * len(commits)
        return [_appended(result, commit) for result, commit in zip(results, commits, strict=True)]

    # ---- one commit ------------------------------------------------------------------------------------------------------------------
    def _one(self, commit: Commit) -> Committed | Exception:
        try:
            return self._again(lambda wire: self._commit(wire, commit), repeatable=bool(commit.events))
        except TurnfoldError as error:
            return error
        except UNSTORABLE as error:
            return unstorable(error)
        except Refused as error:
            return translate(self._where, error)

    def _commit(self, wire: Wire, commit: Commit) -> Committed:
        now_us = self._now()
        done: Committed | None = None
        if commit.genesis is not None:
            check_session_id(commit.key.session_id)  # only what creates a session can have an id that is none
        try:
            if is_single(commit):
                done = _appended(wire.run((append_call(commit, now_us),))[0], commit)
            elif is_regular(commit):
                calls: list[Call] = [] if commit.genesis is None else [create_call(commit, commit.genesis, now_us)]
                results = wire.run([*calls, commit_call(commit, now_us)])
                done = _appended(results[-1], commit, created=len(results) > 1 and results[0].get_value(0, 0) == _TRUE)
        except Refused as error:
            if error.state.startswith(_UNDECIDED):
                raise
        return commit_slowly(wire, commit, now_us, self._key) if done is None else done

    def _again(self, work: Callable[[Wire], T], *, repeatable: bool) -> T:
        """Run work on the writing connection, and once more on a new one if that broke.

        Raises:
            StoreUnavailable: It broke, and nobody can say whether the work was done.
        """
        try:
            return work(self._connected())
        except Lost as lost:
            if lost.sent and not repeatable:
                raise self._unknown(lost) from lost
            try:
                self._wire = None
                self._wire = self._pool.patient()
                return work(self._wire)
            except Lost as again:
                raise (self._unknown(lost) if lost.sent or again.sent else translate(self._where, again)) from again

    def _unknown(self, lost: Lost) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self._where}: {lost}; the commit may or may not have been written",
            hint="try again with the same event ids: what was written is recognised",
            path=self._where,
        )

    def _connected(self) -> Wire:
        wire = self._wire
        if wire is None or wire.is_broken() or not wire.is_idle():  # not idle: a caller was interrupted while he waited
            if wire is not None:
                wire.close()
            self._wire = None
            wire = self._wire = self._pool.patient() if wire is not None else Wire(self._pool.options)
        return wire

    def _now(self) -> int | None:
        return None if self._clock is None else self._clock()


def _leading_singles(commits: Sequence[Commit]) -> Iterator[int]:
    """Places of single appends; not of those behind another commit to the same session, which may have to come first."""
    others: set[SessionKey] = set()
    for at, commit in enumerate(commits):
        if commit.key not in others and is_single(commit):
            yield at
        else:
            others.add(commit.key)


def _appended(result: PGresult, commit: Commit, *, created: bool = False) -> Committed | None:
    """Read the answer of ``append`` or ``commit_events``; None where it refused."""
    answer = packing.answer_of(result.get_value(0, 0))
    if answer is None:
        return None
    last_seq, now_us, incarnation, branch = answer
    count = len(commit.events)
    if not count:
        return Committed(0, 0, False, None, created, incarnation, branch, now_us)
    return Committed(last_seq - count + 1, last_seq, False, None, created, incarnation, branch, now_us)
