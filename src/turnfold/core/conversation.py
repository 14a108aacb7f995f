"""A conversation: one branch of a session as a writer of another format needs it. Pure: events go in, messages with their facts come out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from turnfold.core import compaction
from turnfold.core.compaction import Span, compacted, span_of
from turnfold.core.fold import payload_of
from turnfold.core.transcript import retracted_by, show
from turnfold.model.event import Event
from turnfold.model.event_types import MESSAGE, Compaction
from turnfold.model.message import Message, decode_message
from turnfold.model.parts import TextPart
from turnfold.model.session import SessionInfo
from turnfold.model.usage import NO_USAGE, Usage

COMPACTION = compaction.COMPACTION
CONTEXT = "context"
ENTRY_TYPES = frozenset({MESSAGE, CONTEXT, COMPACTION})
"""Types of events that a conversation is made of."""
VIEW_TYPES = ENTRY_TYPES | {"retract", "rollback", "usage"}
"""What has to be read for one."""
_SHOWN = frozenset({MESSAGE, CONTEXT})


class ConversationEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the branch (all its events joined), or one compaction.

    Attributes:
        seq: Place of its first event.
        last_seq: Place of its last event.
        at_us: The source's time of its first event, microseconds since the epoch, UTC.
        type: ``message``, ``context`` (what a tool injected) or ``compaction``.
        message: The message with its media inline; for a compaction the summary as a user message, or None where there is none to read.
        visibility: ``both`` and ``model`` are what the model saw; ``ui`` is for people alone.
        data: A compaction's payload (``model.event_types.Compaction``), else None.
        meta: The first event's ``meta``.
        message_id, run_id, actor: Of its first event.
        is_turn: It begins a turn (a person typed it).
        usage: What its events added together.
    """

    seq: int
    last_seq: int
    at_us: int
    type: str
    message: Message | None
    visibility: str = "both"
    data: dict[str, Any] | None = None
    meta: dict[str, Any] = {}
    message_id: str | None = None
    run_id: str | None = None
    actor: str | None = None
    is_turn: bool = False
    usage: Usage = NO_USAGE

    @property
    def span(self) -> Span | None:
        """What a compaction stands for; None for anything else."""
        return None if self.data is None else span_of(msgspec.convert(self.data, Compaction), self.seq)

    @property
    def replacement(self) -> list[Message]:
        """What the source itself put in place of all that a compaction stands for, its summary included; empty where it has only that.

        What an application put there besides messages is its own.
        """
        out: list[Message] = []
        for item in (self.data or {}).get("replacement") or ():
            with suppress(msgspec.MsgspecError):
                out.append(decode_message(msgspec.json.encode(item)))
        return out

    @property
    def for_model(self) -> bool:
        """Whether the model saw it."""
        return self.visibility in {"both", "model"}


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A branch of a session, ready to be written in another shape.

    Attributes:
        info: The session.
        branch: The branch whose view this is.
        entries: Oldest first; retracted and rolled back ones are left out.
        system_prompt: If the session has one.
        state: The session's key-value state as the branch sees it.
        branches: Names of all branches, so that a writer can say which are left out.
        children: Sessions of subagents.
    """

    info: SessionInfo
    branch: str
    entries: Sequence[ConversationEntry]
    system_prompt: str | None = None
    state: Mapping[str, Any] = {}
    branches: Sequence[str] = ()
    children: Sequence[SessionInfo] = ()

    @property
    def for_model(self) -> list[ConversationEntry]:
        """The entries that a model would get next: those it saw, without what a later compaction put a summary in place of.

        A compaction stands where its summary belongs. What it keeps of older times stands before it, what it keeps of the latest after it.
        """
        spans = {entry.seq: entry.span for entry in self.entries if entry.span is not None}
        return compacted([entry for entry in self.entries if entry.for_model or entry.seq in spans], spans)


def entries_of(events: Iterable[Event]) -> list[ConversationEntry]:
    """Fold a branch's view into entries.

    Usage that a source reports apart from its messages is added to the assistant's entry before it, the first of all to the one after it.

    Args:
        events: Events of the view in ascending order, of ``VIEW_TYPES`` at least.
    """
    events = [event for event in events if event.type != COMPACTION or not event.redacted]
    shown = {item.seq: item for item in show(events, _SHOWN, marks=frozenset({COMPACTION}))}
    gone = {seq for event in events if event.type == "retract" for seq in retracted_by(event)}
    joined: dict[int, list[Event]] = {}
    owner: dict[str, int] = {}
    answered = 0
    unclaimed: list[Event] = []  # usage reported ahead of the answer that it is of
    for event in events:
        if event.seq in shown:
            joined[event.seq] = [event]
            if event.message_id is not None:
                owner[event.message_id] = event.seq
            if event.type == MESSAGE and shown[event.seq].message.role == "assistant":
                answered = event.seq
                joined[answered] += unclaimed
                unclaimed = []
        elif event.type in _SHOWN and event.message_id in owner and event.seq not in gone:
            joined[owner[event.message_id]].append(event)
        elif event.type == "usage" and event.usage:
            (joined[answered] if answered else unclaimed).append(event)
    return [
        _compaction(found[0]) if shown[seq].type == COMPACTION else _entry(found, shown[seq].message, is_turn=shown[seq].is_turn)
        for seq, found in joined.items()
    ]


def _compaction(event: Event) -> ConversationEntry:
    payload = payload_of(event)
    message = Message("user", [TextPart(payload.summary)], seq=event.seq) if payload.summary else None
    return _made([event], COMPACTION, message, data=msgspec.to_builtins(payload))


def _entry(events: Sequence[Event], message: Message, *, is_turn: bool) -> ConversationEntry:
    made = _made(events, events[0].type, message, is_turn=is_turn)
    if made.usage and any(event.type == "usage" for event in events):
        message.usage = made.usage
    return made


def _made(events: Sequence[Event], type: str, message: Message | None, **facts: Any) -> ConversationEntry:
    first = events[0]
    usage = first.usage
    for event in events[1:]:
        if event.usage:
            usage = usage + event.usage if usage else event.usage
    return ConversationEntry(
        seq=first.seq,
        last_seq=max(event.seq for event in events if event.type != "usage"),
        at_us=first.at_us,
        type=type,
        message=message,
        visibility=first.visibility,
        meta=first.meta,
        message_id=first.message_id,
        run_id=first.run_id,
        actor=first.actor,
        usage=usage,
        **facts,
    )
