"""Conversations in the shapes of model APIs, and what they cannot hold."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats.written import TO_READ_BACK, Stock, conversation, read_back, write, write_messages
from turnfold.core.conversation import ConversationEntry
from turnfold.formats import loss
from turnfold.formats.writers.anthropic import OPENING
from turnfold.formats.writers.turns import NO_RESULT
from turnfold.model.message import Message, assistant, system, tool_call, tool_result, user
from turnfold.model.parts import BlobPart, FilePart, OpaquePart, ReasoningPart, RefusalPart, TextPart, ToolCallPart, ToolResultPart, UriPart
from turnfold.model.usage import Usage

IMAGE = BlobPart("image", "image/png", "aGk=")
IMAGE_JSON = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="}

ids = st.sampled_from(["a", "b", "c", "d e", "", "functions.bash:0", "ü" * 70])
texts = st.text(min_size=1, max_size=12)
json_values = (
    st.none() | st.integers(-5, 5) | texts | st.lists(st.integers(0, 3), max_size=2) | st.dictionaries(texts, st.integers(0, 3), max_size=2)
)
images = st.text("ABCD", min_size=4, max_size=8).map(lambda content: BlobPart("image", "image/png", content))
answers = (
    texts
    | json_values
    | st.lists(
        texts.map(lambda text: {"type": "text", "content": text})
        | st.text("EFGH", min_size=4, max_size=8).map(lambda data: {**IMAGE_JSON, "content": data}),
        min_size=1,
        max_size=3,
    )
)
calls = st.builds(ToolCallPart, ids, st.sampled_from(["bash", "read file", 'Task" >\n<x', ""]), json_values) | st.builds(
    lambda call_id, text: ToolCallPart(call_id, "patch", text, input_kind="text"), ids, texts
)
results = st.builds(ToolResultPart, ids, answers, st.sampled_from([None, True, False]))
messages = st.lists(
    st.builds(Message, st.just("user"), st.lists(st.builds(TextPart, texts) | images, min_size=1, max_size=2))
    | st.builds(Message, st.just("assistant"), st.lists(st.builds(TextPart, texts) | calls | images, min_size=1, max_size=3))
    | st.builds(Message, st.just("tool"), st.lists(results, min_size=1, max_size=2))
    | st.builds(Message, st.sampled_from(["system", "developer"]), st.lists(st.builds(TextPart, texts), min_size=1, max_size=1)),
    max_size=10,
)


@pytest.mark.parametrize("name", TO_READ_BACK)
@settings(max_examples=100, deadline=None)
@given(said=messages)
def test_every_text_call_answer_and_image_comes_back_paired(name: str, said: list[Message]) -> None:
    value, _ = write_messages(name, said)
    before, after = Stock(said), Stock(read_back(name, value))
    if name == "anthropic":
        first = list(takewhile(lambda message: message.role in {"system", "developer"}, said))
        assert value.get("system", "") == "\n\n".join(message.text for message in first)
        before.texts -= Stock(first).texts
        after.texts.pop(OPENING, None)
    assert after.images == before.images
    assert after.calls == before.calls
    assert after.pairs == before.pairs
    assert after.texts == before.texts


@settings(max_examples=100, deadline=None)
@given(said=messages)
def test_anthropic_lists_keep_the_rules_of_the_api(said: list[Message]) -> None:
    value, _ = write_messages("anthropic", said)
    asked: list[str] = []
    roles = [message["role"] for message in value["messages"]]
    assert roles == ["user" if index % 2 == 0 else "assistant" for index in range(len(roles))]
    seen: set[str] = set()
    for message in value["messages"]:
        assert message["content"]
        answered = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
        assert answered == asked
        assert all(block["text"].strip() for block in message["content"] if block["type"] == "text")
        asked = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call_id) for call_id in asked)
        assert seen.isdisjoint(asked)
        seen |= set(asked)
        assert all(isinstance(block["input"], dict) for block in message["content"] if block["type"] == "tool_use")


@settings(max_examples=100, deadline=None)
@given(said=messages)
def test_chat_lists_keep_the_rules_of_the_api(said: list[Message]) -> None:
    value, _ = write_messages("openai", said)
    asked: list[str] = []
    for index, message in enumerate(value):
        if message["role"] == "tool":
            assert message["tool_call_id"] == asked.pop(0)
            continue
        assert asked == [], index
        asked = [call["id"] for call in message.get("tool_calls", ())]
        assert message["content"] or asked


@settings(max_examples=100, deadline=None)
@given(said=messages)
def test_response_items_answer_every_call_once(said: list[Message]) -> None:
    value, _ = write_messages("openai-responses", said)
    called = [item["call_id"] for item in value if item["type"] in {"function_call", "custom_tool_call"}]
    answered = [item["call_id"] for item in value if item["type"].endswith("_output")]
    assert len(set(called)) == len(called)
    assert len(set(answered)) == len(answered)
    assert set(answered) <= set(called)


def test_late_results_stand_behind_their_calls_and_missing_ones_are_told() -> None:
    said = [
        tool_call("a", "f", {"n": 1}),
        tool_call("b", "g", {"n": 2}),
        user("wait"),
        tool_result("b", "B"),
        tool_result("zzz", "nobody asked"),
        user("go on"),
    ]
    value, losses = write_messages("anthropic", said)
    assert [message["role"] for message in value["messages"]] == ["user", "assistant", "user"]
    assert value["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": NO_RESULT, "is_error": True},
        {"type": "tool_result", "tool_use_id": "b", "content": "B"},
        {"type": "text", "text": "wait"},
        {"type": "text", "text": "[Result of tool call zzz]"},
        {"type": "text", "text": "nobody asked"},
        {"type": "text", "text": "go on"},
    ]
    assert losses.counts[loss.OPEN_CALLS] == 1
    assert losses.counts[loss.ORPHAN_RESULTS] == 1


def test_calls_at_the_end_stay_open() -> None:
    for name in TO_READ_BACK:
        value, losses = write_messages(name, [user("go"), tool_call("a", "f", {})])
        assert loss.OPEN_CALLS not in losses.counts
        assert [part.id for message in read_back(name, value) for part in message.tool_calls] == ["a"]
        assert [part for message in read_back(name, value) for part in message.tool_results] == []


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("anthropic", {"type": "thinking", "thinking": "hm", "signature": "sig-a"}),
        ("openai-responses", {"type": "reasoning", "summary": [], "encrypted_content": "enc-o", "id": "rs_1"}),
    ],
)
def test_signed_reasoning_goes_back_to_its_own_provider_alone(name: str, own: dict[str, Any]) -> None:
    said = [
        user("hi"),
        assistant(
            [
                ReasoningPart("hm", signature="sig-a", provider="anthropic"),
                ReasoningPart(encrypted="enc-o", provider="openai", id="rs_1"),
                ReasoningPart("plain"),
                TextPart("yo"),
            ]
        ),
    ]
    value, losses = write_messages(name, said)
    blocks = value["messages"][1]["content"] if isinstance(value, dict) else value
    assert [block for block in blocks if block["type"] in {"thinking", "reasoning"}] == [own]
    assert losses.counts[loss.FOREIGN_REASONING] == 2
    for other in ("openai", "otel"):
        text = str(write_messages(other, said)[0])
        assert "sig-a" not in text
        assert "enc-o" not in text


def test_reasoning_without_a_name_is_of_the_tool_that_the_session_came_from() -> None:
    said = [user("hi"), assistant([ReasoningPart("hm", signature="sig"), TextPart("yo")])]
    value, losses = write_messages("anthropic", said, native="claude-code")
    assert value["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "sig"}
    assert loss.FOREIGN_REASONING not in losses.counts
    assert write_messages("anthropic", said, native="codex")[1].counts[loss.FOREIGN_REASONING] == 1


def test_media_go_where_each_api_takes_them() -> None:
    said = [
        user(
            [IMAGE, UriPart("image", "https://example.org/a.png"), FilePart("document", "file-1"), BlobPart("audio", "audio/wav", "UklG")]
        ),
        tool_call("a", "look", {}),
        tool_result("a", [{"type": "text", "content": "seen"}, IMAGE_JSON]),
        assistant([TextPart("here"), IMAGE]),
    ]
    chat, losses = write_messages("openai", said)
    assert chat[0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
    ]
    assert chat[2] == {"role": "tool", "tool_call_id": "a", "content": "seen"}
    assert chat[3] == {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]}
    assert losses.counts[loss.MOVED_MEDIA] == 2

    value, losses = write_messages("anthropic", said)
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    assert value["messages"][0]["content"] == [
        {"type": "image", "source": source},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "document", "source": {"type": "file", "file_id": "file-1"}},
        {"type": "text", "text": "[audio: audio/wav]"},
    ]
    assert value["messages"][2]["content"][0]["content"] == [{"type": "text", "text": "seen"}, {"type": "image", "source": source}]
    assert losses.counts[loss.MEDIA] == 1

    items, _ = write_messages("openai-responses", said)
    assert items[2]["output"] == [
        {"type": "input_text", "text": "seen"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"},
    ]


def test_errors_names_refusals_and_native_parts() -> None:
    said = [
        Message("user", [TextPart("hi", ext={"y": 1}), OpaquePart({"x": 1})], "ann", ext={"z": 1}),
        tool_call("a", "f", {}),
        tool_result("a", "no such file", is_error=True, detail={"code": 1}),
        assistant([RefusalPart("I cannot.")]),
    ]
    chat, losses = write_messages("openai", said)
    assert chat[0] == {"role": "user", "content": "hi", "name": "ann"}
    assert chat[2]["content"] == "Error: no such file"
    assert chat[3]["content"] == [{"type": "refusal", "refusal": "I cannot."}]
    assert losses.to_dict() == {
        loss.TIMES_AND_USAGE: {"count": 4, "seqs": []},
        loss.DETAILS: {"count": 1, "seqs": [3]},
        loss.ERROR_MARKS: {"count": 1, "seqs": [3]},
        loss.EXTRA_FIELDS: {"count": 2, "seqs": [1, 1]},
        loss.NATIVE_PARTS: {"count": 1, "seqs": [1]},
    }
    value, losses = write_messages("anthropic", said)
    assert value["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "a", "content": "no such file", "is_error": True}]
    assert losses.counts[loss.NAMES] == 1


def test_instructions_stand_where_each_api_wants_them() -> None:
    said = [system("rules"), user("hi"), assistant("yo"), Message("developer", [TextPart("be brief")]), user("more")]
    value, losses = write("anthropic", conversation(said, system_prompt="You are kind."))
    assert value["system"] == "You are kind.\n\nrules"
    assert value["messages"][2]["content"] == [{"type": "text", "text": "be brief"}, {"type": "text", "text": "more"}]
    assert losses.counts[loss.MOVED_INSTRUCTIONS] == 1
    chat, _ = write("openai", conversation(said, system_prompt="You are kind."))
    assert [message["role"] for message in chat] == ["system", "system", "user", "assistant", "developer", "user"]
    items, _ = write("openai-responses", conversation(said, system_prompt="You are kind."))
    assert items[0] == {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "You are kind."}]}


def _entry(seq: int, kind: str, message: Message | None = None, **fields: Any) -> ConversationEntry:
    return ConversationEntry(seq=seq, last_seq=seq, at_us=seq, type=kind, message=message, **fields)


def test_a_model_gets_the_summary_and_what_came_after_it() -> None:
    entries = [
        _entry(1, "message", user("old")),
        _entry(2, "message", assistant("older answer")),
        _entry(3, "context", user("note")),
        _entry(4, "message", user("for people"), visibility="ui"),
        _entry(5, "message", Message("assistant", [TextPart("API error")], synthetic=True)),
        _entry(6, "compaction", user("the summary"), data={"summary": "the summary", "first_seq": 1, "last_seq": 5}),
        _entry(7, "message", user("new")),
        _entry(8, "message", Message("assistant", [TextPart("API error")], synthetic=True)),
    ]
    for name in TO_READ_BACK:
        value, losses = write(name, conversation([], entries=entries))
        assert [message.text for message in read_back(name, value)] in (["the summary", "new"], ["the summarynew"])
        kinds = (loss.SUMMARISED, loss.NOTES, loss.ONLY_FOR_PEOPLE, loss.MADE_UP)
        assert [losses.counts[kind] for kind in kinds] == [3, 1, 1, 1]


def test_a_compaction_with_a_replacement_is_that_replacement() -> None:
    replacement = [user("kept").to_dict(), {"role": "nonsense", "parts": 7}, assistant("so far").to_dict()]
    entries = [
        _entry(1, "message", user("old")),
        _entry(2, "compaction", user("summary"), data={"summary": "summary", "first_seq": 1, "last_seq": 1, "replacement": replacement}),
        _entry(3, "compaction", None, data={"encrypted": "x", "first_seq": 3, "last_seq": 3}),
    ]
    chat, losses = write("openai", conversation([], entries=entries))
    assert chat == [{"role": "user", "content": "kept"}, {"role": "assistant", "content": "so far"}]
    assert losses.counts[loss.SEALED_SUMMARIES] == 1


def test_langchain_keeps_usage_artifacts_and_wrong_calls() -> None:
    said = [
        Message(
            "assistant",
            [ToolCallPart("a", "f", None, arguments_raw="{bad")],
            model="claude-x",
            provider="anthropic",
            finish_reason="tool_call",
        ),
        tool_result("a", "r", is_error=True, detail={"x": 1}),
    ]
    done = conversation(said)
    entries = [
        ConversationEntry(seq=1, last_seq=1, at_us=1, type="message", message=said[0], usage=Usage(5, 2, 1)),
        done.entries[1],
    ]
    value, _ = write("langchain", conversation([], entries=entries))
    first, second = (item["data"] for item in value)
    assert first["invalid_tool_calls"] == [{"type": "invalid_tool_call", "id": "a", "name": "f", "args": "{bad", "error": None}]
    assert first["usage_metadata"]["total_tokens"] == 7
    assert first["response_metadata"] == {"model_name": "claude-x", "model_provider": "anthropic", "finish_reason": "tool_call"}
    assert (second["status"], second["artifact"], second["tool_call_id"]) == ("error", {"x": 1}, "a")
