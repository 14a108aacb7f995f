from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnfold.core.transcript import Shown
from turnfold.core.window import plan
from turnfold.errors import LimitExceeded
from turnfold.model.message import Message, assistant, encode_message, system, tool_call, tool_result, user

TURN = st.lists(
    st.one_of(
        st.tuples(st.just("user"), st.integers(0, 400)),
        st.tuples(st.just("assistant"), st.integers(0, 400)),
        st.tuples(st.just("call"), st.integers(0, 3)),
        st.tuples(st.just("result"), st.integers(0, 3)),
    ),
    max_size=40,
)


def shown(steps: list[tuple[str, int]]) -> list[Shown]:
    out: list[Shown] = []
    for seq, (kind, number) in enumerate(steps, 1):
        message = {
            "user": lambda n=number: user("u" * n),
            "assistant": lambda n=number: assistant("a" * n),
            "call": lambda n=number: tool_call(f"c{n}", "t", {"x": 1}),
            "result": lambda n=number: tool_result(f"c{n}", "r" * 50),
        }[kind]()
        out.append(Shown(message, seq, 0, kind == "user"))
    return out


def size(messages: list[Message]) -> int:
    return sum((len(encode_message(message)) + 3) // 4 for message in messages)


@given(TURN, st.integers(0, 600), st.sets(st.integers(1, 40), max_size=3), st.sampled_from(["", "be brief"]))
def test_never_over_budget_and_pairs_stay_whole(steps: list[tuple[str, int]], budget: int, pins: set[int], prompt: str) -> None:
    view = shown(steps)
    first = [system(prompt)] if prompt else []
    try:
        window = plan(view, budget, first=first, pinned=frozenset(pins))
    except LimitExceeded:
        assert pins or prompt
        return
    assert size(list(window)) <= window.token_count <= budget
    calls = {part.id for message in window for part in message.tool_calls}
    results = {part.id for message in window for part in message.tool_results}
    assert results <= calls, "a result without its call"
    last = view[-1].message if view else None
    loose = calls - results
    if loose and last is not None:
        assert all(any(call.id in loose for call in message.tool_calls) for message in window if {c.id for c in message.tool_calls} & loose)
    seqs = [item.seq for item in view if any(item.message is message for message in window)]
    assert seqs == sorted(seqs)
    assert [message.role for message in window[: len(first)]] == [message.role for message in first]


@given(TURN)
def test_everything_goes_in_when_there_is_room(steps: list[tuple[str, int]]) -> None:
    view = [item for item in shown(steps) if item.message.role in {"user", "assistant"} and not item.message.tool_calls]
    window = plan(view, 1_000_000)
    assert list(window) == [item.message for item in view]
    assert window.omitted_count == 0
