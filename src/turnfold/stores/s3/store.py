"""The store on object storage: ``names`` says which objects there are, ``session`` how one is written, ``segments`` how its events are kept."""

from __future__ import annotations

import contextlib
import heapq
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from turnfold.core.checks import check_owner, not_found
from turnfold.core.filtering import check_page_limit
from turnfold.core.paging import check_list_limit
from turnfold.errors import LimitExceeded, NotFound, SessionNotFound, StoreClosed, StoreCorrupt, StoreUnavailable, TurnfoldError
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
from turnfold.objectstorage import Bucket, parse_location
from turnfold.ports.store import DURABLE, DURABLE_ON_ACK, IDEMPOTENCY_WINDOW, MULTI_PROCESS, SEARCH_INDEX, Clock
from turnfold.stores.s3 import names
from turnfold.stores.s3.catalog import Catalog
from turnfold.stores.s3.followers import Followers
from turnfold.stores.s3.house import House
from turnfold.stores.s3.leases import Leases
from turnfold.stores.s3.manifest import FORMAT
from turnfold.stores.s3.mark import check_mark
from turnfold.stores.s3.owners import Owners
from turnfold.stores.s3.reading import read_page
from turnfold.stores.s3.segments import Moved
from turnfold.stores.s3.session import MOVES_MAX, Result
from turnfold.stores.s3.staging import check_also, stage
from turnfold.stores.s3.state import State
from turnfold.stores.s3.upkeep import Compaction, check, purge
from turnfold.stores.s3.watching import ObjectWatch, Watching, last_seqs

T = TypeVar("T")


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1_000


class S3Store:
    """Sessions as objects in a bucket. Thread-safe; any number of processes and machines may use the same bucket and prefix."""

    capabilities = frozenset({DURABLE, DURABLE_ON_ACK, MULTI_PROCESS, SEARCH_INDEX, IDEMPOTENCY_WINDOW})

    def __init__(self, url: str, *, clock: Clock = now_us, integrity_key: bytes | None = None) -> None:
        """Open a place; an empty one becomes a store.

        Args:
            url: ``s3://bucket/prefix?endpoint=…&region=…``, or ``gs://`` or ``az://``. Credentials come from the environment.
            clock: The wall clock, microseconds since the epoch. Leases are timed with the monotonic one, unless another clock is given.
            integrity_key: HMAC key of the digests that clients write, to recognise repeats.

        Raises:
            InvalidInput: The URL is none.
            MissingExtra: obstore is not installed.
            StoreUnavailable: There is no such bucket, no permission, or no server.
            NotSupported: The server ignores conditional writes.
            SchemaTooNew: A newer Turnfold wrote it.
            StoreCorrupt: Something else stands there.
        """
        location = parse_location(url)
        self.url = location.url
        bucket = Bucket(location)
        check_mark(bucket)
        monotonic_us = _monotonic_us if clock is now_us else clock
        self._house = House(bucket, clock=clock, monotonic_us=monotonic_us, integrity_key=integrity_key)
        self._catalog = Catalog(self._house)
        self._followers = Followers(self._house, self._catalog)
        self._leases = Leases(self._house)
        self._owners = Owners(self._house, self._catalog)
        self._compaction = Compaction(self._house, self._catalog, self._followers)
        self._watching = Watching()
        self._closed = False

    # ---- writing ---------------------------------------------------------------------------------------------------------------------
    def commit(self, commit: Commit) -> Committed:
        """See ``ports.store``."""
        self._check_open()
        result = self._commit_alone(commit) if _is_special(commit) else self._house.session(commit.key).commit([commit])[0]
        if isinstance(result, Exception):
            raise result
        self._watching.wake()
        return result

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        """See ``ports.store``; commits to one session become one write, different sessions are written at the same time."""
        self._check_open()
        results: dict[int, Result] = {}
        groups: dict[SessionKey, list[int]] = {}
        for index, commit in enumerate(commits):
            if not _is_special(commit):
                groups.setdefault(commit.key, []).append(index)
                continue
            self._commit_groups(commits, groups, results)  # what stands before it is written before it
            groups = {}
            try:
                results[index] = self._commit_alone(commit)
            except TurnfoldError as error:
                results[index] = error
        self._commit_groups(commits, groups, results)
        self._watching.wake()
        return [results[index] for index in range(len(commits))]

    def _commit_groups(self, commits: Sequence[Commit], groups: dict[SessionKey, list[int]], results: dict[int, Result]) -> None:
        def write(key: SessionKey) -> list[Result]:
            return self._house.session(key).commit([commits[index] for index in groups[key]])

        for members, done in zip(groups.values(), self._house.parallel(write, list(groups)), strict=True):
            results.update(zip(members, done, strict=True))

    def _commit_alone(self, commit: Commit) -> Result:
        """Write a commit that needs more than its session's manifest."""
        session = self._house.session(commit.key)
        genesis = commit.genesis
        counted = genesis is not None and genesis.owner_sessions_max is not None and genesis.kind == "session" and commit.verbatim is None
        state = session.living()
        self._check_also(commit)
        reserved = genesis is not None and counted and state is None
        if reserved and genesis is not None:
            known = session.peek()
            stage(commit, None, 0 if known is None else known.fence, self._house.context())  # everything else is refused first
            try:
                self._owners.reserve(commit.key, genesis)
            except LimitExceeded:
                if session.living() is None:  # else another created it meanwhile, and this commit joins
                    raise
        result = session.commit([commit])[0]
        if reserved and genesis is not None and not (isinstance(result, Committed) and result.created):
            with contextlib.suppress(StoreUnavailable):
                self._owners.give_back(commit.key, genesis)
        if commit.redacts and not isinstance(result, Exception):
            self._followers.erase(commit.key, result.incarnation)
        return result

    def _check_also(self, commit: Commit) -> None:
        """Refuse a commit whose other logs would refuse theirs as they are now; they are written after it."""
        if commit.also:
            check_also(commit)
        for also in commit.also:
            session = self._house.session(also.key)
            state = session.living()
            known = session.peek()
            fence = 0 if known is None else known.fence
            stage(also, None if state is None else state.copy(), fence, self._house.context())

    # ---- reading ---------------------------------------------------------------------------------------------------------------------
    def read_events(self, query: EventQuery) -> EventPage:
        """See ``ports.store``."""
        check_page_limit(query.limit)

        def page(state: State) -> EventPage:
            if query.incarnation is not None and query.incarnation != state.incarnation:
                raise not_found(query.key.session_id)
            return read_page(self._house.segments, state, query)

        return self._reading(query.key, query.owner, page)

    def get_session(self, key: SessionKey, *, owner: str | None = None) -> Head:
        """See ``ports.store``."""
        return self._reading(key, owner, lambda state: state.head(self._house.clock()))

    def list_sessions(self, query: SessionQuery) -> tuple[list[SessionInfo], str | None]:
        """See ``ports.store``."""
        self._check_open()
        check_list_limit(query.limit)
        return self._catalog.page(query, self._house.clock())

    def last_seqs(self, keys: Iterable[SessionKey]) -> dict[SessionKey, tuple[str, int]]:
        """See ``ports.store``; costs at most ``OBJECT_POLL_REQUESTS_MAX`` requests where nothing has changed."""
        self._check_open()
        return last_seqs(self._house, self._catalog, keys)

    def get_run(self, key: SessionKey, run_id: str, *, owner: str | None = None) -> Run:
        """See ``ports.store``."""
        run = self._reading(key, owner, lambda state: state.runs.get(run_id))
        if run is None:
            raise NotFound(f"there is no run {run_id!r} in session {key.session_id!r}", run_id=run_id)
        return run

    def list_runs(self, key: SessionKey, *, owner: str | None = None, status: str | None = None, limit: int = 100) -> list[Run]:
        """See ``ports.store``."""
        runs = self._reading(key, owner, lambda state: list(state.runs.values()))
        return heapq.nlargest(limit, (run for run in runs if status is None or run.status == status), key=lambda run: run.id)

    def read_part(self, key: SessionKey, ref: str, *, owner: str | None = None) -> bytes:
        """See ``ports.store``."""

        def part(state: State) -> bytes | None:
            if ref not in state.parts:
                return None
            found = self._house.bucket.get(names.data(key, state.incarnation, names.part(ref)))
            if found is None:
                raise Moved(ref)
            return found.body

        content = self._reading(key, owner, part)
        if content is None:
            raise NotFound(f"there is no part {ref} in session {key.session_id!r}", ref=ref)
        return content

    def search(self, query: SearchQuery) -> list[SearchRow]:
        """See ``ports.store``; looks at the rows that the search follower wrote."""
        self._check_open()
        return self._followers.search(query)

    # ---- the session as a whole ------------------------------------------------------------------------------------------------------
    def delete_session(self, key: SessionKey, *, owner: str | None = None) -> None:
        """See ``ports.store``; the manifest says so at once, then its objects are removed."""
        self._check_open()
        session = self._house.session(key)

        def deleted(state: State) -> State:
            check_owner(key.session_id, state.fixed.owner, owner)
            work = State(key, state.incarnation, state.fixed)
            work.fence, work.version, work.deleted_at_us = state.fence, state.version, self._house.clock()
            return work

        session.deliver_waiting()
        session.update(deleted)
        with contextlib.suppress(StoreUnavailable):  # it is gone; what is left of it, compaction removes
            purge(self._house, key)
            self._followers.forget(key)
        self._watching.wake()

    def acquire_lease(self, key: SessionKey, holder: str, ttl_s: float, *, owner: str | None = None) -> Lease:
        """See ``ports.store``."""
        self._check_open()
        return self._leases.acquire(key, holder, ttl_s, owner)

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """See ``ports.store``."""
        self._check_open()
        return self._leases.renew(lease, ttl_s)

    def release_lease(self, lease: Lease) -> None:
        """See ``ports.store``."""
        self._check_open()
        self._leases.release(lease)

    # ---- followers and seals ---------------------------------------------------------------------------------------------------------
    def changed_sessions(self, follower: str, limit: int) -> list[ChangedSession]:
        """See ``ports.store``."""
        self._check_open()
        return self._followers.changed(follower, limit)

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
        self._check_open()
        return self._followers.advance(follower, key, incarnation, (from_seq, to_seq), rows)

    def follower_seq(self, follower: str, key: SessionKey) -> int:
        """See ``ports.store``."""
        self._check_open()
        return self._followers.seq(follower, key)

    def read_seals(self, key: SessionKey) -> list[Seal]:
        """See ``ports.store``."""
        return self._reading(key, None, lambda state: list(state.seals))

    def add_seal(self, key: SessionKey, seal: Seal, *, incarnation: str) -> bool:
        """See ``ports.store``."""
        self._check_open()
        added = False

        def sealed(state: State) -> State | None:
            nonlocal added
            added = state.incarnation == incarnation and seal.previous == (state.seals[-1].root if state.seals else b"")
            if not added:
                return None
            work = state.copy()
            work.seals.append(seal)
            return work

        try:
            self._house.session(key).update(sealed)
        except SessionNotFound:
            return False
        return added

    # ---- the store as a whole --------------------------------------------------------------------------------------------------------
    def watch(self, wake: Callable[[], None]) -> ObjectWatch:
        """See ``ports.store``; other processes' commits are noticed every ``OBJECT_POLL_S``."""
        self._check_open()
        return self._watching.add(wake)

    def check(self) -> CheckReport:
        """See ``ports.store``: whether every object is there that a manifest names, and how many that none names."""
        self._check_open()
        return check(self._house)

    def compact(self, *, sessions_max: int = COMPACT_SESSIONS) -> Compacted:
        """See ``ports.store``: merges small segments, moves the events of cold sessions out of their manifests, removes what is not needed."""
        self._check_open()
        return self._compaction.step(sessions_max)

    def migrate(self, *, dry_run: bool = False, post: bool = False) -> MigrationReport:
        """See ``ports.store``; there is one format so far."""
        self._check_open()
        return MigrationReport(before=FORMAT, after=FORMAT, known=FORMAT, dry_run=dry_run)

    def close(self) -> None:
        """See ``ports.store``."""
        if self._closed:
            return
        self._closed = True
        self._watching.close()
        self._house.close()

    # ---- helpers ---------------------------------------------------------------------------------------------------------------------
    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed(f"the store {self.url} is closed")

    def _reading(self, key: SessionKey, owner: str | None, read: Callable[[State], T]) -> T:
        """Read from a session as it is now; again, where objects are replaced meanwhile."""
        self._check_open()
        session = self._house.session(key)
        moved: Exception | None = None
        for _ in range(MOVES_MAX):
            state = session.living()
            if state is None:
                raise not_found(key.session_id)
            check_owner(key.session_id, state.fixed.owner, owner)
            try:
                return read(state)
            except Moved as error:
                moved = error
        raise StoreCorrupt(f"{names.manifest(key)} names an object that is not there: {moved}", key=names.manifest(key))


def _is_special(commit: Commit) -> bool:
    """Whether a commit needs more than its session's manifest."""
    genesis = commit.genesis
    return bool(commit.also or commit.redacts) or (genesis is not None and genesis.owner_sessions_max is not None)
