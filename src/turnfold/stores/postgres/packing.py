"""Commits as calls of the server's functions: which commits go in one call, and what its arguments are.

``append`` takes one event, ``create_session`` a genesis, ``commit_events`` anything else that is regular. The functions and the order of their
arguments are in ``migrations/``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final, LiteralString

import msgspec

from turnfold.core.lifecycle import APPENDABLE, RUN
from turnfold.model.commit import NO_CHANGE, Commit, Genesis, HeadChange
from turnfold.model.event import Event
from turnfold.model.usage import NO_USAGE
from turnfold.stores.postgres.values import (
    BINARY_FORMAT,
    TEXT_FORMAT,
    Array,
    Parameter,
    blobs,
    name,
    name_or_none,
    names,
    numbers,
    original,
    parameters,
)
from turnfold.stores.sql.rows import event_row, pack_extra

Call = tuple[str, Sequence[Parameter], Sequence[int]]
"""Statement, wire values and their formats."""

_encode = msgspec.json.Encoder().encode


def _marks(count: int) -> LiteralString:
    return ", ".join(("$1", *(_MARKS[at] for at in range(2, count + 1))))


_MARKS: Final[tuple[LiteralString, ...]] = tuple(f"${at}" for at in range(80))
_APPEND_COUNT: Final = 26
_CREATE_COUNT: Final = 33
_COMMIT_COUNT: Final = 51
APPEND: Final[LiteralString] = f"SELECT append({_marks(_APPEND_COUNT)})"
CREATE: Final[LiteralString] = f"SELECT create_session({_marks(_CREATE_COUNT)})"
COMMIT_EVENTS: Final[LiteralString] = f"SELECT commit_events({_marks(_COMMIT_COUNT)})"

_APPEND_BINARY: Final = frozenset({10, 19, 20, 21, 22, 23, 24})
_APPEND_FORMATS: Final = tuple(BINARY_FORMAT if at in _APPEND_BINARY else TEXT_FORMAT for at in range(_APPEND_COUNT))
_NO_ARRAY: Final = names(())
_NO_NUMBERS: Final = numbers(())
_NO_BLOBS: Final = blobs(())
_ZERO: Final = b"0"
_ONE: Final = b"1"
_ACTIVE: Final = names(sorted(APPENDABLE))
_COUNTERS: Final = ("last_seq", "turn_count", "message_count", "branch_count", "checkpoint_count")


_answer = struct.Struct(">iiiqiiqii").unpack_from
_ANSWER_BYTES: Final = struct.calcsize(">iiiqiiqii")


def answer_of(record: bytes | None) -> tuple[int, int, str, str] | None:
    """Read what ``append`` or ``commit_events`` returned; None where they refused.

    A record as one value saves the server 4 µs against ``SELECT * FROM``. Its binary form is the number of fields, then type, length and
    content of each: last seq, time, incarnation, branch.
    """
    if record is None or len(record) < _ANSWER_BYTES or record[8:12] == _NULL_LENGTH:
        return None
    _, _, _, last_seq, _, _, now_us, _, size = _answer(record)
    end = _ANSWER_BYTES + size
    incarnation = record[_ANSWER_BYTES:end].decode()
    branch = record[end + 8 :].decode()
    return last_seq, now_us, original(incarnation), original(branch)


_NULL_LENGTH: Final = struct.pack(">i", -1)


def is_single(commit: Commit) -> bool:
    """Whether ``append`` is enough: one event that adds to the head what it counts itself."""
    if len(commit.events) != 1 or commit.genesis is not None or commit.lifecycle or commit.verbatim is not None:
        return False
    if commit.limits or commit.runs or commit.parts or commit.redacts or commit.prune or commit.also:
        return False
    event = commit.events[0]
    if event.source is not None or event.seq:
        return False
    change = commit.change
    if change is NO_CHANGE:
        return not (event.message_count or event.turn_count or event.token_count or event.usage)
    return (
        not change.entries
        and not change.guards
        and change.status is None
        and change.active_branch is None
        and change.expires_at_us is None
        and not change.branch_count
        and not change.checkpoint_count
        and change.message_count == event.message_count
        and change.turn_count == event.turn_count
        and change.token_count == event.token_count
        and _is_own_usage(change, event)
    )


def _is_own_usage(change: HeadChange, event: Event) -> bool:
    if event.usage is NO_USAGE or not event.usage:
        return not change.usage and not change.usage_by_model
    return change.usage_by_model == (event.usage,) and change.usage.numbers() == event.usage.numbers()


def append_call(commit: Commit, now_us: int | None) -> Call:
    """Return the call of ``append``."""
    event = commit.events[0]
    usage = event.usage
    counted = usage is not NO_USAGE and bool(usage)
    visibility = event.visibility
    branch = event.branch or commit.branch
    expected_seq, lease = commit.expected_seq, commit.lease
    messages, turns, tokens = event.message_count, event.turn_count, event.token_count
    values: tuple[Parameter, ...] = (
        name(commit.key.tenant),
        name(commit.key.session_id),
        None if now_us is None else b"%d" % now_us,
        None if commit.owner is None else name(commit.owner),
        None if commit.incarnation is None else name(commit.incarnation),
        None if branch is None else name(branch),
        None if expected_seq is None else b"%d" % expected_seq,
        None if lease is None else b"%d" % lease,
        name(event.id),
        name(event.type),
        event.data_raw,
        b"%d" % event.at_us,
        None if event.run_id is None else name(event.run_id),
        None if event.message_id is None else name(event.message_id),
        None if event.parent_id is None else name(event.parent_id),
        None if visibility == "both" else name(visibility),
        _ONE if messages == 1 else b"%d" % messages,
        _ZERO if turns == 0 else b"%d" % turns,
        _ZERO if tokens == 0 else b"%d" % tokens,
        _encode((*usage.numbers(), usage.model)) if counted or usage != NO_USAGE else None,
        None if is_plain(event) else pack_extra(event),
        event.meta_raw,
        event.salt,
        event.digest,
        numbers(usage.numbers()) if counted else None,
        name(usage.model) if counted else None,
    )
    return APPEND, values, _APPEND_FORMATS


def is_plain(event: Event) -> bool:
    """Whether an event has none of the rare envelope fields."""
    return (
        event.version == 1
        and event.actor is None
        and event.causation_id is None
        and event.correlation_id is None
        and event.block_index is None
        and event.visible_to is None
        and event.hidden_from is None
        and not event.redacted
    )


def is_regular(commit: Commit) -> bool:
    """Whether ``commit_events``, after ``create_session`` where there is a genesis, can decide and do it all."""
    change = commit.change
    if commit.redacts or commit.prune or commit.also or commit.verbatim is not None:
        return False
    if change.guards or change.active_branch is not None or any(entry.kind in {"branch", "parent"} for entry in change.entries):
        return False
    genesis = commit.genesis
    if genesis is not None:
        if (
            genesis.owner_sessions_max is not None
            or commit.expected_seq is not None
            or commit.incarnation is not None
            or genesis.status not in {"pending", "active"}
        ):
            return False
        first = genesis.change
        if first.message_count or first.turn_count or first.token_count or first.usage or first.usage_by_model or first.status:
            return False
    if any(limit.counter not in _COUNTERS for limit in commit.limits):
        return False
    return len({run.id for run in commit.runs}) == len(commit.runs) and all(run.status in RUN for run in commit.runs)


def create_call(commit: Commit, genesis: Genesis, now_us: int | None, *, with_event: bool = True) -> Call:
    """Return the call of ``create_session``.

    Args:
        commit: What travels with it.
        genesis: How to create.
        now_us: The time, None for the server's.
        with_event: False leaves the log empty: a verbatim commit brings its own first event.
    """
    ttl_us = None if genesis.ttl_s is None else int(genesis.ttl_s * 1_000_000)
    expires_at_us = genesis.expires_at_us if genesis.change.expires_at_us is None else genesis.change.expires_at_us or None
    event = genesis.event
    own = (*commit.key, now_us, genesis.incarnation, genesis.owner, genesis.agent, genesis.status, genesis.kind, ttl_us, expires_at_us)
    values = [*own, _parent_session(genesis), *(_event_values(event) if with_event else _no_event(event))]
    values += entry_arrays(genesis.change) if with_event else entry_arrays(NO_CHANGE)
    return CREATE, *parameters(values)


def _parent_session(genesis: Genesis) -> str | None:
    return parent_session(next((entry.value for entry in genesis.change.entries if entry.kind == "parent"), None))


def parent_session(value: bytes | None) -> str | None:
    """Return the session that a head entry of kind ``parent`` names."""
    parent: Any = None if value is None else msgspec.json.decode(value)
    found = parent.get("session_id") if isinstance(parent, dict) else None
    return found if isinstance(found, str) else None


def _event_values(event: Event) -> list[Any]:
    row = event_row(event, 0, 0, None)
    _, id_, type_, data, at, _, _, run, message, parent, visibility, messages, turns, tokens, usage, extra, meta, salt, digest = row
    envelope = [id_, type_, data, at, run, message, parent, visibility, messages, turns, tokens]
    return [*envelope, usage, extra, meta, salt, digest, event.source]


def _no_event(event: Event) -> list[Any]:
    return [None, None, None, event.at_us, *[None] * 13]


def entry_arrays(change: HeadChange) -> list[Array]:
    """Return the n_* arguments."""
    entries = change.entries
    if not entries:
        return [_NO_ARRAY, _NO_ARRAY, _NO_ARRAY, _NO_BLOBS, _NO_NUMBERS]
    return [
        names([entry.kind for entry in entries]),
        names([entry.name for entry in entries]),
        names([entry.branch for entry in entries]),
        blobs([entry.value for entry in entries]),
        numbers([entry.seq for entry in entries]),
    ]


def commit_call(commit: Commit, now_us: int | None, *, checked_on: str | None = None) -> Call:
    """Return the call of ``commit_events``.

    Args:
        commit: What to write.
        now_us: The time, None for the server's.
        checked_on: Everything was checked under a lock, and this is the branch that None stands for.
    """
    checked, change, genesis = checked_on is not None, commit.change, commit.genesis
    branch = checked_on if commit.branch is None else commit.branch
    status = change.status
    scope: list[Any] = [
        *commit.key,
        now_us,
        None if checked else commit.owner,
        None if checked or genesis is None else genesis.owner,
        None if checked else commit.incarnation,
        branch,
        None if checked else commit.expected_seq,
        commit.lease,
        genesis is not None,
        checked,
        None if checked else _allowed(commit),
        None if status is None else status.to,
        None if status is None else status.end_reason,
        change.active_branch,
        change.expires_at_us,
        None if checked else _limits(commit),
    ]
    totals = [change.message_count, change.turn_count, change.token_count, change.branch_count, change.checkpoint_count]
    counted = bool(change.usage) or bool(change.usage_by_model)
    sums: list[Any] = [
        numbers(totals),
        numbers(change.usage.numbers()) if counted else None,
        names([usage.model for usage in change.usage_by_model]),
        numbers([number for usage in change.usage_by_model for number in usage.numbers()]),
        any(entry.kind == "branch" for entry in change.entries),
    ]
    return COMMIT_EVENTS, *parameters([*scope, *sums, *event_arrays(commit.events), *entry_arrays(change), *_rows(commit, checked=checked)])


def _allowed(commit: Commit) -> Array | None:
    """The statuses in which the commit is allowed, None for all of them."""
    change = commit.change.status
    if not (commit.events or commit.runs or commit.parts):
        return None
    if commit.lifecycle:
        return None if change is None else names(sorted(change.allowed_from))
    return _ACTIVE if change is None else names(sorted(APPENDABLE & change.allowed_from))


def _limits(commit: Commit) -> Array | None:
    if not commit.limits:
        return None
    lowest: dict[str, int] = {}
    for limit in commit.limits:
        lowest[limit.counter] = min(limit.value, lowest.get(limit.counter, limit.value))
    return numbers([lowest.get(counter) for counter in _COUNTERS])


def event_arrays(events: Sequence[Event]) -> list[Array]:
    """Return the e_* arguments."""
    rows = [event_row(event, 0, 0, event.branch) for event in events]
    columns: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * 19
    _, id_, type_, data, at, _, branch, run, message, parent, visibility, messages, turns, tokens, usage, extra, meta, salt, digest = (
        columns
    )
    sources = [event.source for event in events]
    return [
        names(id_),
        names(type_),
        blobs(data),
        numbers(at),
        names(branch),
        names(run),
        names(message),
        names(parent),
        names(visibility),
        numbers(messages),
        numbers(turns),
        numbers(tokens),
        blobs(usage),
        blobs(extra),
        blobs(meta),
        blobs(salt),
        blobs(digest),
        blobs(sources) if any(source is not None for source in sources) else _NO_BLOBS,
    ]


def _rows(commit: Commit, *, checked: bool) -> list[Array]:
    runs = commit.runs
    return [
        names([run.id for run in runs]),
        names([run.status for run in runs]),
        blobs([_encode(run) for run in runs]),
        names([_sources(run.status, checked=checked) for run in runs]),
        names([ref for ref, _ in commit.parts]),
        blobs([body for _, body in commit.parts]),
    ]


def _sources(status: str, *, checked: bool) -> str:
    """The statuses from which a run may come to this one."""
    return ",".join(sorted(RUN if checked else (before for before, after in RUN.items() if status in after or before == status)))


__all__ = ["Call", "append_call", "commit_call", "create_call", "is_regular", "is_single", "name_or_none"]
