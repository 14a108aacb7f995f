"""The store port: small, blocking, atomic. One method = one transaction = one thread hop.

Theory of operation. A store keeps, per (tenant, session id), one log of events with gap-free seqs given out at commit, and one head: the
fold of that log, which the store never computes itself. A commit carries the head change with it (sums to add, entries to set, guards to
compare), so nothing is read before a write. Payload bytes are kept verbatim. Everything derived (search rows, seals, follower cursors) is
written by followers through ``advance`` and ``add_seal``, never by a commit, except that a redaction erases index rows at once.

Every store passes ``turnfold.testing.contract``; its module docstrings say how to run it on a new one.

Checks of a commit, in this order on every store:

1. ids: all present with equal digests (the incoming event's digest recomputed with the stored salt; a redacted or pruned id counts as
   present) → the original places, ``repeated=True``; some present, or different content → IdempotencyConflict.
2. lease: a token that is not the current fence, or none on a leased session → LeaseLost.
3. expected_seq → SequenceConflict with ``current_seq``.
4. status: expiry by the store's clock → SessionExpired; ``change.status`` not allowed → InvalidTransition (already there: accepted as a
   no-op by the caller, see engine); not a lifecycle step and not active → ``core.lifecycle.refusal``. Past its expiry a session may still be
   archived or marked expired; a lifecycle commit without a status change (redaction, pruning) and one that writes nothing pass always. Then
   guards (AlreadyExists, NotFound), branches (NotFound), run transitions, redactions (SequenceConflict), ranges (InvalidInput).
5. limits → LimitExceeded, only where the commit raises the counter; the owner's session limit last.

``core.checks`` decides all of this; a store only looks things up for it.

Before all of them: a missing session without genesis, a dead incarnation, another owner → SessionNotFound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

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

DURABLE = "durable"
"""Acknowledged commits survive the process."""
DURABLE_ON_ACK = "durable_on_ack"
"""Acknowledged commits survive a power loss."""
MULTI_PROCESS = "multi_process"
"""Several processes may use the store at the same time."""
SEARCH_INDEX = "search_index"
"""``search`` answers from index rows that the search follower wrote; without it ``search`` scans."""
ATOMIC_ALSO = "atomic_also"
"""``Commit.also`` is one transaction; without it the other logs follow, and cannot be lost."""

IDEMPOTENCY_WINDOW = "idempotency_window"
"""Ids are remembered for the last ``IDEMPOTENCY_EVENTS`` events of a session; without it, for as long as the session lives.

A commit of which one id is remembered is compared with the whole log, however long it is.
"""
ENCRYPTED = "encrypted"
"""What sessions say is encrypted; the store has ``forget_key(key, owner=…)``, and may refuse ``search`` as NotSupported."""


COMPACTS = "compacts"
"""``compact`` does something, at no cost but this machine's, so that the client's maintenance thread calls it."""


class Clock(Protocol):
    """The wall clock of a store or engine, microseconds since the epoch."""

    def __call__(self) -> int:
        """Return the time."""
        ...


class Watch(Protocol):
    """A running watch; ``close`` ends it."""

    def close(self) -> None:
        """Stop; no wake-up arrives afterwards."""
        ...


@runtime_checkable
class Shredder(Protocol):
    """What a store with the capability ``encrypted`` can do beside the others."""

    def forget_key(self, key: SessionKey, *, owner: str | None = None) -> int:
        """Destroy the keys of a session, which makes every copy of it unreadable; return how many there were."""
        ...


@runtime_checkable
class FollowingWatch(Watch, Protocol):
    """A watch that wants to know which sessions somebody follows, because a wake-up for each commit to any session would cost every commit."""

    def follow(self, keys: Iterable[SessionKey]) -> None:
        """Wake for commits to these sessions from now on; whoever calls reads afterwards what was committed before.

        Called with all of them, and again at each look: a session that is not there yet is asked for again.
        """
        ...


@runtime_checkable
class Store(Protocol):
    """What every store does. All methods block and may be called from any thread; errors are TurnfoldErrors, never a driver's."""

    url: str
    capabilities: frozenset[str]

    def commit(self, commit: Commit) -> Committed:
        """Write one commit, all or nothing, as durable as the store is set to be when it returns."""
        ...

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        """Write several independent commits with one sync; each succeeds or fails on its own. For the async bridge."""
        ...

    def read_events(self, query: EventQuery) -> EventPage:
        """Read a page. SessionNotFound where there is no such session."""
        ...

    def get_session(self, key: SessionKey, *, owner: str | None = None) -> Head:
        """Return the head. An open session past its expiry has status ``expired``."""
        ...

    def list_sessions(self, query: SessionQuery) -> tuple[list[SessionInfo], str | None]:
        """Return sessions newest first, and the cursor of the next page or None."""
        ...

    def last_seqs(self, keys: Iterable[SessionKey]) -> dict[SessionKey, tuple[str, int]]:
        """Return (incarnation, last seq) of those that exist, in one cheap read: what a woken hub asks."""
        ...

    def get_run(self, key: SessionKey, run_id: str, *, owner: str | None = None) -> Run:
        """Return a run row, or NotFound."""
        ...

    def list_runs(self, key: SessionKey, *, owner: str | None = None, status: str | None = None, limit: int = 100) -> list[Run]:
        """Return run rows, newest id first."""
        ...

    def read_part(self, key: SessionKey, ref: str, *, owner: str | None = None) -> bytes:
        """Return an out-of-line part by ``sha256:…``, or NotFound."""
        ...

    def search(self, query: SearchQuery) -> list[SearchRow]:
        """Return found events in the order of SearchRow, at most ``limit``."""
        ...

    def delete_session(self, key: SessionKey, *, owner: str | None = None) -> None:
        """Make the session not found in one transaction and purge its rows (now or in the background). Missing: SessionNotFound."""
        ...

    def acquire_lease(self, key: SessionKey, holder: str, ttl_s: float, *, owner: str | None = None) -> Lease:
        """Take the lease, with a higher fence than any before, and mark the session leased. Held by another: LeaseLost (retryable by waiting).

        The same holder may take it again (a new fence). An expired lease is anybody's.
        """
        ...

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """Move the expiry of a lease that still holds; else LeaseLost."""
        ...

    def release_lease(self, lease: Lease) -> None:
        """Give it up: the session is unleased, the fence stays spent. Not holding it any more is no error."""
        ...

    def changed_sessions(self, follower: str, limit: int) -> list[ChangedSession]:
        """Sessions (of every tenant) whose last seq is past that follower's, at least once each, from the store's own list."""
        ...

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
        """Move a follower's cursor and keep its rows in one transaction.

        False (nothing written) if it was not at ``from_seq``, or the session or that incarnation of it is gone.

        Rows of the follower ``search`` feed ``search``.
        """
        ...

    def follower_seq(self, follower: str, key: SessionKey) -> int:
        """Return how far the follower is in that session (0: not begun)."""
        ...

    def read_seals(self, key: SessionKey) -> list[Seal]:
        """Return the seals in order."""
        ...

    def add_seal(self, key: SessionKey, seal: Seal, *, incarnation: str) -> bool:
        """Append a seal if ``seal.previous`` is the root of the last one (empty: none yet) of that living incarnation; False otherwise."""
        ...

    def watch(self, wake: Callable[[], None]) -> Watch:
        """Call ``wake`` (from any thread, perhaps too often, never too seldom) after each commit by any process becomes visible."""
        ...

    def check(self) -> CheckReport:
        """Look for damage that the store can see by itself, and report facts about it."""
        ...

    def compact(self, *, sessions_max: int = COMPACT_SESSIONS) -> Compacted:
        """Rewrite what is cold more tightly: one step, of at most so many sessions; call again while ``more``.

        Nothing that can be read changes, and others may read and write meanwhile. A store that has nothing of the kind says so.

        Raises:
            SchemaOutdated: The data is still of the form that the previous version of Turnfold reads; ``migrate(post=True)`` allows it.
        """
        ...

    def migrate(self, *, dry_run: bool = False, post: bool = False) -> MigrationReport:
        """Apply the migrations that the data lacks: those that the previous version of Turnfold can live with, and with ``post`` the rest.

        Idempotent; killed in between, it goes on when it is called again. A store without migrations reports its version.
        """
        ...

    def close(self) -> None:
        """Finish what runs and let go of files and connections. Idempotent; later calls raise StoreClosed."""
        ...


@runtime_checkable
class BackupStore(Protocol):
    """What a store does besides whose whole content is one file: copy a moment of it while others write on."""

    def backup(self, target: Path, *, replace: bool = False) -> CheckReport:
        """Write a checked copy, which holds everything that was acknowledged before; the file appears when it is complete.

        Raises:
            AlreadyExists: There is such a file, and it is not to be replaced.
            StoreCorrupt: The copy, and so the store, is damaged; nothing was written.
        """
        ...


@runtime_checkable
class Reclaiming(Protocol):
    """A store that may hold room which nothing uses any more, and can give it back to the file system."""

    def reclaim(self) -> None:
        """Give freed room back. Writers wait meanwhile, of every process."""
        ...
