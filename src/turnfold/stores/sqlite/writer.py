"""The one writing connection of a process: groups of commits in one transaction, and whatever else writes.

Theory of operation. A plain append to a session that this process wrote last is four statements: BEGIN, INSERT, UPDATE, COMMIT. What it needs
to know (last seq, status, expiry, active branch, lease) is remembered from the previous commit (``live``), and the UPDATE is conditional on
that being current. If it is not (another process wrote, or the event is there already) the INSERT meets the row that is in its place and
nothing has been written; the commit then goes the long way inside the same transaction: read the session, look the ids up, check everything
in the port's order, write. Only where something was written before the mismatch showed is the transaction rolled back, and the whole group
goes the long way, on which every check comes before the first write. So a refused commit never leaves anything, and costs the others nothing.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, ParamSpec, TypeVar, cast

from turnfold.core.checks import (
    check_commit,
    check_ids,
    check_limits,
    check_owner_sessions,
    check_scope,
    check_verbatim,
    creation_of,
    first_state,
)
from turnfold.core.fold import latest_us
from turnfold.core.lifecycle import ACTIVE, OPEN
from turnfold.errors import InvalidInput, StoreClosed, TurnfoldError
from turnfold.ids import check_session_id
from turnfold.limits import LOCK_WAIT_S_MAX
from turnfold.model.commit import NO_CHANGE, Commit, Committed, HeadChange
from turnfold.model.event import MAIN, Event
from turnfold.model.query import MigrationReport
from turnfold.model.session import SessionKey
from turnfold.model.usage import NO_USAGE
from turnfold.ports.store import Clock
from turnfold.stores.sql.migrations import AUTO
from turnfold.stores.sql.rows import EventRow, event_row
from turnfold.stores.sqlite.applying import (
    LIST_GRAIN_US,
    UPDATE_PLAIN,
    apply,
    insert_session,
    insert_sources,
    list_new,
    mark_changed,
    relist,
    restore,
    write_entries,
    write_rows,
    write_sums,
)
from turnfold.stores.sqlite.database import LOG_BYTES_MAX, connect_writer, translate
from turnfold.stores.sqlite.live import Live, load_live
from turnfold.stores.sqlite.logroom import LogRoom
from turnfold.stores.sqlite.lookup import SessionLookup, find_repeat
from turnfold.stores.sqlite.migrating import applied_numbers, migrate, prepare
from turnfold.stores.sqlite.rows import INSERT_EVENTS, INSERT_PLAIN, ROWS_TOGETHER_MAX, plain_row
from turnfold.stores.sqlite.turnstile import Turnstile

P = ParamSpec("P")
T = TypeVar("T")

LIVE_SESSIONS_MAX: Final = 4_096
TRANSACTION_S_MAX: Final = 0.05
"""A group is cut here, so that other processes get their turn; one commit is never cut."""
NO_SESSION: Final = 0
"""The number of no session: every look-up about it finds nothing."""

_OPEN_MARKS: Final = ", ".join(f"'{status}'" for status in sorted(OPEN))
_COUNT_OPEN: Final = (
    "SELECT count(*) FROM session s JOIN counter c ON c.sn = s.sn WHERE s.tenant = ? AND s.kind = 'session' AND s.dead = 0 "
    f"AND s.owner IS ? AND c.status IN ({_OPEN_MARKS}) AND (c.expires_at_us IS NULL OR c.expires_at_us > ?)"
)


class _Stale(Exception):
    """Something was written before the remembered state proved old."""


class _Move:
    """What a group adds to one session."""

    __slots__ = ("last_seq", "live", "messages", "tokens", "turns", "updated_at_us")

    def __init__(self, live: Live) -> None:
        self.live = live
        self.last_seq: int = live.last_seq
        self.messages: int = live.message_count
        self.turns: int = live.turn_count
        self.tokens = 0
        self.updated_at_us: int = live.updated_at_us

    def add(self, commit: Commit) -> int:
        """Take in one event; return its seq."""
        change = commit.change
        self.last_seq += 1
        self.updated_at_us = latest_us(commit.events, self.updated_at_us)
        self.messages += change.message_count
        self.turns += change.turn_count
        self.tokens += change.token_count
        return self.last_seq


class Writer:
    """Runs write transactions. Not thread-safe: the store's combiner lets one thread at a time in."""

    def __init__(self, path: str, durability: str, clock: Clock, integrity_key: bytes | None, mode: str = AUTO) -> None:
        """Open the database for writing, and create or migrate it."""
        self.path = path
        self._clock = clock
        self._key = integrity_key
        self._live: dict[SessionKey, Live] = {}
        self.turnstile = Turnstile(path)
        self.connection = connect_writer(path, durability, partial(prepare, path, mode=mode, now_us=clock()))
        self._cursor = self.connection.cursor()
        self._room = LogRoom(f"{path}-wal", LOG_BYTES_MAX) if durability == "full" else None
        self._closed = False

    # ---- transactions ----------------------------------------------------------------------------------------------------------------
    def run(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        """Write commits, each on its own, in as few transactions as the time limit allows."""
        results: list[Committed | Exception] = []
        while len(results) < len(commits):
            results += self._run_group(commits[len(results) :] if results else commits)
        return results

    def _run_group(self, commits: Sequence[Commit], *, careful: bool = False) -> list[Committed | Exception]:
        try:
            return self._transaction(self._write_group, commits, careful=careful)
        except _Stale:
            return self._run_group(commits, careful=True)
        except TurnfoldError as error:
            return [error] * len(commits)
        except (sqlite3.Error, OSError, OverflowError, UnicodeEncodeError) as error:
            if len(commits) == 1:
                return [translate(self.path, error)]
            return [self._run_group((commit,), careful=careful)[0] for commit in commits]

    def transact(self, work: Callable[[sqlite3.Cursor], T]) -> T:
        """Do other writing work in a transaction of its own; what is remembered of the sessions is dropped.

        Raises:
            TurnfoldError: From ``work``, after which nothing is written, or for what SQLite and the system say.
        """
        self._live.clear()
        try:
            return self._transaction(work, self._cursor)
        except (sqlite3.Error, OSError, OverflowError, UnicodeEncodeError) as error:
            raise translate(self.path, error) from error

    def transact_on_session(self, work: Callable[[sqlite3.Cursor], Live | None]) -> Live | None:
        """Do the same with work that returns the session it leaves behind: the next append to it need not read it, nor look its ids up."""
        live = self.transact(work)
        if live is not None:
            self._remember(live)
        return live

    def rewrite(self, work: Callable[[sqlite3.Cursor], T], key: SessionKey) -> T:
        """Do other writing work on one session alone: what is remembered of the others stays."""
        self._live.pop(key, None)
        try:
            return self._transaction(work, self._cursor)
        except (sqlite3.Error, OSError, OverflowError, UnicodeEncodeError) as error:
            raise translate(self.path, error) from error

    def reclaim(self) -> None:
        """Write the database anew without its free pages. Other writers wait, of every process."""
        self.connection.execute(f"PRAGMA busy_timeout = {int(LOCK_WAIT_S_MAX * 1_000)}")
        try:
            self.connection.execute("VACUUM")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self.connection.execute("PRAGMA busy_timeout = 0")

    def migrate(self, *, dry_run: bool, post: bool) -> MigrationReport:
        """Apply the migrations that the file lacks."""
        read = partial(applied_numbers, self._cursor)
        return migrate(self.transact, read, dry_run=dry_run, post=post, now_us=self._clock())

    def _transaction(self, work: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
        if self._closed:
            raise StoreClosed(f"the store {self.path} is closed", path=self.path)
        execute = self._cursor.execute
        turnstile = self.turnstile
        turnstile.begin(execute)
        try:
            try:
                if self._room is not None:
                    self._room.look()
                result = work(*values, **named)
                execute("COMMIT")
            except BaseException:
                self._live.clear()
                if self.connection.in_transaction:
                    execute("ROLLBACK")
                raise
        finally:
            turnstile.end()
        return result

    # ---- commits ---------------------------------------------------------------------------------------------------------------------
    def _write_group(self, commits: Sequence[Commit], *, careful: bool) -> list[Committed | Exception]:
        if len(commits) > 1 and not careful:
            together = self._append_together(commits)
            if together is not None:
                return together
        results: list[Committed | Exception] = []
        end = time.monotonic() + TRANSACTION_S_MAX if len(commits) > 1 else 0.0
        for commit in commits:
            live = None if careful else self._live.get(commit.key)
            done = None
            if live is not None and _is_plain(commit, live):
                done = self._append(live, commit)
            if done is None:
                try:
                    results.append(self._write(commit))
                except TurnfoldError as error:
                    results.append(error)
            else:
                results.append(done)
            if end and time.monotonic() > end:
                break
        return results

    def _append(self, live: Live, commit: Commit) -> Committed | None:
        """Append to a session that is believed to be known; None where it proved not to be, and nothing was written."""
        now = self._clock()
        expires_at_us = live.expires_at_us
        if expires_at_us is not None:
            if expires_at_us <= now:
                return None
            if live.ttl_us is not None:
                expires_at_us = now + live.ttl_us
        cursor, events, change = self._cursor, commit.events, commit.change
        count = len(events)
        last_seq = live.last_seq
        pos = live.base + last_seq + 1
        branch = None if live.forked_seq is None else live.active_branch
        changes = self.connection.total_changes
        try:
            self._insert_events([(event, at, branch) for at, event in enumerate(events, pos)], now)
        except sqlite3.IntegrityError:
            if self.connection.total_changes != changes:
                raise _Stale from None
            return None
        updated_at_us = latest_us(events, live.updated_at_us)
        messages, turns = live.message_count + change.message_count, live.turn_count + change.turn_count
        cursor.execute(
            UPDATE_PLAIN,
            (last_seq + count, messages, turns, change.token_count, updated_at_us, expires_at_us, live.sn, last_seq, live.version),
        )
        if cursor.rowcount != 1:
            raise _Stale
        if last_seq == live.clean_seq:
            mark_changed(cursor, live)
        live.last_seq, live.message_count, live.turn_count = last_seq + count, messages, turns
        live.updated_at_us, live.expires_at_us = updated_at_us, expires_at_us
        if not live.touched or updated_at_us > live.listed_at_us + LIST_GRAIN_US:
            relist(cursor, live)
        if _has_rest(commit):
            self._append_rest(live, commit, pos)
        return Committed(last_seq + 1, last_seq + count, False, None, False, live.incarnation, live.active_branch, now)

    def _append_together(self, commits: Sequence[Commit]) -> list[Committed | Exception] | None:
        """Append single events to known sessions with one statement for up to sixteen; None where a commit needs more than that.

        Each statement is 8 µs less for its rows, and lets go of the interpreter once instead of once per row. Nothing is remembered before
        everything is written, so a stale session undoes the group (_Stale).
        """
        now = self._clock()
        moves: dict[int, _Move] = {}
        items: list[tuple[Event, int, str | None]] = []
        out: list[Committed | Exception] = []
        for commit in commits:
            live = self._live.get(commit.key)
            if live is None or not _is_single(commit, live):
                return None
            move = moves.get(live.sn)
            if move is None:
                if live.last_seq == live.clean_seq or not live.touched:
                    return None
                move = moves[live.sn] = _Move(live)
            seq = move.add(commit)
            items.append((commit.events[0], live.base + seq, None if live.forked_seq is None else live.active_branch))
            out.append(Committed(seq, seq, False, None, False, live.incarnation, live.active_branch, now))
        changes = self.connection.total_changes
        try:
            self._insert_events(items, now)
        except sqlite3.IntegrityError:
            if self.connection.total_changes != changes:
                raise _Stale from None
            return None
        cursor = self._cursor
        for sn, move in moves.items():
            live = move.live
            last = (move.last_seq, move.messages, move.turns, move.tokens, move.updated_at_us, None)
            cursor.execute(UPDATE_PLAIN, (*last, sn, live.last_seq, live.version))
            if cursor.rowcount != 1:
                raise _Stale
            live.last_seq, live.message_count, live.turn_count = move.last_seq, move.messages, move.turns
            live.updated_at_us = move.updated_at_us
            if live.updated_at_us > live.listed_at_us + LIST_GRAIN_US:
                relist(cursor, live)
        return out

    def _insert_events(self, items: Sequence[tuple[Event, int, str | None]], now: int) -> None:
        """Insert events at their places and branches, in the short form where all of them fit it."""
        plain = [None if branch is not None else plain_row(event, at, now) for event, at, branch in items]
        if None in plain:
            self._insert([event_row(event, at, now, branch) for event, at, branch in items])
        else:
            self._insert(cast("list[EventRow]", plain), INSERT_PLAIN)

    def _insert(self, rows: Sequence[EventRow], statements: Mapping[int, str] = INSERT_EVENTS) -> None:
        """Insert rows, up to sixteen with each statement."""
        execute = self._cursor.execute
        if len(rows) == 1:
            execute(statements[1], rows[0])
            return
        at = 0
        left = len(rows)
        while left:
            size = 1 << (min(left, ROWS_TOGETHER_MAX).bit_length() - 1)
            execute(statements[size], [value for row in rows[at : at + size] for value in row])
            at += size
            left -= size

    def _append_rest(self, live: Live, commit: Commit, pos: int) -> None:
        """Write what most appends do not have: usage, entries, parts, kept source lines."""
        change = commit.change
        insert_sources(self._cursor, pos, commit.events)
        write_sums(self._cursor, live.sn, change)
        if change.entries:
            first = pos - live.base
            write_entries(self._cursor, live.sn, change.entries, [(first + at, live.active_branch) for at in range(len(commit.events))])
        if commit.parts:
            write_rows(self._cursor, live.sn, (), commit.parts)

    def _write(self, commit: Commit) -> Committed:
        """Check a commit, and those that go with it, against the database, then write them."""
        commits = (commit, *commit.also)
        if len({item.key for item in commits}) != len(commits):
            raise InvalidInput("the commits of one transaction go to different logs")
        if any(item.also for item in commit.also):
            raise InvalidInput("a commit in also has no also of its own")
        now = self._clock()
        plans = [self._plan(item, now) for item in commits]
        results = [self._apply(item, found, now) for item, found in zip(commits, plans, strict=True)]
        return results[0]

    def _plan(self, commit: Commit, now: int) -> Live | Committed | None:
        """Return the session that a checked commit goes to, None if it creates one, or the answer if it is a repeat."""
        live = load_live(self._cursor, commit.key)
        if live is None:
            self._live.pop(commit.key, None)
            self._plan_creation(commit, now)
            return None
        check_scope(commit, owner=live.owner, incarnation=live.incarnation)
        done = find_repeat(self._cursor, live, commit, self._key)
        if done is not None:
            self._remember(live)
            return done
        if commit.verbatim is not None:
            check_verbatim(commit, live.state())
            return live
        check_commit(commit, live.state(), now, SessionLookup(self._cursor, live.sn))
        return live

    def _plan_creation(self, commit: Commit, now: int) -> None:
        genesis = creation_of(commit)
        check_session_id(commit.key.session_id)
        if commit.verbatim is not None:
            check_verbatim(commit, None)
            return
        ids = [*(event.id for event in commit.events), genesis.event.id]
        check_ids(ids, [False] * len(ids), [])
        state = first_state(genesis)
        check_commit(commit, state, now, SessionLookup(self._cursor, NO_SESSION))
        check_limits(commit.limits, state, commit, created=1)
        if genesis.owner_sessions_max is not None and genesis.kind == "session":
            count = self._cursor.execute(_COUNT_OPEN, (commit.key.tenant, genesis.owner, now)).fetchone()[0]
            check_owner_sessions(genesis, count)

    def _apply(self, commit: Commit, found: Live | Committed | None, now: int) -> Committed:
        if isinstance(found, Committed):
            return found
        cursor, live = self._cursor, found
        if live is None:
            live = self._create(commit, now)
        branch = live.active_branch if commit.branch is None else commit.branch
        recorded_at_us = now
        if commit.verbatim is not None:
            first, last = restore(cursor, live, commit, commit.verbatim)
            branch, recorded_at_us = live.active_branch, commit.verbatim.updated_at_us
        else:
            first, last = apply(cursor, live, commit, now)
        if found is None:
            list_new(cursor, live)
        self._remember(live)
        return Committed(first, last, created=found is None, incarnation=live.incarnation, branch=branch, recorded_at_us=recorded_at_us)

    def _create(self, commit: Commit, now: int) -> Live:
        genesis = creation_of(commit)
        live = insert_session(self._cursor, commit.key, genesis)
        if commit.verbatim is None:
            apply(self._cursor, live, Commit(key=commit.key, events=(genesis.event,), change=genesis.change, branch=MAIN), now)
        return live

    def _remember(self, live: Live) -> None:
        if len(self._live) >= LIVE_SESSIONS_MAX and live.key not in self._live:
            del self._live[next(iter(self._live))]
        self._live[live.key] = live

    # ---- the end ---------------------------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Close the connection; the last one of a file copies the log into the database."""
        self._closed = True
        self._live.clear()
        self.connection.close()
        if self._room is not None:
            self._room.close()
        self.turnstile.close()


def _is_plain(commit: Commit, live: Live) -> bool:
    """Whether a commit only appends to the active branch of a session as it is remembered, with nothing that has to be looked up first."""
    branch = live.active_branch
    genesis = commit.genesis
    holder = live.lease_holder
    return (
        live.status == ACTIVE
        and not live.pruned
        and (commit.branch is None or commit.branch == branch)
        and (commit.expected_seq is None or commit.expected_seq == live.last_seq)
        and (commit.lease is None if holder is None else commit.lease == live.fence)
        and (commit.owner is None or commit.owner == live.owner)
        and (commit.incarnation is None or commit.incarnation == live.incarnation)
        and (genesis is None or genesis.owner is None or genesis.owner == live.owner)
        and not (commit.limits or commit.runs or commit.redacts or commit.prune or commit.also)
        and commit.verbatim is None
        and _is_plain_change(commit.change)
        and _stays_on(branch, commit.events)
    )


def _stays_on(branch: str, events: Sequence[Event]) -> bool:
    """Whether there are events, and all go to that branch."""
    if len(events) == 1:
        return not events[0].branch or events[0].branch == branch
    return bool(events) and all(not event.branch or event.branch == branch for event in events)


def _is_single(commit: Commit, live: Live) -> bool:
    """Whether a commit appends one event and nothing else, to a session without an expiry, and does not look at its last seq."""
    if len(commit.events) != 1 or commit.expected_seq is not None or live.expires_at_us is not None:
        return False
    return not _has_rest(commit) and _is_plain(commit, live)


def _has_rest(commit: Commit) -> bool:
    """Whether a plain append has usage, entries, parts or kept source lines."""
    change = commit.change
    if change.usage is not NO_USAGE or change.usage_by_model or change.entries or commit.parts:
        return True
    return any(event.source is not None for event in commit.events)


def _is_plain_change(change: HeadChange) -> bool:
    return change is NO_CHANGE or (
        change.status is None
        and change.active_branch is None
        and change.expires_at_us is None
        and not change.guards
        and not change.branch_count
        and not change.checkpoint_count
        and (not change.entries or all(entry.kind != "branch" for entry in change.entries))
    )
