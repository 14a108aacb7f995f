"""The files store: ``layout`` says what is on disk, ``lines`` what a commit is there, ``replay`` and ``log`` how it is read and written."""

from __future__ import annotations

import heapq
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from turnfold.core.branches import view_of
from turnfold.core.checks import check_lease_ttl, check_owner, not_found
from turnfold.core.filtering import check_page_limit
from turnfold.core.paging import check_list_limit, list_cursor, parse_list_cursor
from turnfold.core.search import scan
from turnfold.errors import InvalidInput, LeaseLost, NotFound, SessionNotFound, StoreClosed, StoreUnavailable, TurnfoldError
from turnfold.ids import now_us
from turnfold.limits import COMPACT_SESSIONS, LOCK_WAIT_S_MAX, PAGE_EVENTS_MAX
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import Event, Seal
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
from turnfold.ports.store import ATOMIC_ALSO, COMPACTS, DURABLE, DURABLE_ON_ACK, MULTI_PROCESS, Clock
from turnfold.stores.files import catalog, layout
from turnfold.stores.files.catalog import Catalog
from turnfold.stores.files.compacting import COMPACT, Compactor
from turnfold.stores.files.followers import Follower
from turnfold.stores.files.lines import LeaseRow, Line
from turnfold.stores.files.log import SessionLog
from turnfold.stores.files.open_logs import AfterFork, OpenLogs
from turnfold.stores.files.paging import read_page
from turnfold.stores.files.replay import RELOADS_MAX, Moved, ReadableLog
from turnfold.stores.files.state import LogState
from turnfold.stores.files.watching import Changes, FileWatch
from turnfold.stores.files.writing import Writer

T = TypeVar("T")
DURABILITIES = ("full", "normal")


class FilesStore:
    """Sessions as directories of JSON lines. Thread-safe; several processes of one machine may open the same directory."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        durability: str = "full",
        clock: Clock = now_us,
        integrity_key: bytes | None = None,
        lock_wait_s: float = LOCK_WAIT_S_MAX,
    ) -> None:
        """Open a directory; a new or empty one becomes a store.

        Args:
            directory: Where the files are; on a local file system.
            durability: ``full`` syncs before a commit is acknowledged; ``normal`` leaves it to the system, so that a power loss (not a
                crash of the process) may take the last commits.
            clock: The wall clock, microseconds since the epoch.
            integrity_key: HMAC key of the digests that clients write, to recognise repeats.
            lock_wait_s: How long to wait for another process that holds a session's lock.

        Raises:
            InvalidInput: There is no such durability.
            StoreCorrupt: The directory holds something else.
            SchemaTooNew: A newer Turnfold wrote it.
            StoreUnavailable: It cannot be made or read.
            NotSupported: It lies on a network mount.
        """
        self._root = Path(os.path.abspath(directory))  # noqa: PTH100 - resolve() would follow links, which messages should not
        if durability not in DURABILITIES:
            raise InvalidInput(f"durability {durability!r} is none of {', '.join(DURABILITIES)}")
        durable = durability == "full"
        self.url = f"files:///{quote(str(self._root))}" + ("" if durable else f"?durability={durability}")
        self.capabilities = frozenset({DURABLE, MULTI_PROCESS, ATOMIC_ALSO, COMPACTS} | ({DURABLE_ON_ACK} if durable else set()))
        layout.prepare_root(self._root)
        self._clock = clock
        self._lock_wait_s = lock_wait_s
        self._closed = False
        self._watches: list[FileWatch] = []
        self._logs = OpenLogs(self._root, self._write_group, durable=durable, lock_wait_s=lock_wait_s)
        self._writer = Writer(self._logs.at, self._open_count, clock=clock, integrity_key=integrity_key, lock_wait_s=lock_wait_s)
        self._reset()
        self._after_fork = AfterFork(self._reset)

    def _reset(self) -> None:
        """Begin with nothing open; also in a forked child, whose parent's descriptors, locks and threads are not its own."""
        self._logs.drop_all()
        self._catalog = Catalog(self._root, self._log_at)
        self._changes = Changes(self._root / layout.CHANGES_FILE)
        self._followers: dict[str, Follower] = {}
        self._compactor = Compactor(
            self._logs,
            self._writer,
            lambda: self.changed_sessions(COMPACT, sys.maxsize),
            lambda: self._follower(COMPACT),
            self._clock,
        )
        self._watches = []

    # ---- writing ---------------------------------------------------------------------------------------------------------------------
    def commit(self, commit: Commit) -> Committed:
        """See ``ports.store``."""
        self._check_open()
        done = self._writer.commit(commit)
        self._changes.touch()
        return done

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        """See ``ports.store``; commits to one session go into one write and one sync."""
        self._check_open()
        results = self._writer.commit_many(commits)
        self._changes.touch()
        return results

    def _write_group(self, log: SessionLog, commits: Sequence[Commit]) -> list[Committed | Exception]:
        return self._writer.write(log, commits)

    def _open_count(self, tenant: str, owner: str | None) -> int:
        now = self._clock()
        return sum(info.owner == owner and catalog.is_open(info, now) for info in self._catalog.infos(tenant))

    # ---- reading ---------------------------------------------------------------------------------------------------------------------
    def read_events(self, query: EventQuery) -> EventPage:
        """See ``ports.store``."""
        check_page_limit(query.limit)

        def page(log: SessionLog, state: LogState) -> EventPage:
            if query.incarnation is not None and query.incarnation != state.incarnation:
                raise not_found(query.key.session_id)
            view = view_of(state.branches(), query.branch, state.fields["active_branch"])
            return read_page(log, state, query, view)

        return self._reading(query.key, query.owner, page)

    def get_session(self, key: SessionKey, *, owner: str | None = None) -> Head:
        """See ``ports.store``."""
        return self._reading(key, owner, lambda _log, state: state.head(self._clock()))

    def list_sessions(self, query: SessionQuery) -> tuple[list[SessionInfo], str | None]:
        """See ``ports.store``."""
        self._check_open()
        check_list_limit(query.limit)
        below = parse_list_cursor(query.cursor)
        now = self._clock()
        found = (
            info
            for info in self._catalog.infos(query.tenant)
            if (below is None or _list_place(info) < below) and catalog.is_listed(info, query, now)
        )
        page = heapq.nlargest(query.limit + 1, found, key=_list_place)
        infos = [catalog.as_seen(info, now) for info in page[: query.limit]]
        return infos, list_cursor(*_list_place(infos[-1])) if len(page) > query.limit else None

    def last_seqs(self, keys: Iterable[SessionKey]) -> dict[SessionKey, tuple[str, int]]:
        """See ``ports.store``."""
        self._check_open()
        found: dict[SessionKey, tuple[str, int]] = {}
        for key in keys:
            log = self._logs.at(layout.relative_path(key)).log
            with log.lock:
                state = log.refresh()
                if state is not None:
                    found[key] = (state.incarnation, state.last_seq)
        return found

    def get_run(self, key: SessionKey, run_id: str, *, owner: str | None = None) -> Run:
        """See ``ports.store``."""
        run = self._reading(key, owner, lambda _log, state: state.runs.get(run_id))
        if run is None:
            raise NotFound(f"there is no run {run_id!r} in session {key.session_id!r}", run_id=run_id)
        return run

    def list_runs(self, key: SessionKey, *, owner: str | None = None, status: str | None = None, limit: int = 100) -> list[Run]:
        """See ``ports.store``."""
        runs = self._reading(key, owner, lambda _log, state: list(state.runs.values()))
        return heapq.nlargest(limit, (run for run in runs if status is None or run.status == status), key=lambda run: run.id)

    def read_part(self, key: SessionKey, ref: str, *, owner: str | None = None) -> bytes:
        """See ``ports.store``."""

        def part(log: SessionLog, state: LogState) -> bytes | None:
            return log.parts.get(ref) if ref in state.parts else None

        content = self._reading(key, owner, part)
        if content is None:
            raise NotFound(f"there is no part {ref} in session {key.session_id!r}", ref=ref)
        return content

    def search(self, query: SearchQuery) -> list[SearchRow]:
        """See ``ports.store``; scans, so that it is always current."""
        self._check_open()
        infos = [info for info in self._catalog.infos(query.tenant) if catalog.is_searched(info, query)]
        rows = (SearchRow(info.id, seq, bucket) for info in infos for bucket, seq in scan(query, self._all_events(catalog.key_of(info))))
        ordered = (row for row in rows if query.after is None or _rank(row) > query.after)
        return heapq.nsmallest(query.limit, ordered, key=_rank)

    def _all_events(self, key: SessionKey) -> Iterator[Event]:
        """All events of a session, page by page; what is deleted meanwhile ends."""
        after = 0
        while True:
            try:
                page = self.read_events(EventQuery(key=key, after=after, limit=PAGE_EVENTS_MAX))
            except SessionNotFound:
                return
            yield from page.events
            if not page.more:
                return
            after = page.through_seq

    # ---- the session as a whole ------------------------------------------------------------------------------------------------------
    def delete_session(self, key: SessionKey, *, owner: str | None = None) -> None:
        """See ``ports.store``; its files are removed at once."""
        self._reading(key, owner, lambda log, _state: self._writer.settle_targets(log))
        with self._writer.holding(key, owner) as (log, _):
            log.delete(self._clock())
        self._changes.touch()

    def acquire_lease(self, key: SessionKey, holder: str, ttl_s: float, *, owner: str | None = None) -> Lease:
        """See ``ports.store``."""
        self._check_open()
        ttl_us = check_lease_ttl(ttl_s)
        with self._writer.holding(key, owner) as (log, state):
            now = self._clock()
            held = state.lease
            if held.holder is not None and held.holder != holder and held.expires_at_us > now:
                message = f"session {key.session_id!r} is leased by {held.holder!r}"
                raise LeaseLost(message, hint="try again when it has expired", holder=held.holder)
            return _write_lease(log, key, LeaseRow(held.fence + 1, holder, now + ttl_us))

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """See ``ports.store``."""
        self._check_open()
        ttl_us = check_lease_ttl(ttl_s)
        key = SessionKey(lease.tenant, lease.session_id)
        with self._writer.holding(key) as (log, state):
            now = self._clock()
            held = state.lease
            if held.holder is None or held.fence != lease.fence or held.expires_at_us <= now:
                raise LeaseLost(f"the lease {lease.fence} of session {lease.session_id!r} is not held any more", fence=held.fence)
            return _write_lease(log, key, LeaseRow(held.fence, held.holder, now + ttl_us))

    def release_lease(self, lease: Lease) -> None:
        """See ``ports.store``."""
        self._check_open()
        try:
            with self._writer.holding(SessionKey(lease.tenant, lease.session_id)) as (log, state):
                if state.lease.holder is not None and state.lease.fence == lease.fence:
                    log.write_line(Line(lease=LeaseRow(lease.fence)))
        except SessionNotFound:
            return

    # ---- followers and seals ---------------------------------------------------------------------------------------------------------
    def changed_sessions(self, follower: str, limit: int) -> list[ChangedSession]:
        """See ``ports.store``."""
        self._check_open()
        cursors = self._follower(follower).cursors()
        found: list[ChangedSession] = []
        for info in self._catalog.infos():
            key = catalog.key_of(info)
            incarnation, seq = cursors.get(key, ("", 0))
            seq = seq if incarnation == info.incarnation else 0
            if seq < info.last_seq:
                found.append(ChangedSession(key, info.incarnation, seq, info.last_seq))
                if len(found) >= limit:
                    break
        return found

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
        """See ``ports.store``; rows are not kept, because ``search`` scans."""
        state = self._living(key)
        if state is None or state.incarnation != incarnation:
            return False
        return self._follower(follower).advance(key, incarnation, from_seq, to_seq)

    def follower_seq(self, follower: str, key: SessionKey) -> int:
        """See ``ports.store``."""
        state = self._living(key)
        return 0 if state is None else self._follower(follower).seq(key, state.incarnation)

    def read_seals(self, key: SessionKey) -> list[Seal]:
        """See ``ports.store``."""
        return self._reading(key, None, lambda _log, state: list(state.seals))

    def add_seal(self, key: SessionKey, seal: Seal, *, incarnation: str) -> bool:
        """See ``ports.store``."""
        self._check_open()
        try:
            with self._writer.holding(key) as (log, state):
                if state.incarnation != incarnation or seal.previous != (state.seals[-1].root if state.seals else b""):
                    return False
                log.write_line(Line(seals=(seal,)))
                return True
        except SessionNotFound:
            return False

    # ---- the store as a whole --------------------------------------------------------------------------------------------------------
    def watch(self, wake: Callable[[], None]) -> FileWatch:
        """See ``ports.store``."""
        self._check_open()
        self._watches = [watch for watch in self._watches if watch.running]
        watch = FileWatch(self._root / layout.CHANGES_FILE, wake)
        self._watches.append(watch)
        return watch

    def check(self) -> CheckReport:
        """See ``ports.store``: replays every log, with all checksums."""
        self._check_open()
        problems: list[str] = []
        facts: dict[str, str | int | float | bool] = {"path": str(self._root), "session_count": 0, "event_count": 0, "size_bytes": 0}
        for relative in layout.session_folders(self._root):
            log = ReadableLog(self._root, relative)
            try:
                with log.lock:
                    state = log.refresh()
            except TurnfoldError as error:
                problems.append(error.message)
                continue
            if state is not None:
                facts["session_count"] = int(facts["session_count"]) + 1
                facts["event_count"] = int(facts["event_count"]) + sum(size > 0 for size in state.sizes)
            sizes = (entry.stat().st_size for entry in os.scandir(self._root / relative) if entry.is_file())
            facts["size_bytes"] = int(facts["size_bytes"]) + sum(sizes)
        return CheckReport(tuple(problems), facts)

    def compact(self, *, sessions_max: int = COMPACT_SESSIONS) -> Compacted:
        """See ``ports.store``."""
        self._check_open()
        if layout.version_of(self._root) < layout.COMPACT_VERSION:
            from turnfold.stores.sql.migrations import outdated

            raise outdated(str(self._root), layout.MIGRATIONS[1:], post=True)
        return self._compactor.step(sessions_max)

    def migrate(self, *, dry_run: bool = False, post: bool = False) -> MigrationReport:
        """See ``ports.store``; a version is the number in the format file."""
        self._check_open()
        before = layout.version_of(self._root)
        todo = layout.MIGRATIONS[before:]
        if todo and post and not dry_run:
            layout.raise_version(self._root)
        after = layout.version_of(self._root)
        done, rest = (todo, ()) if post else ((), todo)
        return MigrationReport(before=before, after=after, known=layout.VERSION, applied=done, pending=rest, dry_run=dry_run)

    def close(self) -> None:
        """See ``ports.store``."""
        if self._closed:
            return
        self._closed = True
        for watch in self._watches:
            watch.close()
        self._reset()

    # ---- helpers ---------------------------------------------------------------------------------------------------------------------
    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed(f"the store {self.url} is closed")

    def _reading(self, key: SessionKey, owner: str | None, read: Callable[[SessionLog, LogState], T]) -> T:
        """Read from a session as it is now; again, where its files are rewritten meanwhile."""
        self._check_open()
        log = self._logs.at(layout.relative_path(key)).log
        with log.lock:
            for _ in range(RELOADS_MAX):
                state = log.refresh()
                if state is None:
                    raise not_found(key.session_id)
                check_owner(key.session_id, state.genesis.owner, owner)
                try:
                    return read(log, state)
                except Moved:
                    log.forget()
        raise StoreUnavailable(f"{log.path} is being rewritten all the time", hint="try again", path=str(log.path))

    def _living(self, key: SessionKey) -> LogState | None:
        self._check_open()
        log = self._logs.at(layout.relative_path(key)).log
        with log.lock:
            return log.refresh()

    def _log_at(self, relative: str, keep_open: bool) -> ReadableLog | None:  # noqa: FBT001 - a callback
        opened = self._logs.at(relative) if keep_open else self._logs.peek(relative)
        return None if opened is None else opened.log

    def _follower(self, name: str) -> Follower:
        found = self._followers.get(name)
        if found is None:
            found = self._followers.setdefault(name, Follower(self._root, name, lock_wait_s=self._lock_wait_s))
        return found


def _list_place(info: SessionInfo) -> tuple[int, str]:
    return info.updated_at_us, info.id


def _rank(row: SearchRow) -> tuple[int, str, int]:
    return row.bucket, row.session_id, row.seq


def _write_lease(log: SessionLog, key: SessionKey, row: LeaseRow) -> Lease:
    log.write_line(Line(lease=row))
    return Lease(key.tenant, key.session_id, row.holder or "", row.fence, row.expires_at_us)
