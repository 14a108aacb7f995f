"""How a conversation is cut into turns, and what stands for calls, commands and images."""

from __future__ import annotations

from typing import Any

import pytest

from tests.formats.pages import AT_US, conversation
from turnfold.core.conversation import Conversation, ConversationEntry
from turnfold.formats.arguments import gist, outlined
from turnfold.formats.loss import LossReport
from turnfold.formats.outline import Outline
from turnfold.formats.outline_blocks import Call, Data, Item, Note, Picture, Text, Turn
from turnfold.formats.phrases import facts, moment, one_line
from turnfold.formats.wrapped import Wrapped, image_caption, unwrap
from turnfold.model.message import Message, assistant, system, tool_call, tool_result, user
from turnfold.model.parts import BlobPart, Part, TextPart
from turnfold.model.usage import Usage


def turns_of(made: Conversation) -> list[Turn]:
    return Outline(made, LossReport()).turns()


def entries(*given: ConversationEntry) -> Conversation:
    return conversation([], entries=given)


def entry(seq: int, message: Message | None, **fields: Any) -> ConversationEntry:
    return ConversationEntry(seq=seq, last_seq=seq, at_us=AT_US, type=fields.pop("type", "message"), message=message, **fields)


def kinds(turn: Turn) -> list[tuple[int, str]]:
    return [(item.seq, item.kind) for item in turn.items]


def test_a_turn_is_what_a_person_typed_and_all_up_to_the_next() -> None:
    made = conversation([user("One"), assistant("1"), user("Two"), tool_call("c", "T"), tool_result("c", "r"), assistant("2")])
    assert [(turn.number, turn.title, len(turn.items)) for turn in turns_of(made)] == [(1, "One", 2), (2, "Two", 3)]


def test_what_a_tool_adds_just_before_a_message_belongs_to_its_turn() -> None:
    made = entries(
        entry(1, system("rules"), visibility="model"),
        entry(2, user("One"), is_turn=True),
        entry(3, assistant("1")),
        entry(4, user("reminder"), type="context"),
        entry(5, user("Two"), is_turn=True),
    )
    assert [kinds(turn) for turn in turns_of(made)] == [[(1, "context"), (2, "user"), (3, "assistant")], [(4, "context"), (5, "user")]]


def test_the_summary_of_a_compaction_stays_with_it_and_is_a_models_text() -> None:
    made = entries(
        entry(1, user("One"), is_turn=True),
        entry(2, None, type="compaction"),
        entry(3, user("**Summary**"), visibility="model"),
        entry(4, user("Two"), is_turn=True),
    )
    first, second = turns_of(made)
    assert kinds(first) == [(1, "user"), (2, "compaction"), (3, "context")]
    assert (first.items[2].speaker, first.items[2].blocks) == ("Summary", [Text("**Summary**", markup=True)])
    assert kinds(second) == [(4, "user")]


def test_messages_before_the_first_turn_and_a_session_without_turns_have_a_heading() -> None:
    made = entries(entry(1, assistant("Hello")), entry(2, user("One"), is_turn=True))
    assert [(turn.number, turn.title) for turn in turns_of(made)] == [(0, "Before the first message"), (1, "One")]
    (only,) = turns_of(entries(entry(1, assistant("Hello"))))
    assert (only.number, only.title) == (0, "Conversation")


def test_results_of_one_call_in_several_messages_are_joined() -> None:
    made = conversation([tool_call("c", "T"), tool_result("c", "first"), tool_result("c", "second")])
    ((call,),) = [item.blocks for turn in turns_of(made) for item in turn.items]
    assert isinstance(call, Call)
    assert call.result is not None
    assert call.result.pieces == [Text("first", markup=False), Text("second", markup=False)]


def test_a_command_and_its_output_are_told_apart() -> None:
    made = conversation([user("<bash-input>git pull</bash-input>"), user("<bash-stdout>ok\n</bash-stdout><bash-stderr></bash-stderr>")])
    first, second = [item for turn in turns_of(made) for item in turn.items]
    assert (first.kind, first.blocks) == ("user", [Text("! git pull", markup=False)])
    assert (second.kind, second.blocks) == ("tool", [Data("Output", "ok")])


def test_the_tags_around_an_image_become_its_caption() -> None:
    parts: list[Part] = [
        TextPart('<image name=[Image #1] path="/p.png">'),
        BlobPart("image", "image/png", "AAAA"),
        TextPart("</image>"),
        TextPart("Look"),
    ]
    (turn,) = turns_of(conversation([user(parts)]))
    (item,) = turn.items
    assert item.blocks == [Note("Image #1, /p.png"), Picture("image/png", "AAAA", 3), Text("Look", markup=False)]
    assert turn.title == "Look"


def test_what_nobody_typed_is_not_the_users() -> None:
    made = entries(entry(1, user("Go"), is_turn=True), entry(2, user("[Request interrupted by user]")))
    (turn,) = turns_of(made)
    assert [(item.kind, item.speaker) for item in turn.items] == [("user", "User"), ("tool", "Added by the tool")]


def test_an_erased_message_says_so() -> None:
    (turn,) = turns_of(conversation([Message("user", [], ext={"redacted": True})]))
    assert turn.items == [Item(1, AT_US + 1_000_000, "user", "User", [Note("This message was erased.")])]


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        (
            "<command-name>/clear</command-name>\n  <command-message>clear</command-message>\n<command-args></command-args>",
            ("/clear", None),
        ),
        ("<command-name>/a</command-name><command-args>b c</command-args>", ("/a b c", None)),
        ("<local-command-stdout></local-command-stdout>", (None, "")),
        ("<bash-stdout>a</bash-stdout> and more", None),
        ("<bash-stdout>never closed", None),
        ("plain", None),
        ("", None),
    ],
)
def test_unwrap(text: str, inner: tuple[str | None, str | None] | None) -> None:
    assert unwrap(text) == (None if inner is None else Wrapped(*inner))


def test_only_whole_tags_are_captions() -> None:
    assert image_caption("</image>") == ""
    assert image_caption("<image>") == ""
    assert image_caption("<image> and text") is None
    assert image_caption('<image name=[a]"><script>') is None


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"description": "why", "command": "ls\n -l"}, "ls -l"),
        ({"command": ["bash", "-lc", "make"]}, "make"),
        ({"path": "/a", "pattern": "x.*"}, "x.*"),
        ({"questions": [{"question": "Which?", "options": []}]}, "Which?"),
        ({"type": "web_search_call", "action": {"type": "search", "query": "q"}}, "q"),
        ("*** Begin Patch\n*** Update File: a.py\n@@\n-x\n*** Add File: b.py\n*** End Patch", "a.py, b.py"),
        ({"n": 1}, ""),
        (None, ""),
        ([1], ""),
    ],
)
def test_gist(arguments: Any, line: str) -> None:
    assert gist(arguments) == line


def test_values_are_said_as_an_outline() -> None:
    value = [
        {"question": "Which?", "multi": False, "options": [{"label": "A", "why": "x\ny"}], "none": [], "o": {"k": None}},
        ["a", 1.5],
        {},
    ]
    assert outlined(value) == [
        "- question: Which?",
        "  multi: false",
        "  options:",
        "    - label: A",
        "      why:",
        "        x",
        "        y",
        "  none: (empty)",
        "  o:",
        "    k: null",
        "- - a",
        "  - 1.5",
        "- (empty)",
    ]
    assert outlined([10**5_000]) is None
    assert outlined([[[[[[[[[1]]]]]]]]]) is None


def test_facts_say_what_is_known_and_nothing_else() -> None:
    made = conversation([assistant("Hi", model="m-1"), assistant("Ho", model="<synthetic>")], branches=["main", "other"])
    assert facts(made) == [
        ("Tool", "claude-code"),
        ("Model", "m-1"),
        ("Messages", "2 in 0 turns"),
        ("Branch", "main (not shown: other)"),
        ("Session", "one"),
    ]


def test_tokens_of_a_turn_are_the_sum_of_its_messages() -> None:
    made = entries(
        entry(1, user("One"), is_turn=True), entry(2, assistant("1"), usage=Usage(10, 5)), entry(3, assistant("2"), usage=Usage(1))
    )
    assert [turn.tokens_count for turn in turns_of(made)] == [16]


@pytest.mark.parametrize("at_us", [0, -1, 10**20])
def test_a_time_that_no_calendar_has_is_left_out(at_us: int) -> None:
    assert moment(at_us) == ""


def test_a_title_of_megabytes_becomes_a_line() -> None:
    assert one_line("a\n" * 1_000_000) == "a " * 59 + "a…"
