"""The PostgreSQL store: one database for any number of machines, nothing acknowledged is lost.

Theory of operation. A commit is one call of a function in the database, in one round trip: it takes the session's row of ``counter``, which is
the session's lock, and acts if every check holds (``writer``, ``packing``, ``migrations/``). What is refused or rare goes the long way under the
same lock (``slow``). Every statement names its tenant, and every transaction sets it for row-level security, the second lock. Reads are one round
trip on one snapshot each (``reads``). See ``watch`` for how followers hear of commits, ``indexing`` for search, ``wire`` for round trips.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from turnfold.core.checks import check_lease_ttl, not_found
from turnfold.errors import SchemaOutdated, StoreClosed, TurnfoldError
from turnfold.limits import COMPACT_SESSIONS
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import Seal
from turnfold.model.query import (
    ChangedSession,
    CheckReport,
    Compacted,
    EventPage,
    EventQuery,
    IndexRow,
    MigrationReport,
    SearchQuery,
    SearchRow,
    SessionQuery,
)
from turnfold.model.run import Run
from turnfold.model.session import Head, Lease, SessionInfo, SessionKey
from turnfold.ports.store import ATOMIC_ALSO, DURABLE, DURABLE_ON_ACK, MULTI_PROCESS, SEARCH_INDEX, Clock
from turnfold.stores.postgres import indexing, listing, migrating, reads, upkeep
from turnfold.stores.postgres.checking import check_database, is_durable
from turnfold.stores.postgres.compacting import Compactor
from turnfold.stores.postgres.options import parse
from turnfold.stores.postgres.pool import Pool
from turnfold.stores.postgres.schema import COMPACT_MIGRATION, MIGRATIONS
from turnfold.stores.postgres.watch import StoreWatch, Watcher
from turnfold.stores.postgres.wire import Lost, Refused, Wire, translate
from turnfold.stores.postgres.writer import UNSTORABLE, Writer, unstorable
from turnfold.stores.sql.migrations import lacking, outdated

T = TypeVar("T")

_stores: weakref.WeakSet[PostgresStore] = weakref.WeakSet()
_left_to_parent: list[object] = []
"""What a forked child inherited: its sockets belong to the parent, and are neither used nor closed in the child."""


class PostgresStore:
    """Sessions in a schema of a PostgreSQL database. Thread-safe, and safe for any number of processes and machines."""

    capabilities: frozenset[str]

    def __init__(self, url: str, *, clock: Clock | None = None, integrity_key: bytes | None = None) -> None:
        """Connect, and make the schema where it is not there.

        Args:
            url: ``postgresql://user@host/database?schema=…``; the other options are in ``stores.postgres.options``.
            clock: The time in microseconds since the epoch; None takes the server's, which all machines share.
            integrity_key: HMAC key of the digests that clients write, to recognise repeats.

        Raises:
            StoreUnavailable: The server cannot be reached, or lets nobody in.
            PermissionDenied: There is no schema, and this role may not make it.
            SchemaTooNew: A newer version of Turnfold made it.
        """
        self._options = parse(url)
        self.url = self._options.public_url
        self._clock = clock
        self._key = integrity_key
        self._closed = False
        self._refusal: SchemaOutdated | None = None
        self._begin()
        try:
            found = self._run(self._open, fresh=True)
        except BaseException:
            self._pool.close()
            raise
        self.capabilities = frozenset({DURABLE, MULTI_PROCESS, SEARCH_INDEX, ATOMIC_ALSO} | found)
        _stores.add(self)

    def _begin(self) -> None:
        self._pool = Pool(self._options)
        self._writer = Writer(self._pool, self.url, self._clock, self._key)
        self._watcher = Watcher(self._options, lambda steps: self._run(lambda wire: wire.ask(steps)))
        self._compactor = Compactor(self._run, self._now)
        self._may_compact = False
        self._purging: threading.Thread | None = None
        self._purge_lock = threading.Lock()
        self._buried: list[str] = []

    def _open(self, wire: Wire) -> set[str]:
        try:
            migrating.prepare(wire, self.url, self._options.schema, self._options.migrate)
        except SchemaOutdated as error:  # until somebody calls migrate
            self._refusal = error
        return {DURABLE_ON_ACK} if is_durable(wire) else set()

    def after_fork_in_child(self) -> None:
        """Start anew with connections of its own."""
        _left_to_parent.extend((self._pool, self._writer, self._watcher))
        self._begin()

    # ---- round trips -----------------------------------------------------------------------------------------------------------------
    def _run(self, work: Callable[[Wire], T], *, repeatable: bool = True, fresh: bool = False) -> T:
        """Do work on a connection of the pool; once more, when the server is back, if the connection broke.

        Args:
            work: What to do.
            repeatable: Doing it twice is as doing it once.
            fresh: Nobody was connected before: a server that is not there is an error at once.
        """
        self._check()
        try:
            try:
                with self._pool.lend() as wire:
                    return work(wire)
            except Lost as lost:
                if fresh or self._closed or (lost.sent and not repeatable):
                    raise
            with self._pool.lend(patient=True) as wire:
                return work(wire)
        except (Refused, Lost) as error:
            raise translate(self.url, error) from error
        except UNSTORABLE as error:
            raise unstorable(error) from error

    # ---- writing ---------------------------------------------------------------------------------------------------------------------
    def commit(self, commit: Commit) -> Committed:
        """See ``ports.store``."""
        if self._refusal is not None:
            raise self._refusal
        result = self._writer.commit(commit)
        if isinstance(result, Exception):
            raise result
        if self._watcher.watched:
            self._watcher.notify()
        return result

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        """See ``ports.store``."""
        if not commits:
            return []
        if self._refusal is not None:
            raise self._refusal
        results = self._writer.commit_many(commits)
        if self._watcher.watched:
            self._watcher.notify()
        return results

    # ---- reading ---------------------------------------------------------------------------------------------------------------------
    def read_events(self, query: EventQuery) -> EventPage:
        """See ``ports.store``."""
        return self._run(lambda wire: reads.read_events(wire, query))

    def get_session(self, key: SessionKey, *, owner: str | None = None) -> Head:
        """See ``ports.store``."""
        return self._run(lambda wire: reads.get_session(wire, key, owner, self._now()))

    def list_sessions(self, query: SessionQuery) -> tuple[list[SessionInfo], str | None]:
        """See ``ports.store``."""
        return self._run(lambda wire: listing.list_sessions(wire, query, self._now()))

    def last_seqs(self, keys: Iterable[SessionKey]) -> dict[SessionKey, tuple[str, int]]:
        """See ``ports.store``."""
        wanted = list(keys)
        return self._run(lambda wire: reads.last_seqs(wire, wanted))

    def get_run(self, key: SessionKey, run_id: str, *, owner: str | None = None) -> Run:
        """See ``ports.store``."""
        return self._run(lambda wire: reads.get_run(wire, key, owner, run_id))

    def list_runs(self, key: SessionKey, *, owner: str | None = None, status: str | None = None, limit: int = 100) -> list[Run]:
        """See ``ports.store``."""
        return self._run(lambda wire: reads.list_runs(wire, key, owner, status, limit))

    def read_part(self, key: SessionKey, ref: str, *, owner: str | None = None) -> bytes:
        """See ``ports.store``."""
        return self._run(lambda wire: reads.read_part(wire, key, owner, ref))

    def search(self, query: SearchQuery) -> list[SearchRow]:
        """See ``ports.store``; answers from what the search follower has indexed."""
        return self._run(lambda wire: indexing.search(wire, query))

    # ---- the session as a whole ------------------------------------------------------------------------------------------------------
    def delete_session(self, key: SessionKey, *, owner: str | None = None) -> None:
        """See ``ports.store``; the rows are purged in the background, or by the tenant's next deletion."""
        self._run(lambda wire: upkeep.bury(wire, key, owner, self._now()), repeatable=False)
        if self._watcher.watched:
            self._watcher.notify()
        with self._purge_lock:
            self._buried.append(key.tenant)
            if self._purging is None:
                self._purging = threading.Thread(target=self._purge, name="turnfold purge postgresql", daemon=True)
                self._purging.start()

    def _purge(self) -> None:
        while True:
            with self._purge_lock:
                if self._closed or not self._buried:
                    self._purging = None
                    return
                tenant = self._buried.pop()
            try:
                while not self._closed and self._run(lambda wire, of=tenant: upkeep.purge(wire, of)):  # type: ignore[misc]
                    pass
            except TurnfoldError:  # nobody waits for it; the next deletion goes on
                continue

    def acquire_lease(self, key: SessionKey, holder: str, ttl_s: float, *, owner: str | None = None) -> Lease:
        """See ``ports.store``."""
        ttl_us = check_lease_ttl(ttl_s)
        return self._run(lambda wire: upkeep.acquire_lease(wire, key, owner, holder, now_us=self._now(), ttl_us=ttl_us))

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """See ``ports.store``."""
        ttl_us = check_lease_ttl(ttl_s)
        return self._run(lambda wire: upkeep.renew_lease(wire, lease, now_us=self._now(), ttl_us=ttl_us))

    def release_lease(self, lease: Lease) -> None:
        """See ``ports.store``."""
        self._run(lambda wire: upkeep.release_lease(wire, lease))

    # ---- followers and seals ---------------------------------------------------------------------------------------------------------
    def changed_sessions(self, follower: str, limit: int) -> list[ChangedSession]:
        """See ``ports.store``; the list of a follower begins, with all sessions, when it first asks."""
        return self._run(lambda wire: upkeep.changed_sessions(wire, follower, limit))

    def advance(
        self,
        follower: str,
        key: SessionKey,
        *,
        incarnation: str,
        from_seq: int,
        to_seq: int,
        rows: Sequence[IndexRow] = (),
    ) -> bool:
        """See ``ports.store``."""

        def work(wire: Wire) -> bool:
            return upkeep.advance(wire, follower, key, incarnation=incarnation, from_seq=from_seq, to_seq=to_seq, rows=rows)

        return self._run(work)

    def follower_seq(self, follower: str, key: SessionKey) -> int:
        """See ``ports.store``."""
        return self._run(lambda wire: upkeep.follower_seq(wire, follower, key))

    def read_seals(self, key: SessionKey) -> list[Seal]:
        """See ``ports.store``."""
        found = self._run(lambda wire: upkeep.read_seals(wire, key))
        if found is None:
            raise not_found(key.session_id)
        return found

    def add_seal(self, key: SessionKey, seal: Seal, *, incarnation: str) -> bool:
        """See ``ports.store``."""
        return self._run(lambda wire: upkeep.add_seal(wire, key, seal, incarnation))

    # ---- the store as a whole --------------------------------------------------------------------------------------------------------
    def watch(self, wake: Callable[[], None]) -> StoreWatch:
        """See ``ports.store``."""
        self._check()
        try:
            return self._watcher.add(wake)
        except (Refused, Lost) as error:
            raise translate(self.url, error) from error

    def check(self) -> CheckReport:
        """See ``ports.store``; reads the index of every log."""
        return self._run(lambda wire: check_database(wire, self._options))

    def compact(self, *, sessions_max: int = COMPACT_SESSIONS) -> Compacted:
        """See ``ports.store``; nothing but this call compacts, of every tenant."""
        if not self._may_compact:
            applied = self._run(lambda wire: migrating.applied_numbers(wire, self.url))
            missing = lacking(MIGRATIONS, applied, COMPACT_MIGRATION)
            if missing:
                raise outdated(self.url, missing, post=True)
            self._may_compact = True
        return self._compactor.step(sessions_max)

    def migrate(self, *, dry_run: bool = False, post: bool = False) -> MigrationReport:
        """See ``ports.store``."""
        refusal, self._refusal = self._refusal, None
        try:
            done = self._run(lambda wire: migrating.migrate(wire, self.url, self._options.schema, dry_run=dry_run, post=post))
        except BaseException:
            self._refusal = refusal
            raise
        if dry_run:
            self._refusal = refusal
        return done

    def close(self) -> None:
        """See ``ports.store``; what is being written is finished first."""
        if self._closed:
            return
        self._closed = True
        self._watcher.close()
        self._writer.close()
        purging = self._purging
        if purging is not None:
            purging.join(5)
        self._pool.close()
        _stores.discard(self)

    def _now(self) -> int | None:
        return None if self._clock is None else self._clock()

    def _check(self) -> None:
        """Raise StoreClosed or, where the schema lacks migrations, SchemaOutdated."""
        if self._closed:
            raise self._closed_error()
        if self._refusal is not None:
            raise self._refusal

    def _closed_error(self) -> StoreClosed:
        return StoreClosed(f"the store {self.url} is closed", path=self.url)


def _anew() -> None:
    for store in list(_stores):
        store.after_fork_in_child()


os.register_at_fork(after_in_child=_anew)
