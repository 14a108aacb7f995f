"""What a view shows when messages of several events are taken back."""

from __future__ import annotations

from turnfold.core.transcript import Shown, show
from turnfold.engine.prepare import prepare
from turnfold.model.event import Event, NewEvent
from turnfold.model.message import assistant, user


def event(seq: int, new: NewEvent) -> Event:
    made = prepare(new, None, [])
    return Event(**{**{name: getattr(made, name) for name in Event.__struct_fields__}, "seq": seq})


def said(seq: int, text: str, *, turn: bool = False) -> Event:
    message = user(text) if turn else assistant(text)
    data = message.to_dict()
    return event(seq, NewEvent(type="message", data=data, message_id="u" if turn else "a", message_count=1, turn_count=int(turn)))


def texts(shown: list[Shown]) -> list[str]:
    return [item.message.text for item in shown]


def test_a_message_that_is_read_again_after_it_was_taken_back_is_shown() -> None:
    taken = event(3, NewEvent(type="retract", data={"seqs": [2]}))
    assert texts(show([said(1, "Hello", turn=True), said(2, "Half an"), taken, said(4, "Half an answer")])) == ["Hello", "Half an answer"]


def test_a_message_that_goes_on_after_a_rollback_begins_anew() -> None:
    back = event(3, NewEvent(type="rollback", data={"turns": 1}))
    assert texts(show([said(1, "Hello", turn=True), said(2, "Half an"), back, said(4, "An answer")])) == ["An answer"]
