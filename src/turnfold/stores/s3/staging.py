"""From a commit to a changed state: all checks first, then the change; nothing is sent anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from turnfold.codec.seal import same_content
from turnfold.core import checks
from turnfold.errors import InvalidInput
from turnfold.ids import check_session_id
from turnfold.model.commit import Commit, Committed, Genesis, Redact, Verbatim
from turnfold.model.event import MAIN, Event, RangeTombstone
from turnfold.model.run import Run
from turnfold.model.session import Entry
from turnfold.stores.s3 import names
from turnfold.stores.s3.manifest import Fixed, Garbage, encode_event, id_hash, pack
from turnfold.stores.s3.state import State

_replace = msgspec.structs.replace
EventsAt = Callable[[State, Sequence[int]], dict[int, Event]]
"""Reads the stored events at some places; pruned ones are missing."""


class Context(NamedTuple):
    """What staging needs beside the state."""

    now_us: int
    integrity_key: bytes | None
    events_at: EventsAt
    all_ids: Callable[[State], dict[str, int]]
    """Reads every id of the log with its seq: the exact and slow way to look one up."""
    thorough: bool = False
    """Look up every id the exact way."""


class Staged(NamedTuple):
    """The state after a commit and its answer; ``written`` is False where nothing is to be written (a repeat, an empty commit)."""

    state: State | None
    committed: Committed
    written: bool


class _Lookup:
    """Answers of a state; see ``core.checks.Lookup``."""

    def __init__(self, state: State | None, context: Context) -> None:
        self._state = state
        self._context = context

    def has_entry(self, kind: str, name: str) -> bool:
        entry = None if self._state is None else self._state.entries.get((kind, name, ""))
        return entry is not None and entry.value is not None

    def run_status(self, run_id: str) -> str | None:
        run = None if self._state is None else self._state.runs.get(run_id)
        return None if run is None else run.status

    def digest_at(self, seq: int) -> bytes | None:
        state = self._state
        if state is None or not 1 <= seq <= state.fixed.last_seq:
            return None
        event = self._context.events_at(state, [seq]).get(seq)
        return None if event is None else event.digest

    def pruned(self) -> Sequence[RangeTombstone]:
        return () if self._state is None else self._state.ranges


def stage(commit: Commit, state: State | None, fence: int, context: Context) -> Staged:
    """Check a commit and apply it.

    Args:
        commit: What to write, without ``also``.
        state: The living session, which is changed only when every check has passed; None where there is none.
        fence: The highest fence that an earlier incarnation spent.
        context: The store's time and its readers.
    """
    if state is None:
        return _create(commit, fence, context)
    checks.check_scope(commit, owner=state.fixed.owner, incarnation=state.incarnation)
    done = _repeat(commit, state, context)
    if done is not None:
        return Staged(state, done, written=False)
    if commit.verbatim is not None:
        checks.check_verbatim(commit, state.for_checks())
        return _restore(commit, state, commit.verbatim, creates=False)
    checks.check_commit(commit, state.for_checks(), context.now_us, _Lookup(state, context))
    _check_encodable(commit)
    return _apply(commit, state, None, context)


def _create(commit: Commit, fence: int, context: Context) -> Staged:
    genesis = checks.creation_of(commit)
    check_session_id(commit.key.session_id)
    state = State(commit.key, genesis.incarnation, _fixed(genesis))
    state.fence = fence
    if commit.verbatim is not None:
        checks.check_verbatim(commit, None)
        return _restore(commit, state, commit.verbatim, creates=True)
    ids = [genesis.event.id, *(event.id for event in commit.events)]
    checks.check_ids(ids, [False] * len(ids), [])
    first = checks.first_state(genesis)
    checks.check_commit(commit, first, context.now_us, _Lookup(None, context))
    checks.check_limits(commit.limits, first, commit, created=1)
    _check_encodable(commit)
    return _apply(commit, state, genesis, context)


def _fixed(genesis: Genesis) -> Fixed:
    return Fixed(
        owner=genesis.owner,
        agent=genesis.agent,
        kind=genesis.kind,
        status=genesis.status,
        created_at_us=genesis.event.at_us,
        updated_at_us=genesis.event.at_us,
        expires_at_us=genesis.expires_at_us,
        ttl_s=genesis.ttl_s,
    )


def _check_encodable(commit: Commit) -> None:
    """Meet what cannot be encoded, or named, before anything is applied."""
    for ref, _ in commit.parts:
        names.part(ref)
    for event in commit.events:
        encode_event(event)
    if commit.runs or commit.change.entries or commit.prune or commit.redacts:
        pack((commit.runs, commit.change, commit.prune, commit.redacts))


# ---- repeats ---------------------------------------------------------------------------------------------------------------------------
def _repeat(commit: Commit, state: State, context: Context) -> Committed | None:
    """The original places of a repeated commit, None for a new one; IdempotencyConflict for anything between."""
    events = commit.events
    if not events:
        return None
    found = _find(events, state, context)
    if not found:
        checks.check_ids([event.id for event in events], [False] * len(events), [])
        return None
    stored = context.events_at(state, sorted(found.values()))
    present = [event.id in found for event in events]
    same = [not there or _same(event, stored.get(found[event.id]), context) for event, there in zip(events, present, strict=True)]
    checks.check_ids([event.id for event in events], present, same)
    seqs = [found[event.id] for event in events]
    branch = state.fixed.active_branch if commit.branch is None else commit.branch
    last = stored.get(seqs[-1])
    at_us = state.fixed.updated_at_us if last is None else last.recorded_at_us
    return checks.repeated(seqs, incarnation=state.incarnation, branch=branch, recorded_at_us=at_us)


def _find(events: Sequence[Event], state: State, context: Context) -> dict[str, int]:
    """The seqs of those ids that the session has. Once one is found, the others are looked for in the whole log."""
    places = state.places()
    hits = {event.id: places[digest] for event in events if (digest := id_hash(event.id)) in places}
    if hits and not context.thorough:
        stored = context.events_at(state, sorted(hits.values()))
        hits = {event_id: seq for event_id, seq in hits.items() if _is(event_id, stored.get(seq), state, seq)}
    if context.thorough or 0 < len(hits) < len({event.id for event in events}):
        known = context.all_ids(state)
        return {event.id: known[event.id] for event in events if event.id in known}
    return hits


def _is(event_id: str, stored: Event | None, state: State, seq: int) -> bool:
    """Whether the event at a place has this id: two ids may have one hash."""
    if stored is not None:
        return stored.id == event_id
    return any(item.ids[seq - item.first_seq] == event_id for item in state.ranges if item.first_seq <= seq <= item.last_seq)


def _same(incoming: Event, stored: Event | None, context: Context) -> bool:
    if stored is None or stored.redacted:
        return True
    return same_content(incoming, salt=stored.salt, digest=stored.digest, key=context.integrity_key)


# ---- applying --------------------------------------------------------------------------------------------------------------------------
def _apply(commit: Commit, state: State, genesis: Genesis | None, context: Context) -> Staged:
    now_us = context.now_us
    redacted = context.events_at(state, [redact.seq for redact in commit.redacts]) if commit.redacts else {}
    if genesis is not None:
        state.add(_replace(genesis.event, seq=1, branch=MAIN, recorded_at_us=now_us))
        state.change(genesis.change, [(1, MAIN)])
    branch = state.fixed.active_branch if commit.branch is None else commit.branch
    places: list[tuple[int, str]] = []
    for event in commit.events:
        seq, own = state.fixed.last_seq + 1, event.branch or branch
        state.add(_replace(event, seq=seq, branch=own, recorded_at_us=now_us))
        places.append((seq, own))
    state.change(commit.change, places)
    _write_rows(commit, state, redacted, now_us)
    if genesis is not None or places:
        state.touch(commit.events, now_us)
    committed = Committed(
        places[0][0] if places else 0,
        places[-1][0] if places else 0,
        created=genesis is not None,
        incarnation=state.incarnation,
        branch=branch,
        recorded_at_us=now_us,
    )
    rows = commit.runs or commit.parts or commit.redacts or commit.prune
    changed = commit.change.status or commit.change.active_branch or commit.change.expires_at_us is not None or commit.change.entries
    return Staged(state, committed, bool(places or genesis or rows or changed))


def _write_rows(commit: Commit, state: State, redacted: Mapping[int, Event], now_us: int) -> None:
    for run in commit.runs:
        _put_run(state, run)
    _put_parts(commit, state)
    for redact in commit.redacts:
        _redact(state, redact, redacted[redact.seq], now_us)
    for pruned in commit.prune:
        state.prune(pruned)


def _put_parts(commit: Commit, state: State) -> None:
    for ref, content in commit.parts:
        if ref not in state.parts:
            state.uploads[ref] = content
            state.parts.add(ref)
            state.hot.parts.add(ref)
            state.hot.parts_gone.discard(ref)
            state.garbage = [item for item in state.garbage if item.name != names.part(ref)]


def _put_run(state: State, run: Run) -> None:
    state.runs[run.id] = run
    state.hot.runs[run.id] = None


def _redact(state: State, redact: Redact, event: Event, now_us: int) -> None:
    state.edit(redact.seq, _replace(event, data_raw=redact.tombstone, meta_raw=None, source=None, salt=b"", redacted=True))
    state.erases = True
    state.fixed.gone_count += 1
    state.redacted.add(redact.seq)
    state.hot.redacted.add(redact.seq)
    for ref in redact.parts:
        if ref in state.parts:
            state.parts.discard(ref)
            state.hot.parts.discard(ref)
            state.hot.parts_gone.add(ref)
            state.garbage.append(Garbage(names.part(ref), now_us))
    for entry in redact.entries:
        kept = state.entries.get((entry.kind, entry.name, entry.branch))
        if kept is not None and kept.seq == redact.seq:
            state.put_entry(Entry(entry.kind, entry.name, entry.value, redact.seq, entry.branch))


def _restore(commit: Commit, state: State, verbatim: Verbatim, *, creates: bool) -> Staged:
    """Fill an empty session, or continue one, with a log as it was elsewhere."""
    _check_encodable(commit)
    items: list[Event | RangeTombstone] = [*commit.events, *verbatim.ranges]
    for item in sorted(items, key=_first_seq):
        if isinstance(item, RangeTombstone):
            state.add_pruned(item)
        else:
            state.add(item)
    events = commit.events
    state.change(commit.change, [(event.seq, event.branch) for event in events])
    fixed = state.fixed
    fixed.updated_at_us = verbatim.updated_at_us
    if creates:
        fixed.created_at_us = verbatim.created_at_us
    if fixed.ttl_s is not None and events:
        fixed.expires_at_us = events[-1].recorded_at_us + int(fixed.ttl_s * 1_000_000)
    state.seals.extend(verbatim.seals)
    redacted = {event.seq for event in events if event.redacted}
    state.redacted |= redacted
    state.hot.redacted |= redacted
    for run in commit.runs:
        _put_run(state, run)
    _put_parts(commit, state)
    committed = Committed(
        events[0].seq if events else 0,
        events[-1].seq if events else 0,
        created=creates,
        incarnation=state.incarnation,
        branch=fixed.active_branch,
        recorded_at_us=verbatim.updated_at_us,
    )
    return Staged(state, committed, written=True)


def _first_seq(item: Event | RangeTombstone) -> int:
    return item.first_seq if isinstance(item, RangeTombstone) else item.seq


def check_also(commit: Commit) -> None:
    """Raise InvalidInput where the commits of one transaction do not fit together."""
    commits = (commit, *commit.also)
    if len({item.key for item in commits}) != len(commits):
        raise InvalidInput("the commits of one transaction go to different logs")
    if any(item.also for item in commit.also):
        raise InvalidInput("a commit in also has no also of its own")
