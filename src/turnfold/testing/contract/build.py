"""Builds commits without a client: what the engine would hand to a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from turnfold.codec.seal import event_digest, leaf
from turnfold.core.fold import change_of, payload_of
from turnfold.core.redaction import redact_of
from turnfold.engine.prepare import prepare
from turnfold.ids import new_id
from turnfold.model.commit import Commit, Genesis, HeadChange, Verbatim
from turnfold.model.event import Event, NewEvent, RangeTombstone, Seal
from turnfold.model.event_types import SessionCreated
from turnfold.model.message import Message, user
from turnfold.model.session import Head, SessionKey

replace = msgspec.structs.replace
Item = str | Message | NewEvent | Event
AT_US = 1_749_999_999_000_000
"""When the sources' clock begins."""
SOURCE_LAG_US = 1_000_000
"""How far the sources' clock is behind the store's, so that the two are never mixed up."""
_source_clock: list[Callable[[], int]] = []


def follow_clock(clock: Callable[[], int] | None) -> None:
    """Let events that do not say their source's time take it from this clock, less the lag; None takes ``AT_US`` again."""
    _source_clock[:] = [] if clock is None else [clock]


def source_us() -> int:
    """The sources' time now."""
    return _source_clock[0]() - SOURCE_LAG_US if _source_clock else AT_US


def event(item: Item, **fields: Any) -> Event:
    """Prepare an item for a commit; text is a user message.

    Args:
        item: An Event is taken as it is.
        fields: Envelope fields to set beside those of the item.
    """
    if isinstance(item, Event):
        return item
    if isinstance(item, str):
        item = user(item)
    fields.setdefault("at_us", source_us())
    return with_digest(msgspec.structs.replace(prepare(item, None, []), **fields))


def with_digest(prepared: Event) -> Event:
    """Return the event with the digest that its fields have now."""
    return msgspec.structs.replace(prepared, digest=event_digest(prepared))


def genesis(*, incarnation: str | None = None, owner_sessions_max: int | None = None, **fields: Any) -> Genesis:
    """Build a genesis; ``fields`` are those of SessionCreated."""
    created = SessionCreated(**fields)
    first = event(NewEvent(type="session.created", data=created))
    return Genesis(
        event=first,
        change=change_of((first,)),
        incarnation=incarnation or new_id(),
        owner=created.owner,
        agent=created.agent,
        status=created.status,
        kind=created.kind,
        ttl_s=created.ttl_s,
        expires_at_us=created.expires_at_us,
        owner_sessions_max=owner_sessions_max,
    )


def commit(key: SessionKey, *items: Item, **fields: Any) -> Commit:
    """Build a commit of these items with the head change that they make; ``fields`` are those of Commit."""
    events = tuple(event(item) for item in items)
    fields.setdefault("change", change_of(events))
    return Commit(key=key, events=events, **fields)


def status_event(status: str, **fields: Any) -> NewEvent:
    """A lifecycle step."""
    return NewEvent(type="session.status_changed", data={"status": status, **fields})


def branch_event(name: str, parent: str, fork_seq: int) -> NewEvent:
    """A fork."""
    return NewEvent(type="branch.created", data={"name": name, "parent": parent, "fork_seq": fork_seq})


def switch_event(name: str) -> NewEvent:
    """A change of the active branch."""
    return NewEvent(type="branch.switched", data={"name": name})


def state_event(branch: str = "", /, **values: Any) -> NewEvent:
    """Keys set in the session's state."""
    return NewEvent(type="state.set", data={"values": values}, branch=branch)


def checkpoint_event(name: str, branch: str, at_seq: int, *, deleted: bool = False) -> NewEvent:
    """A checkpoint made or deleted."""
    return NewEvent(type="checkpoint", data={"name": name, "branch": branch, "at_seq": at_seq, "deleted": deleted})


def delta(text: str) -> NewEvent:
    """A piece of a streamed message: what pruning takes away; it adds nothing to the head."""
    return NewEvent(type="message.delta", data={"text": text})


def range_of(events: list[Event], reason: str = "deltas") -> RangeTombstone:
    """The range tombstone of some contiguous stored events."""
    return RangeTombstone(
        events[0].seq,
        events[-1].seq,
        tuple(item.id for item in events),
        b"".join(leaf(item) for item in events),
        reason,
        AT_US,
    )


def without_counts(events: list[Event], keep: list[Event] | None = None) -> HeadChange:
    """The head change of pruning events that counted: what they added is taken off, so that the head stays the fold of what is left.

    Args:
        events: The events that go.
        keep: Those of them that are gone already.
    """
    gone = [event for event in events if event not in (keep or ())]
    return HeadChange(
        message_count=-sum(event.message_count for event in gone),
        turn_count=-sum(event.turn_count for event in gone),
        token_count=-sum(event.token_count for event in gone),
    )


def redaction(key: SessionKey, *events: Event, parts: tuple[str, ...] = ()) -> Commit:
    """Build the commit that redacts stored events, and parts that only they refer to."""
    targets = [{"seq": event.seq, "digest": event.digest.hex()} for event in events]
    notice = NewEvent(type="redaction", data={"targets": targets, "reason": "pii"})
    return commit(key, notice, redacts=tuple(redact_of(event, parts) for event in events), lifecycle=True)


def verbatim(key: SessionKey, head: Head, events: list[Event], ranges: list[RangeTombstone], seals: list[Seal]) -> Commit:
    """A commit that writes a session, read elsewhere, as it was."""
    created = payload_of(events[0])
    first = Genesis(
        event=events[0],
        change=change_of(events[:1]),
        incarnation=new_id(),
        owner=created.owner,
        agent=created.agent,
        status=created.status,
        kind=created.kind,
        ttl_s=created.ttl_s,
        expires_at_us=created.expires_at_us,
    )
    kept = Verbatim(
        created_at_us=head.info.created_at_us,
        updated_at_us=head.info.updated_at_us,
        ranges=tuple(ranges),
        seals=tuple(seals),
    )
    return Commit(key=key, events=tuple(events), change=change_of(events), genesis=first, verbatim=kept)


def verbatim_piece(
    key: SessionKey, head: Head, events: list[Event], piece: list[Event], ranges: tuple[RangeTombstone, ...], *, after_seq: int
) -> Commit:
    """One of the commits that write a session in pieces; the first (``after_seq`` 0) creates it.

    Args:
        key: Where to.
        head: Of the session as it was read.
        events: All of its log.
        piece: Those of this commit.
        ranges: Range tombstones among them.
        after_seq: Where the piece before ended.
    """
    upto = [event.at_us for event in events if not piece or event.seq <= piece[-1].seq]
    kept = Verbatim(created_at_us=head.info.created_at_us, updated_at_us=max(upto), ranges=ranges, after_seq=after_seq)
    first = None if after_seq else verbatim(key, head, events[:1], [], []).genesis
    return Commit(key=key, events=tuple(piece), change=change_of(piece), genesis=first, verbatim=kept)
