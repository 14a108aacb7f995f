"""The comparison of a request with a conversation finds everything that can be wrong."""

from __future__ import annotations

import base64
import copy

import pytest
from tools.genuine.compare import compare
from tools.genuine.images import is_sound
from tools.genuine.scenario import picture
from tools.genuine.sent import Sent, sent_of

IMAGE = base64.b64encode(picture()).decode()
MESSAGES = {
    "messages": [
        {"role": "user", "content": "look"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "c1", "name": "Task", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c1",
                    "content": [
                        {"type": "text", "text": "seen  "},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}},
                    ],
                }
            ],
        },
    ]
}
ITEMS = {
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "look"}]},
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "c1", "name": "Task", "arguments": '{"a": 1}'},
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": [{"type": "input_text", "text": "seen"}, {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}"}],
        },
    ]
}


@pytest.fixture
def expected() -> Sent:
    return Sent([("user", "look"), ("assistant", "I look.")], {"c1": ("Task", {"a": 1})}, {"c1": "seen"}, [IMAGE])


@pytest.mark.parametrize("body", [MESSAGES, ITEMS])
def test_both_apis_say_the_same(body: dict[str, object], expected: Sent) -> None:
    sent = sent_of(body)
    found = compare(expected, sent)
    assert found.faults == []
    assert found.counts == {"texts": (2, 2), "calls": (1, 1), "results": (1, 1), "images": (1, 1)}
    assert sent.reasoning_count == 1


def test_an_output_without_a_call_is_a_text() -> None:
    sent = sent_of({"input": [{"type": "function_call_output", "name": "goal", "output": "end this"}]})
    assert (sent.texts, sent.results) == ([("developer", "end this")], {})


def test_a_program_may_add_to_texts_and_close_open_calls(expected: Sent) -> None:
    sent = copy.deepcopy(expected)
    sent.texts = [("user", "<reminder>\nlook\n</reminder>"), ("assistant", "I look."), ("user", "and now?")]
    sent.calls["c2"] = expected.calls["c2"] = ("Bash", {})
    sent.results["c2"] = "aborted"
    assert compare(expected, sent).faults == []


def test_a_tool_may_be_renamed_where_that_is_known(expected: Sent) -> None:
    sent = copy.deepcopy(expected)
    sent.calls["c1"] = ("Agent", {"a": 1})
    assert compare(expected, sent, renamed={"Task": "Agent"}).faults == []
    assert len(compare(expected, sent).faults) == 1


@pytest.mark.parametrize(
    ("kind", "starts"),
    [
        ("text", "text 'I look.'"),
        ("call", "call c1"),
        ("arguments", "call c1"),
        ("result", "result c1"),
        ("image", "image of"),
        ("extra call", "unexpected: c9"),
        ("extra image", "unexpected: image of"),
        ("pair", "not paired: c1"),
    ],
)
def test_whatever_is_missing_changed_or_too_much_is_found(kind: str, starts: str, expected: Sent) -> None:
    sent = copy.deepcopy(expected)
    if kind == "text":
        sent.texts.pop()
    elif kind == "call":
        del sent.calls["c1"]
    elif kind == "arguments":
        sent.calls["c1"] = ("Task", {"a": 2})
    elif kind == "result":
        sent.results["c1"] = "see"
    elif kind == "image":
        sent.images.clear()
    elif kind == "extra call":
        sent.calls["c9"], sent.results["c9"] = ("Bash", {}), ""
    elif kind == "extra image":
        sent.images.append(IMAGE)
    else:
        del sent.results["c1"]
    assert [fault for fault in compare(expected, sent).faults if fault.startswith(starts)] != []


def test_a_damaged_image_is_told_from_a_sound_one() -> None:
    assert is_sound(IMAGE)
    data = bytearray(base64.b64decode(IMAGE))
    data[20] ^= 1
    assert not is_sound(base64.b64encode(data).decode())
    assert not is_sound(IMAGE[:-8])
    assert not is_sound("no base64!")
    assert not is_sound(base64.b64encode(b"text").decode())
    assert is_sound(base64.b64encode(b"GIF89a....").decode())
