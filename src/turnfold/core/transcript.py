"""The messages of a branch: a fold over its view.

One source line is one event, so a message may come in several events of one ``message_id``; they are joined here, at the place of the first.
``retract`` and ``rollback`` take messages out of the view; the originals stay in the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from turnfold.core.fold import payload_of
from turnfold.errors import IntegrityError
from turnfold.model.event import Event
from turnfold.model.event_types import MESSAGE
from turnfold.model.message import Message, decode_message

VIEW_TYPES = frozenset({MESSAGE, "retract", "rollback"})
"""Event types that ``messages_of`` needs."""


class Shown(msgspec.Struct, gc=False):
    """A message of the view with what windows need to know about it."""

    message: Message
    seq: int
    token_count: int
    is_turn: bool
    type: str = MESSAGE


def messages_of(events: Iterable[Event]) -> list[Message]:
    """Return the messages of a view, oldest first.

    Args:
        events: Events of one branch's view in ascending order, of ``VIEW_TYPES`` at least.
    """
    out: list[Message] = []
    append = out.append
    events = list(events)
    for event in events:  # the common case, at a third of the cost: nothing to join and nothing taken out
        if event.type != MESSAGE or event.message_id is not None:
            return [shown.message for shown in show(events)]
        message = decode_message(event.data_raw)
        message.seq = event.seq
        append(message)
    return out


def show(events: Iterable[Event], types: frozenset[str] = frozenset({MESSAGE}), *, marks: frozenset[str] = frozenset()) -> list[Shown]:
    """Return what a view shows, oldest first.

    Args:
        events: Events of a view in ascending order.
        types: Those whose payload is a message.
        marks: Those that stand between the messages and go with them (an empty message takes their place).
    """
    out: list[Shown] = []
    by_message: dict[str, Shown] = {}
    for event in events:
        if event.type in types:
            _take_in(out, by_message, event)
        elif event.type in marks:
            out.append(Shown(Message("system", seq=event.seq), event.seq, 0, is_turn=False, type=event.type))
        elif event.type == "retract":
            gone = retracted_by(event)
            out = [shown for shown in out if shown.seq not in gone]
            by_message = _left(by_message, out)
        elif event.type == "rollback":
            out = _roll_back(out, payload_of(event).turns)
            by_message = _left(by_message, out)
    return out


def _left(by_message: dict[str, Shown], out: list[Shown]) -> dict[str, Shown]:
    """The messages that a further event can join: one that was taken out and written anew under its id begins again."""
    seqs = {shown.seq for shown in out}
    return {name: shown for name, shown in by_message.items() if shown.seq in seqs}


def _take_in(out: list[Shown], by_message: dict[str, Shown], event: Event) -> None:
    try:
        message = decode_message(event.data_raw)
    except msgspec.MsgspecError as error:
        if event.type != MESSAGE:  # context of an application's own shape: nothing that a model could be shown
            return
        raise IntegrityError(f"the message at seq {event.seq} cannot be read: {error}", seq=event.seq) from error
    name = event.message_id
    first = None if name is None else by_message.get(name)
    if first is not None and first.message.role == message.role:
        first.message.parts = [*first.message.parts, *message.parts]
        first.token_count += event.token_count
        for field in ("finish_reason", "native_finish_reason"):
            value = getattr(message, field)
            if value is not None:
                setattr(first.message, field, value)
        if event.usage:
            first.message.usage = event.usage if first.message.usage is None else first.message.usage + event.usage
        return
    message.seq = event.seq
    if event.usage and message.usage is None:
        message.usage = event.usage
    shown = Shown(message, event.seq, event.token_count, event.turn_count > 0, event.type)
    out.append(shown)
    if name is not None:
        by_message[name] = shown


def retracted_by(event: Event) -> set[int]:
    """The seqs that a ``retract`` event takes out."""
    data = payload_of(event)
    gone = set(data.seqs)
    for first, last in data.ranges:
        gone.update(range(first, last + 1))
    return gone


def _roll_back(shown: list[Shown], turns: int) -> list[Shown]:
    """Drop the last ``turns`` user turns and everything after their start."""
    for index in range(len(shown) - 1, -1, -1):
        if turns <= 0:
            break
        if shown[index].is_turn:
            turns -= 1
            if turns == 0:
                return shown[:index]
    return shown if turns <= 0 else []


class Tail:
    """Collects the last messages of a view while reading it backwards.

    Feed descending events until ``full``. A message is complete when its first event (``message_count`` 1) was seen; retracts and rollbacks
    come before what they take out, so how much is still needed is known on the way.
    """

    def __init__(self, count: int, types: frozenset[str] = frozenset({MESSAGE})) -> None:
        """Collect ``count`` messages of these types."""
        self.need_count = count
        self._types = types
        self._events: list[Event] = []
        self._gone: set[int] = set()
        self._turns = 0
        self.full = count <= 0
        self._starts = 0

    def feed(self, events: Iterable[Event]) -> None:
        """Take in events, newest first; what lies beyond the last needed message is ignored."""
        for event in events:
            if self.full:
                return
            self._events.append(event)
            if event.type == "retract":
                self._gone |= retracted_by(event)
            elif event.type == "rollback":
                self._turns += payload_of(event).turns
            elif event.type in self._types and (event.message_count or event.message_id is None) and event.seq not in self._gone:
                if self._turns:
                    self._turns -= 1 if event.turn_count else 0
                else:
                    self._starts += 1
                    self.full = self._starts >= self.need_count

    def shown(self) -> list[Shown]:
        """The collected messages, oldest first, at most as many as asked for."""
        starts = {e.message_id for e in self._events if e.message_count and e.message_id is not None}
        whole = [e for e in reversed(self._events) if e.message_id is None or e.message_id in starts or e.type not in self._types]
        return show(whole, self._types)[-self.need_count :] if self.need_count > 0 else []


def as_dicts(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as plain JSON types."""
    return [message.to_dict() for message in messages]
