"""A conversation: one branch of a session as a writer of another format needs it. Pure: events go in, messages with their facts come out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from turnfold.core.transcript import retracted_by, show
from turnfold.model.event import Event
from turnfold.model.event_types import MESSAGE
from turnfold.model.message import Message
from turnfold.model.parts import TextPart
from turnfold.model.session import SessionInfo
from turnfold.model.usage import NO_USAGE, Usage

COMPACTION = "compaction"
CONTEXT = "context"
ENTRY_TYPES = frozenset({MESSAGE, CONTEXT, COMPACTION})
"""Types of events that a conversation is made of."""
VIEW_TYPES = ENTRY_TYPES | {"retract", "rollback"}
"""What has to be read for one."""


class ConversationEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the branch (all its events joined), or one compaction.

    Attributes:
        seq: Place of its first event.
        last_seq: Place of its last event.
        at_us: The source's time of its first event, microseconds since the epoch, UTC.
        type: ``message``, ``context`` (what a tool injected or said again for the screen) or ``compaction``.
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
        """The entries that the model saw, without what an earlier compaction put a summary in place of: what a model would get next."""
        kept: list[ConversationEntry] = []
        for entry in self.entries:
            if entry.type == COMPACTION:
                data = entry.data or {}
                first, last = data.get("first_seq") or 0, data.get("last_seq") or entry.seq - 1
                keeps = set(data.get("keeps") or ())
                kept = [other for other in kept if not first <= other.seq <= last or other.seq in keeps]
                kept.append(entry)
            elif entry.for_model and entry.type == MESSAGE:
                kept.append(entry)
        return kept


def entries_of(events: Iterable[Event]) -> list[ConversationEntry]:
    """Fold a branch's view into entries.

    Args:
        events: Events of the view in ascending order, of ``VIEW_TYPES`` at least.
    """
    events = list(events)
    shown = {item.seq: item for item in show(events, frozenset({MESSAGE, CONTEXT}))}
    owner: dict[str, int] = {}
    joined: dict[int, list[Event]] = {}
    out: list[ConversationEntry | int] = []
    gone = _gone(events, shown.keys())
    for event in events:
        if event.type == COMPACTION and event.seq not in gone:
            out.append(_compaction(event))
        elif event.type in {MESSAGE, CONTEXT}:
            if event.seq in shown:
                joined[event.seq] = [event]
                out.append(event.seq)
                if event.message_id is not None:
                    owner[event.message_id] = event.seq
            elif event.message_id in owner and event.seq not in gone:
                joined[owner[event.message_id]].append(event)
    return [
        item if isinstance(item, ConversationEntry) else _entry(joined[item], shown[item].message, is_turn=shown[item].is_turn)
        for item in out
    ]


def _gone(events: Sequence[Event], left: Iterable[int]) -> set[int]:
    """Compactions and further blocks of messages that retracts and rollbacks took out, judged by the message events around them."""
    gone: set[int] = set()
    left = set(left)
    place: dict[int, int] = {event.seq: index for index, event in enumerate(events)}
    for event in events:
        if event.type == "retract":
            gone |= retracted_by(event)
        elif event.type == "rollback":
            index = place[event.seq] - 1
            while index >= 0 and events[index].seq not in left:  # back to the newest message that survived
                gone.add(events[index].seq)
                index -= 1
    return gone


def _compaction(event: Event) -> ConversationEntry:
    data: dict[str, Any] = msgspec.json.decode(event.data_raw) or {}
    summary = data.get("summary")
    message = Message("user", [TextPart(summary)], seq=event.seq) if isinstance(summary, str) and summary else None
    return _made([event], COMPACTION, message, data=data)


def _entry(events: Sequence[Event], message: Message, *, is_turn: bool) -> ConversationEntry:
    return _made(events, events[0].type, message, is_turn=is_turn)


def _made(
    events: Sequence[Event], type: str, message: Message | None, *, data: dict[str, Any] | None = None, is_turn: bool = False
) -> ConversationEntry:
    first = events[0]
    usage = first.usage
    for event in events[1:]:
        usage = usage + event.usage
    return ConversationEntry(
        seq=first.seq,
        last_seq=events[-1].seq,
        at_us=first.at_us,
        type=type,
        message=message,
        visibility=first.visibility,
        data=data,
        meta=first.meta,
        message_id=first.message_id,
        run_id=first.run_id,
        actor=first.actor,
        is_turn=is_turn,
        usage=usage,
    )
