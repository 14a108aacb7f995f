"""The SQLite store: one file, any number of threads and processes, nothing acknowledged is lost.

Theory of operation. One connection writes, behind a combining lock (``stores._combiner``) in the process and a turnstile between processes;
commits that meet there share a transaction and its sync. Reads run beside it on connections of their own, each in one read transaction, and
never wait. See ``schema`` for what is where, ``writer`` for how a commit is written.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from turnfold.core.checks import check_lease_ttl
from turnfold.errors import InvalidInput, SchemaOutdated, StoreClosed, TurnfoldError
from turnfold.ids import now_us
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
from turnfold.ports.store import ATOMIC_ALSO, COMPACTS, DURABLE, DURABLE_ON_ACK, MULTI_PROCESS, SEARCH_INDEX, Clock
from turnfold.stores._combiner import Combiner
from turnfold.stores.sql.migrations import AUTO, LATER, MIGRATE_MODES, lacking, outdated
from turnfold.stores.sqlite import indexing, listing, reads, upkeep
from turnfold.stores.sqlite.blocks import BlockCache
from turnfold.stores.sqlite.checking import check_database
from turnfold.stores.sqlite.compacting import COMPACT
from turnfold.stores.sqlite.compactor import Compactor
from turnfold.stores.sqlite.database import DURABILITIES, connect_reader, translate, translated
from turnfold.stores.sqlite.live import Live
from turnfold.stores.sqlite.migrating import applied_numbers
from turnfold.stores.sqlite.schema import COMPACT_MIGRATION, MIGRATIONS
from turnfold.stores.sqlite.seals import read_seals
from turnfold.stores.sqlite.watch import StoreWatch, Watcher
from turnfold.stores.sqlite.writer import Writer

T = TypeVar("T")

READERS_KEPT_MAX: Final = 16
"""Idle read connections that are kept; more are opened when more threads read at once, and closed afterwards."""

_stores: weakref.WeakSet[SqliteStore] = weakref.WeakSet()
_left_to_parent: list[object] = []
"""Connections that a forked child inherited: neither used nor closed there, because SQLite's locks belong to the parent."""


def _create_private(path: Path) -> None:
    """Create the file, and its folder, for its user alone: transcripts hold secrets. What is there keeps its mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


class SqliteStore:
    """Sessions in one SQLite file. Thread-safe, safe for several processes, and usable on both sides of a fork."""

    capabilities: frozenset[str]

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: str = "full",
        clock: Clock = now_us,
        integrity_key: bytes | None = None,
        migrate: str = AUTO,
    ) -> None:
        """Open the file, creating it (and its folder) where it is not there.

        Args:
            path: The database file.
            durability: ``full`` syncs before each acknowledgement: it survives a power loss. ``normal`` syncs now and then: it survives the
                process; a power loss may take the last seconds.
            clock: The wall clock, microseconds since the epoch.
            integrity_key: HMAC key of the digests that clients write, to recognise repeats.
            migrate: ``auto`` applies pre migrations that an older file lacks; ``manual`` leaves them to ``migrate``, and until then everything
                else is refused as SchemaOutdated.

        Raises:
            StoreUnavailable: The file cannot be opened or created.
            StoreCorrupt: It is no database, or another application's.
            SchemaTooNew: A newer version of Turnfold wrote it.
        """
        if durability not in DURABILITIES:
            raise InvalidInput(f"durability {durability!r} is none of {', '.join(DURABILITIES)}")
        if migrate not in MIGRATE_MODES:
            raise InvalidInput(f"migrate {migrate!r} is none of {', '.join(MIGRATE_MODES)}")
        if os.fspath(path) in {"", ":memory:"}:
            raise InvalidInput("the SQLite store needs a file", hint="use memory:// for a store without one")
        self.path = str(Path(path).absolute())
        self.url = f"sqlite:///{quote(self.path)}" + ("" if durability == "full" else f"?durability={durability}")
        self.capabilities = frozenset(
            {DURABLE, MULTI_PROCESS, SEARCH_INDEX, ATOMIC_ALSO, COMPACTS} | ({DURABLE_ON_ACK} if durability == "full" else set())
        )
        self._durability = durability
        self._clock = clock
        self._key = integrity_key
        self._migrate = migrate
        self._closed = False
        self._refusal: TurnfoldError | None = None
        self._forking = contextlib.ExitStack()
        self._begin()
        self._writer: Writer | None = None
        try:
            self._writer = self._open_writer(migrate)
        except SchemaOutdated as error:  # until somebody calls migrate
            self._refusal = error
        _stores.add(self)

    def _begin(self) -> None:
        self._readers: deque[tuple[sqlite3.Connection, sqlite3.Cursor]] = deque()
        self._combiner: Combiner[Commit, Committed] = Combiner(self._run)
        self._blocks = BlockCache()
        self._compactor = Compactor(self._reading, self._rewriting, self._clock)
        self._may_compact = False
        self._watcher = Watcher(self.path, lambda: connect_reader(self.path))

    def _open_writer(self, migrate: str) -> Writer:
        with translated(self.path):
            _create_private(Path(self.path))
            return Writer(self.path, self._durability, self._clock, self._key, migrate)

    def before_fork(self) -> None:
        """Close the idle connections, and let nobody open the writing one until the fork is done.

        SQLite keeps its locks in a table of the process. A child that inherited it would believe that it holds locks which are its
        parent's; the parent, at its end, would find itself alone and take the log away under the child's hands.
        """
        self._forking.enter_context(self._combiner.exclusive())
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        while self._readers:
            self._readers.pop()[0].close()

    def after_fork_in_parent(self) -> None:
        """Go on; connections are opened again when they are needed."""
        self._forking.close()

    def after_fork_in_child(self) -> None:
        """Start anew. What other threads of the parent were using is left to it."""
        self._forking.pop_all()
        _left_to_parent.extend((self._readers, self._watcher))
        self._begin()

    # ---- writing ---------------------------------------------------------------------------------------------------------------------
    def commit(self, commit: Commit) -> Committed:
        """See ``ports.store``."""
        result = self._combiner.submit((commit,))[0]
        if isinstance(result, Exception):
            raise result
        if self._watcher.watched:
            self._watcher.notify()
        return result

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        """See ``ports.store``."""
        if not commits:
            return []
        results = self._combiner.submit(commits)
        if self._watcher.watched:
            self._watcher.notify()
        return results

    def _run(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        writer = self._writer
        if writer is None:
            writer = self._reopen()
        return writer.run(commits)

    def _reopen(self) -> Writer:
        """Open the writing connection after a fork."""
        self._check()
        self._writer = writer = self._open_writer(self._migrate)
        return writer

    def _check(self) -> None:
        """Raise StoreClosed or, where the file lacks migrations, SchemaOutdated."""
        if self._closed:
            raise self._closed_error()
        if self._refusal is not None:
            raise self._refusal

    def _transact(self, work: Callable[[sqlite3.Cursor], T]) -> T:
        with self._combiner.exclusive():
            writer = self._writer
            return (self._reopen() if writer is None else writer).transact(work)

    # ---- reading ---------------------------------------------------------------------------------------------------------------------
    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Cursor]:
        """Lend a cursor inside a read transaction."""
        if self._closed or self._refusal is not None:
            self._check()
        try:
            try:
                reader = self._readers.pop()
            except IndexError:
                connection = connect_reader(self.path)
                reader = connection, connection.cursor()
            connection, cursor = reader
            kept = False
            try:
                try:
                    cursor.execute("BEGIN")
                    yield cursor
                finally:
                    if connection.in_transaction:
                        cursor.execute("COMMIT")
                kept = True
            except TurnfoldError:  # what was not found says nothing against the connection
                kept = True
                raise
            finally:
                if kept and not self._closed and len(self._readers) < READERS_KEPT_MAX:
                    self._readers.append(reader)
                else:
                    connection.close()
        except (sqlite3.Error, OSError, OverflowError, UnicodeEncodeError) as error:
            raise translate(self.path, error) from error

    def read_events(self, query: EventQuery) -> EventPage:
        """See ``ports.store``."""
        with self._reading() as cursor:
            return reads.read_events(cursor, query, self._blocks)

    def get_session(self, key: SessionKey, *, owner: str | None = None) -> Head:
        """See ``ports.store``."""
        with self._reading() as cursor:
            return reads.get_session(cursor, key, owner, self._clock())

    def list_sessions(self, query: SessionQuery) -> tuple[list[SessionInfo], str | None]:
        """See ``ports.store``."""
        with self._reading() as cursor:
            return listing.list_sessions(cursor, query, self._clock())

    def last_seqs(self, keys: Iterable[SessionKey]) -> dict[SessionKey, tuple[str, int]]:
        """See ``ports.store``."""
        with self._reading() as cursor:
            return reads.last_seqs(cursor, keys)

    def get_run(self, key: SessionKey, run_id: str, *, owner: str | None = None) -> Run:
        """See ``ports.store``."""
        with self._reading() as cursor:
            return reads.get_run(cursor, key, owner, run_id)

    def list_runs(self, key: SessionKey, *, owner: str | None = None, status: str | None = None, limit: int = 100) -> list[Run]:
        """See ``ports.store``."""
        with self._reading() as cursor:
            return reads.list_runs(cursor, key, owner, status, limit)

    def read_part(self, key: SessionKey, ref: str, *, owner: str | None = None) -> bytes:
        """See ``ports.store``."""
        with self._reading() as cursor:
            return reads.read_part(cursor, key, owner, ref)

    def search(self, query: SearchQuery) -> list[SearchRow]:
        """See ``ports.store``; answers from what the search follower has indexed."""
        with self._reading() as cursor:
            return indexing.search(cursor, query)

    # ---- the session as a whole ------------------------------------------------------------------------------------------------------
    def delete_session(self, key: SessionKey, *, owner: str | None = None) -> None:
        """See ``ports.store``; the rows are purged in small transactions before this returns, or by the next deletion."""
        self._transact(lambda cursor: upkeep.bury(cursor, key, owner, self._clock()))
        if self._watcher.watched:
            self._watcher.notify()
        while self._transact(upkeep.purge):
            pass

    def acquire_lease(self, key: SessionKey, holder: str, ttl_s: float, *, owner: str | None = None) -> Lease:
        """See ``ports.store``."""
        ttl_us = check_lease_ttl(ttl_s)
        return self._transact(lambda cursor: upkeep.acquire_lease(cursor, key, owner, holder, now_us=self._clock(), ttl_us=ttl_us))

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """See ``ports.store``."""
        ttl_us = check_lease_ttl(ttl_s)
        return self._transact(lambda cursor: upkeep.renew_lease(cursor, lease, now_us=self._clock(), ttl_us=ttl_us))

    def release_lease(self, lease: Lease) -> None:
        """See ``ports.store``."""
        self._transact(lambda cursor: upkeep.release_lease(cursor, lease))

    # ---- followers and seals ---------------------------------------------------------------------------------------------------------
    def changed_sessions(self, follower: str, limit: int) -> list[ChangedSession]:
        """See ``ports.store``; the list of a follower begins, with all sessions, when it first asks."""
        with self._reading() as cursor:
            found = upkeep.changed_sessions(cursor, follower, limit)
        if found is not None:
            return found
        self._transact(lambda cursor: upkeep.register_follower(cursor, follower))
        with self._reading() as cursor:
            return upkeep.changed_sessions(cursor, follower, limit) or []

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

        def work(cursor: sqlite3.Cursor) -> Live | None:
            return upkeep.advance(cursor, follower, key, incarnation=incarnation, from_seq=from_seq, to_seq=to_seq, rows=rows)

        with self._combiner.exclusive():
            return (self._writer or self._reopen()).transact_on_session(work) is not None

    def follower_seq(self, follower: str, key: SessionKey) -> int:
        """See ``ports.store``."""
        with self._reading() as cursor:
            return upkeep.follower_seq(cursor, follower, key)

    def read_seals(self, key: SessionKey) -> list[Seal]:
        """See ``ports.store``."""
        with self._reading() as cursor:
            return read_seals(cursor, reads.find(cursor, key, None).sn)

    def add_seal(self, key: SessionKey, seal: Seal, *, incarnation: str) -> bool:
        """See ``ports.store``."""
        return self._transact(lambda cursor: upkeep.add_seal(cursor, key, seal, incarnation))

    # ---- the store as a whole --------------------------------------------------------------------------------------------------------
    def watch(self, wake: Callable[[], None]) -> StoreWatch:
        """See ``ports.store``."""
        self._check()
        with translated(self.path):
            return self._watcher.add(wake)

    def check(self) -> CheckReport:
        """See ``ports.store``; reads the whole file."""
        with self._reading() as cursor:
            return check_database(cursor, self.path, self._durability)

    def backup(self, target: Path, *, replace: bool = False) -> CheckReport:
        """Copy this moment of the store to a file, while others write on; see ``ports.store.BackupStore``."""
        from turnfold.stores.sqlite.backup import backup_database

        self._check()
        return backup_database(self.path, target, replace=replace)

    def compact(self, *, sessions_max: int = COMPACT_SESSIONS) -> Compacted:
        """See ``ports.store``."""
        self._check()
        if not self._may_compact:
            with self._reading() as cursor:
                missing = lacking(MIGRATIONS, applied_numbers(cursor), COMPACT_MIGRATION)
            if missing:
                raise outdated(self.path, missing, post=True)
            self._transact(lambda cursor: upkeep.register_follower(cursor, COMPACT))
            self._may_compact = True
        return self._compactor.step(sessions_max)

    def reclaim(self) -> None:
        """See ``ports.store.Reclaiming``; the file is written anew, which needs its size once more while it lasts."""
        with self._combiner.exclusive(), translated(self.path):
            self._check()
            (self._writer or self._reopen()).reclaim()

    def _rewriting(self, work: Callable[[sqlite3.Cursor], T], key: SessionKey) -> T:
        with self._combiner.exclusive():
            return (self._writer or self._reopen()).rewrite(work, key)

    def migrate(self, *, dry_run: bool = False, post: bool = False) -> MigrationReport:
        """See ``ports.store``; each migration is a transaction of its own."""
        with self._combiner.exclusive(), translated(self.path):
            if self._closed:
                raise self._closed_error()
            writer = self._writer or self._open_writer(LATER)
            try:
                done = writer.migrate(dry_run=dry_run, post=post)
            except BaseException:
                self._writer = None
                writer.close()
                raise
            if self._refusal is not None and dry_run:
                writer.close()
            else:
                self._writer, self._refusal = writer, None
            return done

    def close(self) -> None:
        """See ``ports.store``; what is being written is finished first."""
        with self._combiner.exclusive():
            if self._closed:
                return
            self._closed = True
            self._watcher.close()
            with translated(self.path):
                while self._readers:
                    self._readers.pop()[0].close()
                if self._writer is not None:
                    self._writer.close()
        _stores.discard(self)

    def _closed_error(self) -> StoreClosed:
        return StoreClosed(f"the store {self.path} is closed", path=self.path)


def _each(step: Callable[[SqliteStore], None]) -> Callable[[], None]:
    def run() -> None:
        for store in sorted(_stores, key=id):  # one order, so that two forking threads do not wait for each other
            step(store)

    return run


os.register_at_fork(
    before=_each(SqliteStore.before_fork),
    after_in_parent=_each(SqliteStore.after_fork_in_parent),
    after_in_child=_each(SqliteStore.after_fork_in_child),
)
