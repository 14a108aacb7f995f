"""The long way of a commit: plan (check everything, change nothing), then apply (change everything, fail nowhere)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from turnfold.codec.seal import same_content
from turnfold.core.checks import (
    check_commit,
    check_ids,
    check_limits,
    check_owner_sessions,
    check_scope,
    check_verbatim,
    covers,
    creation_of,
    repeated,
)
from turnfold.ids import check_session_id
from turnfold.model.commit import Commit, Committed, Redact, Verbatim
from turnfold.model.event import MAIN, Event, RangeTombstone
from turnfold.model.session import Entry
from turnfold.stores.memory.session import MemorySession

_replace = msgspec.structs.replace
OpenCount = Callable[[str, str | None, int], int]


class Plan(NamedTuple):
    """A checked commit: where it goes, and the answer if it is a repeat."""

    commit: Commit
    session: MemorySession
    creates: bool
    done: Committed | None = None


def plan(commit: Commit, session: MemorySession | None, now_us: int, key: bytes | None, open_count: OpenCount) -> Plan:
    """Check a commit against the store as it is.

    Args:
        commit: What to write.
        session: The living session of that key, or None.
        now_us: The store's time.
        key: HMAC key of the digests.
        open_count: Counts the open sessions of (tenant, owner) at a time.
    """
    if session is None:
        return _plan_creation(commit, now_us, open_count)
    check_scope(commit, owner=session.owner, incarnation=session.incarnation)
    done = _repeat(commit, session, key)
    if done is not None:
        return Plan(commit, session, creates=False, done=done)
    if commit.verbatim is not None:
        check_verbatim(commit, session.state())
        return Plan(commit, session, creates=False)
    check_commit(commit, session.state(), now_us, session)
    return Plan(commit, session, creates=False)


def _plan_creation(commit: Commit, now_us: int, open_count: OpenCount) -> Plan:
    genesis = creation_of(commit)
    check_session_id(commit.key.session_id)
    session = MemorySession(commit.key, genesis, now_us)
    if commit.verbatim is not None:
        check_verbatim(commit, None)
        return Plan(commit, session, creates=True)
    all_ids = [genesis.event.id, *(event.id for event in commit.events)]
    check_ids(all_ids, [False] * len(all_ids), [])
    check_commit(commit, session.state(), now_us, session)
    check_limits(commit.limits, session.state(), commit, created=1)
    if genesis.owner_sessions_max is not None and genesis.kind == "session":
        check_owner_sessions(genesis, open_count(commit.key.tenant, genesis.owner, now_us))
    return Plan(commit, session, creates=True)


def _repeat(commit: Commit, session: MemorySession, key: bytes | None) -> Committed | None:
    """The original places of a repeated commit, None for a new one; IdempotencyConflict for anything between."""
    ids = session.ids
    events = commit.events
    if len(events) == 1 and events[0].id not in ids:
        return None
    present = [event.id in ids for event in events]
    same = [not there or _same(event, session, key) for event, there in zip(events, present, strict=True)]
    if not check_ids([event.id for event in events], present, same):
        return None
    seqs = [ids[event.id] for event in events]
    branch = session.active_branch if commit.branch is None else commit.branch
    return repeated(seqs, incarnation=session.incarnation, branch=branch, recorded_at_us=session.times[seqs[-1] - 1])


def _same(incoming: Event, session: MemorySession, key: bytes | None) -> bool:
    stored = session.events[session.ids[incoming.id] - 1]
    if stored is None or stored.redacted:
        return True
    return same_content(incoming, salt=stored.salt, digest=stored.digest, key=key)


def apply(planned: Plan, now_us: int) -> Committed:
    """Do what was planned; nothing here can be refused."""
    commit, session, creates, _done = planned
    if commit.verbatim is not None:
        return _restore(commit, session, commit.verbatim, creates=creates)
    genesis = commit.genesis
    if creates and genesis is not None:
        session.add(genesis.event, now_us, MAIN)
        session.change(genesis.change, [(1, MAIN)])
    default = session.active_branch if commit.branch is None else commit.branch
    first = len(session.events) + 1
    places: list[tuple[int, str]] = []
    for seq, event in enumerate(commit.events, first):
        branch = event.branch or default
        session.add(event, now_us, branch)
        places.append((seq, branch))
    session.change(commit.change, places)
    _write_rows(commit, session)
    if creates or places:
        session.touch(commit.events, now_us)
    session.settle()
    return Committed(
        first if places else 0,
        places[-1][0] if places else 0,
        created=creates,
        incarnation=session.incarnation,
        branch=default,
        recorded_at_us=now_us,
    )


def _write_rows(commit: Commit, session: MemorySession) -> None:
    session.runs.update((run.id, run) for run in commit.runs)
    for ref, content in commit.parts:
        session.parts.setdefault(ref, content)
    for redact in commit.redacts:
        _redact(session, redact)
    for pruned in commit.prune:
        _prune(session, pruned)


def _redact(session: MemorySession, redact: Redact) -> None:
    event = session.stored(redact.seq)
    session.events[redact.seq - 1] = _replace(event, data_raw=redact.tombstone, meta_raw=None, source=None, salt=b"", redacted=True)
    for ref in redact.parts:
        session.parts.pop(ref, None)
    for entry in redact.entries:
        place = (entry.kind, entry.name, entry.branch)
        kept = session.entries.get(place)
        if kept is not None and kept.seq == redact.seq:
            session.entries[place] = Entry(entry.kind, entry.name, entry.value, redact.seq, entry.branch)


def _prune(session: MemorySession, pruned: RangeTombstone) -> None:
    kept = [item for item in session.ranges if not covers(pruned, item)]
    session.ranges = sorted([*kept, pruned], key=lambda item: item.first_seq)
    for seq in range(pruned.first_seq, pruned.last_seq + 1):
        session.events[seq - 1] = None


def _restore(commit: Commit, session: MemorySession, verbatim: Verbatim, *, creates: bool) -> Committed:
    """Fill an empty session, or continue one, with a log as it was elsewhere."""
    items: list[Event | RangeTombstone] = [*commit.events, *verbatim.ranges]
    for item in sorted(items, key=_first_seq):
        if isinstance(item, RangeTombstone):
            _add_range(session, item)
        else:
            session.add(item, item.recorded_at_us, item.branch)
    events = commit.events
    session.change(commit.change, [(event.seq, event.branch) for event in events])
    session.updated_at_us = verbatim.updated_at_us
    if creates:
        session.created_at_us = verbatim.created_at_us
    if session.ttl_s is not None and events:
        session.expires_at_us = events[-1].recorded_at_us + int(session.ttl_s * 1_000_000)
    session.seals.extend(verbatim.seals)
    _write_rows(commit, session)
    session.settle()
    return Committed(
        events[0].seq if events else 0,
        events[-1].seq if events else 0,
        created=creates,
        incarnation=session.incarnation,
        branch=session.active_branch,
        recorded_at_us=verbatim.updated_at_us,
    )


def _first_seq(item: Event | RangeTombstone) -> int:
    return item.first_seq if isinstance(item, RangeTombstone) else item.seq


def _add_range(session: MemorySession, pruned: RangeTombstone) -> None:
    """Add pruned places at the end of the log."""
    for seq, event_id in enumerate(pruned.ids, pruned.first_seq):
        session.ids[event_id] = seq
        session.events.append(None)
        session.times.append(pruned.at_us)
        session.branches.append("")
    session.ranges.append(pruned)
