"""From a commit to the line that writes it: all checks, and nothing on disk changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from turnfold.codec.seal import same_content
from turnfold.core import checks
from turnfold.core.fold import latest_us
from turnfold.errors import InvalidInput
from turnfold.ids import check_session_id
from turnfold.model.commit import NO_CHANGE, Commit, Committed, Genesis, HeadChange, Redact
from turnfold.model.event import MAIN, Event, RangeTombstone
from turnfold.model.session import BRANCH_KEYED
from turnfold.stores.files.lines import GenesisRow, HeadRow, Line, RedactRow
from turnfold.stores.files.rows import NO_RAW, EntryRow, as_line_json, encode_event, entry_row
from turnfold.stores.files.state import LogState


class Staged:
    """A commit that passed its checks: its line, and the answer to give when the line is written."""

    __slots__ = ("committed", "ids", "line", "parts", "rows")

    def __init__(
        self, line: Line, committed: Committed, rows: list[bytes], ids: list[tuple[int, str]], parts: Sequence[tuple[str, bytes]]
    ) -> None:
        self.line = line
        self.committed = committed
        self.rows = rows
        self.ids = ids
        self.parts = parts


class StoredEvents(Protocol):
    """Reads events of the log that a commit goes to."""

    def __call__(self, seqs: Sequence[int]) -> list[Event | None]:
        """Return the events at these places, None where one was pruned."""
        ...


class _Lookup:
    """Answers of an existing log; see ``core.checks.Lookup``."""

    def __init__(self, state: LogState, read: StoredEvents) -> None:
        self._state = state
        self._read = read

    def has_entry(self, kind: str, name: str) -> bool:
        entry = self._state.entries.get((kind, name, ""))
        return entry is not None and entry.value is not None

    def run_status(self, run_id: str) -> str | None:
        run = self._state.runs.get(run_id)
        return None if run is None else run.status

    def digest_at(self, seq: int) -> bytes | None:
        if not 1 <= seq <= self._state.last_seq:
            return None
        event = self._read([seq])[0]
        return None if event is None else event.digest

    def pruned(self) -> Sequence[RangeTombstone]:
        return self._state.ranges


class _Nothing:
    """Answers of a log that does not exist yet."""

    def has_entry(self, _kind: str, _name: str) -> bool:
        return False

    def run_status(self, _run_id: str) -> str | None:
        return None

    def digest_at(self, _seq: int) -> bytes | None:
        return None

    def pruned(self) -> Sequence[RangeTombstone]:
        return ()


_NOTHING = _Nothing()


def stage(
    commit: Commit,
    state: LogState | None,
    *,
    now_us: int,
    integrity_key: bytes | None,
    read: StoredEvents,
    open_count: Callable[[], int],
) -> Staged | Committed:
    """Check a commit and build its line.

    Args:
        commit: What to write, without ``also``.
        state: The log as it is, None where there is no such session.
        now_us: The store's time.
        integrity_key: HMAC key of the digests, None for plain ones.
        read: Reads stored events of this log.
        open_count: Counts the open sessions of the genesis' owner.

    Returns:
        What to write; or, where nothing is to be written (a repeat, an empty commit), the answer.
    """
    if state is None:
        return _stage_creation(commit, now_us, open_count)
    checks.check_scope(commit, owner=state.genesis.owner, incarnation=state.incarnation)
    done = _repeat(commit, state, integrity_key, read)
    if done is not None:
        return done
    if commit.verbatim is not None:
        last_seq = checks.check_verbatim(commit, state.for_checks())
        active = commit.change.active_branch or state.fields["active_branch"]
        return _build_verbatim(commit, None, last_seq=last_seq, incarnation=state.incarnation, branch=active)
    checks.check_commit(commit, state.for_checks(), now_us, _Lookup(state, read))
    branch = state.fields["active_branch"] if commit.branch is None else commit.branch
    return _build(commit, None, first_seq=state.last_seq + 1, branch=branch, now_us=now_us, incarnation=state.incarnation)


def _stage_creation(commit: Commit, now_us: int, open_count: Callable[[], int]) -> Staged | Committed:
    genesis = checks.creation_of(commit)
    check_session_id(commit.key.session_id)
    if commit.verbatim is not None:
        last_seq = checks.check_verbatim(commit, None)
        active = commit.change.active_branch or MAIN
        return _build_verbatim(commit, genesis, last_seq=last_seq, incarnation=genesis.incarnation, branch=active)
    ids = [genesis.event.id, *(event.id for event in commit.events)]
    checks.check_ids(ids, [False] * len(ids), [])
    state = checks.first_state(genesis)
    checks.check_commit(commit, state, now_us, _NOTHING)
    checks.check_limits(commit.limits, state, commit, created=1)
    if genesis.owner_sessions_max is not None and genesis.kind == "session":
        checks.check_owner_sessions(genesis, open_count())
    branch = MAIN if commit.branch is None else commit.branch
    return _build(commit, genesis, first_seq=2, branch=branch, now_us=now_us, incarnation=genesis.incarnation)


def _repeat(commit: Commit, state: LogState, integrity_key: bytes | None, read: StoredEvents) -> Committed | None:
    """The original places of a repeated commit, None for a new one; IdempotencyConflict for anything between."""
    ids = state.ids
    events = commit.events
    if len(events) == 1 and events[0].id not in ids:
        return None
    present = [event.id in ids for event in events]
    if not any(present):
        checks.check_ids([event.id for event in events], present, present)
        return None
    seqs = [ids[event.id] for event in events if event.id in ids]
    stored = dict(zip(seqs, read(seqs), strict=True))
    same = [not there or _same(event, stored[ids[event.id]], integrity_key) for event, there in zip(events, present, strict=True)]
    checks.check_ids([event.id for event in events], present, same)
    branch = state.fields["active_branch"] if commit.branch is None else commit.branch
    last = stored[seqs[-1]]
    at_us = state.fields["updated_at_us"] if last is None else last.recorded_at_us
    return checks.repeated(seqs, incarnation=state.incarnation, branch=branch, recorded_at_us=at_us)


def _same(incoming: Event, stored: Event | None, integrity_key: bytes | None) -> bool:
    if stored is None or stored.redacted:
        return True
    return same_content(incoming, salt=stored.salt, digest=stored.digest, key=integrity_key)


def _build(commit: Commit, genesis: Genesis | None, *, first_seq: int, branch: str, now_us: int, incarnation: str) -> Staged | Committed:
    """Build the line of new events."""
    rows: list[bytes] = []
    ids: list[tuple[int, str]] = []
    places: list[tuple[int, str]] = []
    head: HeadRow | None = None
    if genesis is not None:
        rows.append(encode_event(genesis.event, 1, MAIN, now_us))
        ids.append((1, genesis.event.id))
        head = _head_row(genesis.change, [(1, MAIN)])
    seq = first_seq
    for event in commit.events:
        event_branch = event.branch or branch
        rows.append(encode_event(event, seq, event_branch, now_us))
        ids.append((seq, event.id))
        places.append((seq, event_branch))
        seq += 1
    head = _joined(head, _head_row(commit.change, places))
    committed = Committed(
        first_seq if places else 0,
        seq - 1 if places else 0,
        False,
        None,
        genesis is not None,
        incarnation,
        branch,
        now_us,
    )
    if not rows and head is None and not (commit.runs or commit.redacts or commit.prune or commit.parts):
        return committed
    line = Line(
        at_us=now_us,
        genesis=None if genesis is None else _genesis_row(commit, genesis, genesis.event.at_us),
        updated_at_us=latest_us(commit.events, 0) if commit.events else None,
        head=head,
        runs=commit.runs,
        parts=tuple(ref for ref, _ in commit.parts) if commit.parts else (),
        redacts=tuple(_redact_row(redact) for redact in commit.redacts) if commit.redacts else (),
        prune=commit.prune,
    )
    return Staged(line, committed, rows, ids, commit.parts)


def _build_verbatim(commit: Commit, genesis: Genesis | None, *, last_seq: int, incarnation: str, branch: str) -> Staged:
    """Build the line of a log, or of a part of one, as it was elsewhere."""
    events, verbatim = commit.events, commit.verbatim
    assert verbatim is not None
    at_us = events[-1].recorded_at_us if events else verbatim.updated_at_us
    line = Line(
        at_us=at_us,
        genesis=None if genesis is None else _genesis_row(commit, genesis, verbatim.created_at_us),
        head=_head_row(commit.change, [(event.seq, event.branch) for event in events]),
        runs=commit.runs,
        parts=tuple(ref for ref, _ in commit.parts),
        ranges=verbatim.ranges,
        seals=verbatim.seals,
        updated_at_us=verbatim.updated_at_us,
        last_seq=last_seq,
    )
    first, last = (events[0].seq, events[-1].seq) if events else (0, 0)
    created = genesis is not None
    committed = Committed(first, last, created=created, incarnation=incarnation, branch=branch, recorded_at_us=verbatim.updated_at_us)
    rows = [encode_event(event, event.seq, event.branch, event.recorded_at_us) for event in events]
    return Staged(line, committed, rows, [(event.seq, event.id) for event in events], commit.parts)


def _genesis_row(commit: Commit, genesis: Genesis, created_at_us: int) -> GenesisRow:
    return GenesisRow(
        tenant=commit.key.tenant,
        session_id=commit.key.session_id,
        incarnation=genesis.incarnation,
        owner=genesis.owner,
        agent=genesis.agent,
        status=genesis.status,
        kind=genesis.kind,
        ttl_s=genesis.ttl_s,
        expires_at_us=genesis.expires_at_us,
        created_at_us=created_at_us,
    )


def _head_row(change: HeadChange, places: list[tuple[int, str]]) -> HeadRow | None:
    """The head change with its entries at their places."""
    if change is NO_CHANGE:
        return None
    entries: list[EntryRow] = []
    for entry in change.entries:
        seq, event_branch = places[entry.seq]
        branch = (entry.branch or event_branch) if entry.kind in BRANCH_KEYED else ""
        entries.append(entry_row(entry, seq, branch))
    status = change.status
    row = HeadRow(
        change.message_count,
        change.turn_count,
        change.token_count,
        change.branch_count,
        change.checkpoint_count,
        change.usage,
        change.usage_by_model,
        tuple(entries),
        None if status is None else status.to,
        None if status is None else status.end_reason,
        change.active_branch,
        change.expires_at_us,
    )
    return None if row == _NO_HEAD else row


_NO_HEAD = HeadRow()


def _joined(first: HeadRow | None, then: HeadRow | None) -> HeadRow | None:
    """One head change out of the genesis' and the commit's."""
    if first is None or then is None:
        return then if first is None else first
    by_model = {usage.model: usage for usage in first.usage_by_model}
    for usage in then.usage_by_model:
        by_model[usage.model] = by_model[usage.model] + usage if usage.model in by_model else usage
    return HeadRow(
        first.message_count + then.message_count,
        first.turn_count + then.turn_count,
        first.token_count + then.token_count,
        first.branch_count + then.branch_count,
        first.checkpoint_count + then.checkpoint_count,
        first.usage + then.usage,
        tuple(by_model.values()),
        first.entries + then.entries,
        then.status or first.status,
        then.end_reason if then.status is not None else first.end_reason,
        then.active_branch or first.active_branch,
        first.expires_at_us if then.expires_at_us is None else then.expires_at_us,
    )


def _redact_row(redact: Redact) -> RedactRow:
    entries = tuple(entry_row(entry, redact.seq, entry.branch) for entry in redact.entries)
    tombstone = as_line_json(redact.tombstone)
    if tombstone is None:
        return RedactRow(redact.seq, NO_RAW, redact.tombstone, redact.parts, entries)
    return RedactRow(redact.seq, tombstone, b"", redact.parts, entries)


def check_also(commit: Commit) -> None:
    """Raise InvalidInput where the commits of one transaction do not fit together."""
    commits = (commit, *commit.also)
    if len({item.key for item in commits}) != len(commits):
        raise InvalidInput("the commits of one transaction go to different logs")
    if any(item.also for item in commit.also):
        raise InvalidInput("a commit in also has no also of its own")
