"""What belongs together is never torn apart, whatever is chosen."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from turnfold.core.units import units_of, whole
from turnfold.engine.prepare import prepare_all
from turnfold.model.event import Event
from turnfold.model.message import Message, assistant, tool_call, tool_result, user

CALLS = ("c1", "c2")
steps = st.lists(
    st.one_of(
        st.sampled_from(["user", "assistant"]).map(lambda role: (role, "")),
        st.tuples(st.sampled_from(["call", "result"]), st.sampled_from(CALLS)),
    ),
    max_size=12,
)


def events_of(said: list[tuple[str, str]]) -> list[Event]:
    made: list[Message] = []
    for kind, call in said:
        if kind == "call":
            made.append(tool_call(call, "x"))
        else:
            made.append(tool_result(call, "x") if call else user("u") if kind == "user" else assistant("a"))
    events = prepare_all(made)[0] if made else ()
    return [msgspec.structs.replace(event, seq=seq) for seq, event in enumerate(events, 1)]


@given(steps, st.sets(st.integers(1, 12)), st.sets(st.sampled_from(CALLS)))
def test_a_call_and_its_result_go_the_same_way(said: list[tuple[str, str]], wanted: set[int], answered: set[str]) -> None:
    events = events_of(said)
    taken, held, left = ({seq for unit in part for seq in unit.seqs} for part in whole(units_of(events), wanted, answered))
    assert len(taken | held | left) == len(taken) + len(held) + len(left)
    assert wanted & {event.seq for event in events} <= taken | held | left
    waiting: dict[str, int] = {}
    for seq, (kind, call) in enumerate(said, 1):
        if kind == "call":
            waiting[call] = seq
        elif kind == "result" and call in waiting:
            caller = waiting.pop(call)
            for part in (taken, held, left):
                assert (caller in part) == (seq in part)
        elif kind == "result" and seq in wanted:
            assert (seq in left) == (call in answered)
    for caller in waiting.values():
        last = all(kind in {"call", "result"} for kind, _ in said[caller:])
        if caller in wanted:
            assert (caller in held) == last


@given(steps)
def test_everything_chosen_is_everything_in_order(said: list[tuple[str, str]]) -> None:
    events = events_of([*said, ("user", "")])
    taken, held, left = whole(units_of(events), {event.seq for event in events}, set())
    assert [seq for unit in taken for seq in unit.seqs] == [event.seq for event in events]
    assert not held
    assert not left
