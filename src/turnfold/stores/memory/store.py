"""The memory store: the reference for what every store does, and a store of its own for tests and short-lived processes.

Theory of operation. One lock guards everything; nothing waits while holding it. A session's log is three parallel lists (event, time, branch)
with seq = index + 1: an append is three list appends and one dict entry, and the stored form of an event is built when it is first read. Nothing
is ever copied deeply: events are immutable and payloads are bytes. A commit is checked wholly (``core.checks``), together with the commits in its
``also``, before the first of them is applied.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from turnfold.core.branches import Segment, view_of
from turnfold.core.checks import check_lease_ttl, check_owner, not_found
from turnfold.core.filtering import bounds, check_page_limit, filters_nothing, matches, sees, through
from turnfold.core.paging import check_list_limit, list_cursor, parse_list_cursor
from turnfold.core.search import bucket_of, searchable_text
from turnfold.core.tokens import terms
from turnfold.errors import InvalidInput, LeaseLost, NotFound, StoreClosed, TurnfoldError
from turnfold.ids import now_us
from turnfold.limits import COMPACT_SESSIONS
from turnfold.model.commit import NO_CHANGE, Commit, Committed
from turnfold.model.event import Event, Seal
from turnfold.model.query import (
    NOTHING_COMPACTED,
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
from turnfold.ports.store import ATOMIC_ALSO, Clock
from turnfold.stores.memory.session import MemorySession
from turnfold.stores.memory.writing import Plan, apply, plan

VERSION: Final = 1
_Sessions = dict[SessionKey, MemorySession]


class _Watch:
    """One registered callback."""

    def __init__(self, store: MemoryStore, wake: Callable[[], None]) -> None:
        self.wake: Callable[[], None] | None = wake
        self._forget = store.forget

    def close(self) -> None:
        """Stop; no wake-up begins afterwards."""
        self.wake = None
        self._forget(self)


class MemoryStore:
    """A store in this process's memory; gone with it. Thread-safe."""

    capabilities = frozenset({ATOMIC_ALSO})

    def __init__(self, url: str = "memory://", *, clock: Clock = now_us, integrity_key: bytes | None = None) -> None:
        """Make an empty store.

        Args:
            url: What it is called in messages.
            clock: The wall clock, microseconds since the epoch.
            integrity_key: HMAC key of the digests that clients write, to recognise repeats.
        """
        self.url = url
        self._clock = clock
        self._key = integrity_key
        self._lock = threading.Lock()
        self._sessions: _Sessions = {}
        self._owners: dict[tuple[str, str | None], _Sessions] = {}
        self._fences: dict[SessionKey, int] = {}
        self._changed: dict[str, dict[SessionKey, None]] = {}
        self._watches: tuple[_Watch, ...] = ()
        self._closed = False

    # ---- writing ---------------------------------------------------------------------------------------------------------------------
    def commit(self, commit: Commit) -> Committed:
        """See ``ports.store``. The first half is the way of a plain append to a plain session; everything else goes the long way."""
        with self._lock:
            session = self._sessions.get(commit.key)
            events = commit.events
            if session is not None and session.plain and len(events) == 1 and _is_plain(commit, session):
                event = events[0]
                branch = session.active_branch
                ids = session.ids
                if event.id not in ids and (not event.branch or event.branch == branch):
                    now = self._clock()
                    log = session.events
                    log.append(event)
                    session.times.append(now)
                    session.branches.append(branch)
                    seq = ids[event.id] = len(log)
                    change = commit.change
                    if change is not NO_CHANGE:
                        session.message_count += change.message_count
                        session.turn_count += change.turn_count
                        session.token_count += change.token_count
                    session.updated_at_us = max(session.updated_at_us, event.at_us)
                    for changed in self._changed.values():
                        changed[commit.key] = None
                    done = Committed(seq, seq, False, None, False, session.incarnation, branch, now)
                else:
                    done = self._commit(commit)
            else:
                done = self._commit(commit)
        if self._watches:
            self._wake()
        return done

    def _commit(self, commit: Commit) -> Committed:
        """Check the commit and those in ``also``, then apply them. Called with the lock held."""
        self._check_open()
        now = self._clock()
        commits = (commit, *commit.also)
        if len({item.key for item in commits}) != len(commits):
            raise InvalidInput("the commits of one transaction go to different logs")
        if any(item.also for item in commit.also):
            raise InvalidInput("a commit in also has no also of its own")
        plans = [plan(item, self._sessions.get(item.key), now, self._key, self._open_count) for item in commits]
        done = [self._apply(item, now) for item in plans]
        return done[0]

    def _apply(self, planned: Plan, now: int) -> Committed:
        if planned.done is not None:
            return planned.done
        session = planned.session
        if planned.creates:
            session.fence = self._fences.get(session.key, 0)
            self._sessions[session.key] = session
            self._owners.setdefault((session.key.tenant, session.owner), {})[session.key] = session
        done = apply(planned, now)
        for changed in self._changed.values():
            changed[session.key] = None
        return done

    def _open_count(self, tenant: str, owner: str | None, now: int) -> int:
        """The open sessions of an owner."""
        return sum(session.is_open(now) for session in self._owners.get((tenant, owner), {}).values())

    def _scoped(self, tenant: str, owner: str | None) -> Iterable[MemorySession]:
        """The sessions that a list or search looks at: an owner's, or all."""
        return (self._sessions if owner is None else self._owners.get((tenant, owner), {})).values()

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        """See ``ports.store``."""
        out: list[Committed | Exception] = []
        for commit in commits:
            try:
                out.append(self.commit(commit))
            except TurnfoldError as error:
                out.append(error)
        return out

    # ---- reading ---------------------------------------------------------------------------------------------------------------------
    def read_events(self, query: EventQuery) -> EventPage:
        """See ``ports.store``."""
        check_page_limit(query.limit)
        with self._lock:
            session = self._find(query.key, query.owner, query.incarnation)
            view = view_of(session.branch_table(), query.branch, session.active_branch)
            last_seq = len(session.events)
            first, last = bounds(query, last_seq)
            found = _select(session, query, view, first, last)
            more = len(found) > query.limit
            del found[query.limit :]
            through_seq = through(query, last_seq, found[-1].seq if found else None, more=more)
            low, high = (through_seq, last) if query.descending else (first, through_seq)
            ranges = tuple(item for item in session.ranges if item.first_seq <= high and item.last_seq >= low)
        if not query.with_source:
            found = [event if event.source is None else msgspec.structs.replace(event, source=None) for event in found]
        return EventPage(found, through_seq, last_seq, session.incarnation, ranges, more)

    def get_session(self, key: SessionKey, *, owner: str | None = None) -> Head:
        """See ``ports.store``."""
        with self._lock:
            return self._find(key, owner).head(self._clock())

    def list_sessions(self, query: SessionQuery) -> tuple[list[SessionInfo], str | None]:
        """See ``ports.store``."""
        check_list_limit(query.limit)
        below = parse_list_cursor(query.cursor)
        with self._lock:
            self._check_open()
            now = self._clock()
            found = (
                session
                for session in self._scoped(query.tenant, query.owner)
                if (below is None or session.list_place() < below) and session.is_listed(query, now)
            )
            page = heapq.nlargest(query.limit + 1, found, key=MemorySession.list_place)
            infos = [session.info(now) for session in page[: query.limit]]
        if len(page) <= query.limit:
            return infos, None
        return infos, list_cursor(infos[-1].updated_at_us, infos[-1].id)

    def last_seqs(self, keys: Iterable[SessionKey]) -> dict[SessionKey, tuple[str, int]]:
        """See ``ports.store``."""
        with self._lock:
            self._check_open()
            found = ((key, self._sessions.get(key)) for key in keys)
            return {key: (session.incarnation, len(session.events)) for key, session in found if session is not None}

    def get_run(self, key: SessionKey, run_id: str, *, owner: str | None = None) -> Run:
        """See ``ports.store``."""
        with self._lock:
            run = self._find(key, owner).runs.get(run_id)
        if run is None:
            raise NotFound(f"there is no run {run_id!r} in session {key.session_id!r}", run_id=run_id)
        return run

    def list_runs(self, key: SessionKey, *, owner: str | None = None, status: str | None = None, limit: int = 100) -> list[Run]:
        """See ``ports.store``."""
        with self._lock:
            runs = list(self._find(key, owner).runs.values())
        return heapq.nlargest(limit, (run for run in runs if status is None or run.status == status), key=lambda run: run.id)

    def read_part(self, key: SessionKey, ref: str, *, owner: str | None = None) -> bytes:
        """See ``ports.store``."""
        with self._lock:
            part = self._find(key, owner).parts.get(ref)
        if part is None:
            raise NotFound(f"there is no part {ref} in session {key.session_id!r}", ref=ref)
        return part

    def search(self, query: SearchQuery) -> list[SearchRow]:
        """See ``ports.store``; scans, so that it is always current."""
        with self._lock:
            self._check_open()
            sessions = [session for session in self._scoped(query.tenant, query.owner) if session.is_searched(query)]
        rows: list[SearchRow] = []
        for session in sessions:
            with self._lock:
                events = [session.stored(seq) for seq in session.places()]
            rows += _found(query, session.key.session_id, events)
        ordered = (row for row in rows if query.after is None or _rank(row) > query.after)
        return heapq.nsmallest(query.limit, ordered, key=_rank)

    # ---- the session as a whole ------------------------------------------------------------------------------------------------------
    def delete_session(self, key: SessionKey, *, owner: str | None = None) -> None:
        """See ``ports.store``; the spent fences stay."""
        with self._lock:
            session = self._find(key, owner)
            self._fences[key] = session.fence
            del self._sessions[key]
            del self._owners[key.tenant, session.owner][key]
        self._wake()

    def acquire_lease(self, key: SessionKey, holder: str, ttl_s: float, *, owner: str | None = None) -> Lease:
        """See ``ports.store``."""
        ttl_us = check_lease_ttl(ttl_s)
        with self._lock:
            session = self._find(key, owner)
            now = self._clock()
            held = session.lease
            if held is not None and held.holder != holder and held.expires_at_us > now:
                message = f"session {key.session_id!r} is leased by {held.holder!r}"
                raise LeaseLost(message, hint="try again when it has expired", holder=held.holder)
            session.fence += 1
            session.lease = Lease(key.tenant, key.session_id, holder, session.fence, now + ttl_us)
            session.settle()
            return session.lease

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """See ``ports.store``."""
        ttl_us = check_lease_ttl(ttl_s)
        with self._lock:
            session = self._find(SessionKey(lease.tenant, lease.session_id), None)
            now = self._clock()
            held = session.lease
            if held is None or held.fence != lease.fence or held.expires_at_us <= now:
                raise LeaseLost(f"the lease {lease.fence} of session {lease.session_id!r} is not held any more", fence=session.fence)
            session.lease = Lease(lease.tenant, lease.session_id, held.holder, held.fence, now + ttl_us)
            return session.lease

    def release_lease(self, lease: Lease) -> None:
        """See ``ports.store``."""
        with self._lock:
            self._check_open()
            session = self._sessions.get(SessionKey(lease.tenant, lease.session_id))
            if session is not None and session.lease is not None and session.lease.fence == lease.fence:
                session.lease = None
                session.settle()

    # ---- followers and seals ---------------------------------------------------------------------------------------------------------
    def changed_sessions(self, follower: str, limit: int) -> list[ChangedSession]:
        """See ``ports.store``; the list of a follower begins, with all sessions, when it first asks."""
        with self._lock:
            self._check_open()
            changed = self._changed.get(follower)
            if changed is None:
                changed = self._changed[follower] = dict.fromkeys(self._sessions)
            return list(islice(self._pending(follower, changed), limit))

    def _pending(self, follower: str, changed: dict[SessionKey, None]) -> Iterator[ChangedSession]:
        for key in list(changed):
            session = self._sessions.get(key)
            if session is None or session.followers.get(follower, 0) >= len(session.events):
                del changed[key]
            else:
                yield ChangedSession(key, session.incarnation, session.followers.get(follower, 0), len(session.events))

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
        with self._lock:
            self._check_open()
            session = self._sessions.get(key)
            if session is None or session.incarnation != incarnation or session.followers.get(follower, 0) != from_seq:
                return False
            session.followers[follower] = to_seq
            return True

    def follower_seq(self, follower: str, key: SessionKey) -> int:
        """See ``ports.store``."""
        with self._lock:
            self._check_open()
            session = self._sessions.get(key)
            return 0 if session is None else session.followers.get(follower, 0)

    def read_seals(self, key: SessionKey) -> list[Seal]:
        """See ``ports.store``."""
        with self._lock:
            return list(self._find(key, None).seals)

    def add_seal(self, key: SessionKey, seal: Seal, *, incarnation: str) -> bool:
        """See ``ports.store``."""
        with self._lock:
            self._check_open()
            session = self._sessions.get(key)
            if session is None or session.incarnation != incarnation:
                return False
            if seal.previous != (session.seals[-1].root if session.seals else b""):
                return False
            session.seals.append(seal)
            return True

    # ---- the store as a whole --------------------------------------------------------------------------------------------------------
    def watch(self, wake: Callable[[], None]) -> _Watch:
        """See ``ports.store``; called in the committing thread, after the lock is free."""
        watch = _Watch(self, wake)
        with self._lock:
            self._check_open()
            self._watches = (*self._watches, watch)
        return watch

    def _wake(self) -> None:
        for watch in self._watches:  # no lock is held: a callback may take locks of its own, or close its watch
            wake = watch.wake
            if wake is not None:
                wake()

    def forget(self, watch: _Watch) -> None:
        """Take a watch off the list; called by the watch itself."""
        with self._lock:
            self._watches = tuple(item for item in self._watches if item is not watch)

    def check(self) -> CheckReport:
        """See ``ports.store``."""
        with self._lock:
            self._check_open()
            problems = tuple(problem for session in self._sessions.values() for problem in session.problems())
            event_count = sum(len(session.events) for session in self._sessions.values())
            return CheckReport(problems, {"session_count": len(self._sessions), "event_count": event_count})

    def compact(self, *, sessions_max: int = COMPACT_SESSIONS) -> Compacted:
        """See ``ports.store``; events are kept as they came, there is nothing tighter."""
        with self._lock:
            self._check_open()
            return NOTHING_COMPACTED

    def migrate(self, *, dry_run: bool = False, post: bool = False) -> MigrationReport:
        """See ``ports.store``; what is in memory is always of this version."""
        with self._lock:
            self._check_open()
            return MigrationReport(before=VERSION, after=VERSION, known=VERSION, dry_run=dry_run)

    def close(self) -> None:
        """See ``ports.store``; everything kept is let go."""
        with self._lock:
            self._closed = True
            self._sessions = {}  # a plain append then goes the long way, which says that the store is closed
            self._owners = {}
            self._changed = {}
            self._watches = ()

    # ---- helpers ---------------------------------------------------------------------------------------------------------------------
    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed(f"the store {self.url} is closed")

    def _find(self, key: SessionKey, owner: str | None, incarnation: str | None = None) -> MemorySession:
        self._check_open()
        session = self._sessions.get(key)
        if session is None or (incarnation is not None and session.incarnation != incarnation):
            raise not_found(key.session_id)
        check_owner(key.session_id, session.owner, owner)
        return session


def _is_plain(commit: Commit, session: MemorySession) -> bool:
    """Whether a commit of one event to a plain session has nothing that needs the long way."""
    change = commit.change
    return (
        commit.genesis is None
        and not commit.limits
        and not commit.runs
        and not commit.parts
        and not commit.redacts
        and not commit.prune
        and not commit.also
        and commit.expected_seq is None
        and commit.lease is None
        and commit.verbatim is None
        and (commit.branch is None or commit.branch == session.active_branch)
        and (commit.owner is None or commit.owner == session.owner)
        and (commit.incarnation is None or commit.incarnation == session.incarnation)
        and (
            change is NO_CHANGE
            or (
                not change.entries
                and not change.guards
                and not change.usage_by_model
                and not change.usage
                and change.status is None
                and change.active_branch is None
                and change.expires_at_us is None
            )
        )
    )


def _select(session: MemorySession, query: EventQuery, view: tuple[Segment, ...] | None, first: int, last: int) -> list[Event]:
    """Up to ``limit + 1`` matching events in the asked order."""
    places = session.places(first, last, descending=query.descending)
    events: Iterator[Event] = map(session.stored, places)
    if not filters_nothing(query, view):
        events = (event for event in events if matches(query, view, event))
    return list(islice(events, query.limit + 1))


def _rank(row: SearchRow) -> tuple[int, str, int]:
    return row.bucket, row.session_id, row.seq


def _found(query: SearchQuery, session_id: str, events: Iterable[Event]) -> Iterator[SearchRow]:
    for event in events:
        if sees(query.viewer, event.visible_to, event.hidden_from):
            bucket = bucket_of(query.terms, terms(searchable_text(event)))
            if bucket is not None:
                yield SearchRow(session_id, event.seq, bucket)
