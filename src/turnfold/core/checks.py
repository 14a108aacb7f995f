"""The checks of a commit, in the one order that every store keeps: scope, (ids), lease, expected_seq, status, limits.

A store gathers a few fields of the session (``State``) and answers a few look-ups (``Lookup``); what they mean is decided here. The look-up of
event ids comes between scope and lease and is the store's own (``codec.seal.same_content`` compares one event; ``repeated`` builds the answer).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Protocol

import msgspec

from turnfold.core.lifecycle import ACTIVE, APPENDABLE, EXPIRED, OPEN, PENDING, check_run_transition, refusal
from turnfold.errors import (
    AlreadyExists,
    IdempotencyConflict,
    InvalidInput,
    InvalidTransition,
    LeaseLost,
    LimitExceeded,
    NotFound,
    SequenceConflict,
    SessionExpired,
    SessionNotFound,
)
from turnfold.limits import LEASE_TTL_S_MAX
from turnfold.model.commit import Commit, Committed, Genesis, Guard, LimitCheck, Redact
from turnfold.model.event import MAIN, RangeTombstone

LEAF_BYTES = 32
COUNTERS = ("turn_count", "message_count", "branch_count", "checkpoint_count", "last_seq")


class State(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the checks need to know of a session: its guarded fields and counters, as stored (expiry not applied)."""

    status: str = ACTIVE
    expires_at_us: int | None = None
    leased: bool = False
    fence: int = 0
    active_branch: str = MAIN
    last_seq: int = 0
    turn_count: int = 0
    message_count: int = 0
    branch_count: int = 1
    checkpoint_count: int = 0


class Lookup(Protocol):
    """Answers about the stored session, asked only where the commit touches them."""

    def has_entry(self, kind: str, name: str) -> bool:
        """Whether that head entry (not branch-keyed) is live."""
        ...

    def run_status(self, run_id: str) -> str | None:
        """The status of a run row, None where there is no row."""
        ...

    def digest_at(self, seq: int) -> bytes | None:
        """The digest of the event at that place, None where there is none (pruned, beyond the end)."""
        ...

    def pruned(self) -> Sequence[RangeTombstone]:
        """The range tombstones of the session."""
        ...


def not_found(session_id: str) -> SessionNotFound:
    """The error for a session that is not there or not the caller's; it never says which."""
    return SessionNotFound(f"there is no session {session_id!r}", session_id=session_id)


def check_owner(session_id: str, stored: str | None, owner: str | None) -> None:
    """Raise SessionNotFound if the caller is bound to an owner and the session has another one."""
    if owner is not None and stored != owner:
        raise not_found(session_id)


def check_scope(commit: Commit, *, owner: str | None, incarnation: str) -> None:
    """Raise SessionNotFound unless the existing session is the one that the commit means.

    A joining genesis also counts as the caller's scope: opening a session for an owner never joins another owner's.
    """
    session_id = commit.key.session_id
    check_owner(session_id, owner, commit.owner)
    if commit.genesis is not None:
        check_owner(session_id, owner, commit.genesis.owner)
    if commit.incarnation is not None and commit.incarnation != incarnation:
        raise not_found(session_id)


def creation_of(commit: Commit) -> Genesis:
    """Return the genesis of a commit to a session that is not there, or raise SessionNotFound."""
    genesis = commit.genesis
    if genesis is None or commit.incarnation is not None:
        raise not_found(commit.key.session_id)
    if commit.verbatim is None and genesis.status not in {PENDING, ACTIVE}:
        raise InvalidInput(f"a session cannot begin as {genesis.status!r}", hint=f"{PENDING} or {ACTIVE}")
    return genesis


def first_state(genesis: Genesis) -> State:
    """The state that a commit which creates its session is checked against: before the genesis event."""
    return State(status=genesis.status, expires_at_us=genesis.expires_at_us)


def check_ids(ids: Sequence[str], present: Sequence[bool], same: Sequence[bool]) -> bool:
    """Whether the commit is a repeat.

    Args:
        ids: Ids of the commit's events.
        present: Which of them the session has (redacted and pruned ones too).
        same: Which of those present have equal content (always true where the content is gone).

    Raises:
        IdempotencyConflict: Only some are there, some have other content, or an id stands twice in the commit.
    """
    if not any(present):
        if len(set(ids)) != len(ids):
            raise IdempotencyConflict("an event id stands twice in one commit")
        return False
    for event_id, there, equal in zip(ids, present, same, strict=True):
        if there and not equal:
            raise IdempotencyConflict(f"event {event_id!r} exists with other content", id=event_id)
    if not all(present):
        missing = ids[list(present).index(False)]
        raise IdempotencyConflict(f"some events of the commit exist, {missing!r} does not", id=missing)
    return True


def repeated(seqs: Sequence[int], *, incarnation: str, branch: str, recorded_at_us: int) -> Committed:
    """The answer to a commit whose events are all there already."""
    contiguous = all(later == earlier + 1 for earlier, later in pairwise(seqs))
    return Committed(
        seqs[0],
        seqs[-1],
        repeated=True,
        seqs=None if contiguous else tuple(seqs),
        incarnation=incarnation,
        branch=branch,
        recorded_at_us=recorded_at_us,
    )


def check_commit(commit: Commit, state: State, now_us: int, lookup: Lookup) -> None:
    """Raise the first error that a commit of new events meets after its ids were looked up: lease, expected_seq, status, limits."""
    session_id = commit.key.session_id
    check_lease(session_id, leased=state.leased, fence=state.fence, token=commit.lease)
    check_expected(commit.expected_seq, state.last_seq)
    check_status(commit, state.status, state.expires_at_us, now_us)
    check_guards(commit, state.active_branch, lookup)
    check_rows(commit, state.last_seq, lookup)
    check_limits(commit.limits, state, commit)


def check_lease(session_id: str, *, leased: bool, fence: int, token: int | None) -> None:
    """Raise LeaseLost unless the token is the current fence of a leased session, or the session is unleased and no token was given."""
    if token is None and not leased:
        return
    if token is None:
        raise LeaseLost(f"session {session_id!r} is leased and the commit carries no token", fence=fence)
    if not leased or token != fence:
        raise LeaseLost(f"the lease {token} of session {session_id!r} is not held any more", fence=fence)


def check_expected(expected_seq: int | None, last_seq: int) -> None:
    """Raise SequenceConflict if the session has moved on."""
    if expected_seq is not None and expected_seq != last_seq:
        raise SequenceConflict(f"expected the session at seq {expected_seq}, it is at {last_seq}", current_seq=last_seq)


def is_expired(status: str, expires_at_us: int | None, now_us: int) -> bool:
    """Whether an open session is past its expiry."""
    return expires_at_us is not None and expires_at_us <= now_us and status in OPEN


def effective_status(status: str, expires_at_us: int | None, now_us: int) -> str:
    """The status that readers see: an open session past its expiry is expired."""
    return EXPIRED if is_expired(status, expires_at_us, now_us) else status


def check_status(commit: Commit, status: str, expires_at_us: int | None, now_us: int) -> None:
    """Raise unless the status allows the commit.

    A session past its expiry takes two lifecycle steps: archiving, and writing the expiry down. A lifecycle commit without a status change
    (redaction, pruning) is allowed in every status, and so is one that writes nothing but perhaps the session itself (an open that persists).
    """
    if not (commit.events or commit.runs or commit.parts or commit.redacts or commit.prune):
        return
    change = commit.change.status
    if is_expired(status, expires_at_us, now_us):
        if commit.lifecycle and (change is None or change.to == EXPIRED or EXPIRED in change.allowed_from):
            return
        raise SessionExpired(f"session {commit.key.session_id!r} has expired", status=EXPIRED)
    if change is not None and status not in change.allowed_from:
        raise InvalidTransition(f"a session cannot go from {status} to {change.to}", status=status, target=change.to)
    if not commit.lifecycle and status not in APPENDABLE:
        raise refusal(commit.key.session_id, status)


def check_guards(commit: Commit, active_branch: str, lookup: Lookup) -> None:
    """Raise AlreadyExists or NotFound where a guard does not hold, a branch of the commit is not there, or the new active branch is not."""
    change = commit.change
    for guard in change.guards:
        _check_guard(guard, lookup)
    created = {entry.name for entry in change.entries if entry.kind == "branch" and entry.value is not None}
    default = active_branch if commit.branch is None else commit.branch
    wanted = {event.branch or default for event in commit.events}
    if change.active_branch is not None:
        wanted.add(change.active_branch)
    for name in sorted(wanted - created - {MAIN}):
        if not lookup.has_entry("branch", name):
            raise NotFound(f"there is no branch {name!r}", branch=name)


def _check_guard(guard: Guard, lookup: Lookup) -> None:
    present = (guard.kind == "branch" and guard.name == MAIN) or lookup.has_entry(guard.kind, guard.name)
    if present and not guard.present:
        raise AlreadyExists(f"{guard.kind} {guard.name!r} exists already", kind=guard.kind, name=guard.name)
    if guard.present and not present:
        raise NotFound(f"there is no {guard.kind} {guard.name!r}", kind=guard.kind, name=guard.name)


def check_rows(commit: Commit, last_seq: int, lookup: Lookup) -> None:
    """Check run transitions, redactions and pruned ranges."""
    statuses: dict[str, str | None] = {}
    for run in commit.runs:
        current = statuses[run.id] if run.id in statuses else lookup.run_status(run.id)
        check_run_transition(current, run.status)
        statuses[run.id] = run.status
    for redact in commit.redacts:
        check_redact(redact, lookup.digest_at(redact.seq), last_seq)
    for pruned in commit.prune:
        check_prune(pruned, last_seq, lookup.pruned())


def check_redact(redact: Redact, stored: bytes | None, last_seq: int) -> None:
    """Raise SequenceConflict unless the event is still the one to be redacted."""
    if stored != redact.digest:
        raise SequenceConflict(f"the event at seq {redact.seq} is not the one to redact", current_seq=last_seq, seq=redact.seq)


def check_range(pruned: RangeTombstone) -> None:
    """Raise InvalidInput unless ids and leaves of a range tombstone fit its seqs."""
    count = pruned.last_seq - pruned.first_seq + 1
    if pruned.first_seq < 1 or count < 1:
        raise InvalidInput(f"{pruned.first_seq}..{pruned.last_seq} is no range of seqs")
    if len(pruned.ids) != count or len(pruned.leaves) != count * LEAF_BYTES:
        raise InvalidInput(f"a range tombstone over {count} seqs needs {count} ids and {count} leaves of {LEAF_BYTES} bytes")


def check_prune(pruned: RangeTombstone, last_seq: int, ranges: Iterable[RangeTombstone]) -> None:
    """Raise InvalidInput unless the range lies in the log and holds other ranges whole or not at all (those it holds it replaces)."""
    check_range(pruned)
    if pruned.last_seq > last_seq:
        raise InvalidInput(f"cannot prune up to seq {pruned.last_seq}: the session is at {last_seq}")
    for other in ranges:
        apart = other.last_seq < pruned.first_seq or pruned.last_seq < other.first_seq
        if not apart and not covers(pruned, other):
            raise InvalidInput(f"{pruned.first_seq}..{pruned.last_seq} cuts the pruned range {other.first_seq}..{other.last_seq}")


def covers(outer: RangeTombstone, inner: RangeTombstone) -> bool:
    """Whether the outer range holds the inner one wholly."""
    return outer.first_seq <= inner.first_seq and inner.last_seq <= outer.last_seq


def check_limits(limits: Iterable[LimitCheck], state: State, commit: Commit, *, created: int = 0) -> None:
    """Raise LimitExceeded where a counter that the commit raises would pass its limit.

    Args:
        limits: What to hold.
        state: The counters before the commit.
        commit: What it adds.
        created: 1 where the commit also writes a genesis event.
    """
    for limit in limits:
        if limit.counter not in COUNTERS:
            raise InvalidInput(f"{limit.counter!r} is no counter", hint=f"one of {', '.join(COUNTERS)}")
        added = len(commit.events) + created if limit.counter == "last_seq" else getattr(commit.change, limit.counter)
        if added > 0 and getattr(state, limit.counter) + added > limit.value:
            raise LimitExceeded(f"{limit.limit} is {limit.value}", limit=limit.limit, value=limit.value)


def check_owner_sessions(genesis: Genesis, open_count: int) -> None:
    """Raise LimitExceeded if the owner has as many open sessions as allowed."""
    value = genesis.owner_sessions_max
    if value is not None and open_count >= value:
        raise LimitExceeded(f"owner_sessions_max is {value}", limit="owner_sessions_max", value=value, hint="close or delete one first")


def check_verbatim(commit: Commit, state: State | None) -> int:
    """Return the last seq that the session has after a verbatim commit of events which are not there yet.

    Args:
        commit: With ``verbatim``.
        state: The session as it is, None where there is none.

    Raises:
        AlreadyExists: It begins a session that is there.
        SessionNotFound: It continues one that is not.
        LeaseLost: As for every commit.
        SequenceConflict: The session does not end where the commit goes on.
        InvalidInput: The log has a gap or an overlap, or a continuation brings seals.
    """
    verbatim = commit.verbatim
    assert verbatim is not None
    if state is None:
        if verbatim.after_seq:
            raise not_found(commit.key.session_id)
        check_ids([event.id for event in commit.events], [False] * len(commit.events), [])
    elif not verbatim.after_seq:
        raise AlreadyExists(f"session {commit.key.session_id!r} exists already", kind="session", name=commit.key.session_id)
    else:
        check_lease(commit.key.session_id, leased=state.leased, fence=state.fence, token=commit.lease)
        check_expected(verbatim.after_seq, state.last_seq)
        if verbatim.seals:
            raise InvalidInput("a verbatim commit that continues a session brings no seals", hint="add them one by one")
    return check_whole([event.seq for event in commit.events], verbatim.ranges, after_seq=verbatim.after_seq)


def check_whole(events: Iterable[int], ranges: Iterable[RangeTombstone], *, after_seq: int = 0) -> int:
    """Return the last seq of a verbatim log, or raise InvalidInput where it has a gap or an overlap.

    Args:
        events: Seqs of the events, ascending.
        ranges: Range tombstones in any order.
        after_seq: The seq before the first.
    """
    stretches = [(seq, seq) for seq in events]
    for item in ranges:
        check_range(item)
        stretches.append((item.first_seq, item.last_seq))
    last = after_seq
    for first, end in sorted(stretches):
        if first != last + 1:
            raise InvalidInput(f"the log has a gap or an overlap at seq {last + 1}", seq=last + 1)
        last = end
    return last


def check_lease_ttl(ttl_s: float) -> int:
    """Return the time to live of a lease in microseconds, or raise InvalidInput."""
    if not 0 < ttl_s <= LEASE_TTL_S_MAX:
        raise InvalidInput(f"a lease lasts more than 0 and at most {LEASE_TTL_S_MAX} s", limit="LEASE_TTL_S_MAX", value=LEASE_TTL_S_MAX)
    return int(ttl_s * 1_000_000)
