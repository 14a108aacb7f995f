"""Anthropic, Vercel AI SDK and LangChain lists as sessions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.formats.list_driver import one_message, read_items, read_value
from turnfold.formats.lists import vercel
from turnfold.model.message import Message
from turnfold.model.parts import (
    BlobPart,
    FilePart,
    OpaquePart,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UriPart,
)
from turnfold.model.usage import Usage


def test_an_anthropic_request_with_thinking_tools_and_images(tmp_path: Path) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    body = {
        "model": "claude-sonnet-4-5",
        "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "redacted_thinking", "data": "xxx"},
                    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True, "content": [{"type": "text", "text": "no"}, image]},
                    {"type": "text", "text": "go on"},
                ],
            },
        ],
    }
    read = read_value("anthropic", body, tmp_path)
    assert read.messages == [
        Message("user", [TextPart("hi")]),
        Message(
            "assistant",
            [
                ReasoningPart("hm", signature="sig", provider="anthropic"),
                ReasoningPart(encrypted="xxx", redacted=True, provider="anthropic"),
                ToolCallPart("toolu_1", "f", {"a": 1}),
            ],
            provider="anthropic",
        ),
        Message(
            "tool",
            [
                ToolResultPart(
                    "toolu_1",
                    [
                        {"type": "text", "content": "no"},
                        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="},
                    ],
                    is_error=True,
                ),
            ],
        ),
        Message("user", [TextPart("go on")]),
    ]
    assert read.data_of("session.updated") == [{"system_prompt": "Be brief.\n\nBe kind."}]
    assert [event.turn_count for event in read.events if event.type == "message"] == [1, 0, 0, 1]


def test_a_whole_anthropic_answer_says_its_model_usage_and_reason() -> None:
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4",
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 7, "output_tokens": 2},
    }
    read = read_items("anthropic", [answer])
    (message,) = read.messages
    assert (message.model, message.finish_reason, message.native_id) == ("claude-opus-4", "stop", "msg_1")
    assert read.usages() == [Usage(10, 2, 7, model="claude-opus-4")]


UI_ANSWER: dict[str, Any] = {
    "id": "m2",
    "role": "assistant",
    "metadata": {"createdAt": "2026-01-02T03:04:05Z"},
    "parts": [
        {"type": "step-start"},
        {"type": "reasoning", "text": "hm", "state": "done", "providerMetadata": {"anthropic": {"signature": "sig"}}},
        {"type": "text", "text": "Looking.", "state": "done"},
        {"type": "tool-weather", "toolCallId": "c1", "state": "output-available", "input": {"city": "Oslo"}, "output": {"t": -3}},
        {"type": "dynamic-tool", "toolName": "mail", "toolCallId": "c2", "state": "output-error", "input": {}, "errorText": "no network"},
        {
            "type": "tool-delete",
            "toolCallId": "c3",
            "state": "output-denied",
            "input": {"path": "/"},
            "approval": {"id": "a1", "approved": False, "reason": "never"},
        },
        {"type": "step-start"},
        {"type": "source-url", "sourceId": "s1", "url": "https://example.org"},
        {"type": "data-chart", "data": {"x": 1}},
        {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,aGk="},
        {"type": "tool-search", "toolCallId": "c4", "state": "output-available", "input": {}, "output": [1], "providerExecuted": True},
        {"type": "text", "text": "Cold."},
    ],
}


def test_a_ui_message_becomes_a_message_per_step_and_one_with_its_results() -> None:
    file = {"type": "file", "mediaType": "application/pdf", "url": "https://example.org/a.pdf"}
    user = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Weather?"}, file]}
    read = read_items("vercel", [user, UI_ANSWER])
    assert read.messages == [
        Message("user", [TextPart("Weather?"), UriPart("document", "https://example.org/a.pdf", "application/pdf")], native_id="m1"),
        Message(
            "assistant",
            [
                ReasoningPart("hm", signature="sig", provider="anthropic"),
                TextPart("Looking."),
                ToolCallPart("c1", "weather", {"city": "Oslo"}),
                ToolCallPart("c2", "mail", {}),
                ToolCallPart("c3", "delete", {"path": "/"}, ext={"approval": {"id": "a1", "approved": False, "reason": "never"}}),
            ],
            native_id="m2",
            ext={"metadata": {"createdAt": "2026-01-02T03:04:05Z"}},
        ),
        Message(
            "tool",
            [
                ToolResultPart("c1", {"t": -3}),
                ToolResultPart("c2", "no network", is_error=True),
                ToolResultPart("c3", "never", is_error=True),
            ],
        ),
        Message(
            "assistant",
            [
                OpaquePart({"type": "source-url", "sourceId": "s1", "url": "https://example.org"}),
                OpaquePart({"type": "data-chart", "data": {"x": 1}}),
                BlobPart("image", "image/png", "aGk="),
                ServerToolCallPart("c4", "search", {"type": "search", "input": {}}),
                ServerToolResultPart("c4", {"type": "search", "output": [1]}),
                TextPart("Cold."),
            ],
        ),
    ]


@pytest.mark.parametrize("state", ["input-streaming", "input-available", "approval-requested", "approval-responded"])
def test_a_call_without_answer_keeps_its_state_and_is_not_settled(state: str, tmp_path: Path) -> None:
    part = {"type": "tool-f", "toolCallId": "c1", "state": state, "input": {"a": 1}, "approval": {"id": "a1", "approved": True}}
    question = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "x"}]}
    answer = {"id": "m2", "role": "assistant", "parts": [part]}
    value = {"id": "chat-1", "messages": [question, answer]}
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(value))
    (document,) = vercel().documents(path)
    assert document.native_id == "chat-1"
    assert (len(document.lines), document.settled_count) == (4, 2)  # the header and the question will not change
    call = one_message("vercel", answer).tool_calls[0]
    assert (call.status, call.arguments) == (state, {"a": 1})


def test_encrypted_reasoning_keeps_whose_it_is() -> None:
    metadata = {"openai": {"itemId": "rs_1", "reasoningEncryptedContent": "gAAA", "x": 1}}
    message = one_message(
        "vercel", {"id": "m", "role": "assistant", "parts": [{"type": "reasoning", "text": "", "providerMetadata": metadata}]}
    )
    assert message.parts == [
        ReasoningPart(encrypted="gAAA", provider="openai", id="rs_1", ext={"provider_metadata": {"openai": {"x": 1}}}),
    ]


def _langchain(kind: str, **fields: Any) -> dict[str, dict[str, Any]]:
    flat = {"additional_kwargs": {}, "response_metadata": {}, "type": kind, "name": None, "id": None, **fields}
    names = {"human": "HumanMessage", "ai": "AIMessage", "system": "SystemMessage", "tool": "ToolMessage"}
    return {
        "dict": {"type": kind, "data": flat},
        "flat": flat,
        "lc": {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", names[kind]], "kwargs": flat},
    }


@pytest.mark.parametrize("form", ["dict", "flat", "lc"])
def test_the_three_dumps_of_langchain_say_the_same(form: str) -> None:
    call = {"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
    bad = {"name": "g", "args": "{bad", "id": "c2", "error": "no JSON", "type": "invalid_tool_call"}
    blocks = [
        {"type": "reasoning", "reasoning": "hm", "extras": {"signature": "sig"}},
        {"type": "text", "text": "yo"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
    ]
    about = {"model_provider": "anthropic", "model_name": "claude-x", "stop_reason": "tool_use"}
    tokens = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "input_token_details": {"cache_read": 1}}
    items = [
        _langchain("system", content="Be brief.")[form],
        _langchain(
            "human", content=[{"type": "text", "text": "hi"}, {"type": "image", "base64": "aGk=", "mime_type": "image/png"}], id="h1"
        )[form],
        _langchain("ai", content=blocks, tool_calls=[call], invalid_tool_calls=[bad], response_metadata=about, usage_metadata=tokens)[form],
        _langchain("tool", content="r", tool_call_id="c1", status="error", artifact={"x": 1})[form],
    ]
    read = read_items("langchain", items)
    assert read.messages == [
        Message("system", [TextPart("Be brief.")]),
        Message("user", [TextPart("hi"), BlobPart("image", "image/png", "aGk=")], native_id="h1"),
        Message(
            "assistant",
            [
                ReasoningPart("hm", signature="sig", provider="anthropic"),
                TextPart("yo"),
                ToolCallPart("c1", "f", {"a": 1}),
                ToolCallPart("c2", "g", arguments_raw="{bad", status="invalid", ext={"error": "no JSON"}),
            ],
            model="claude-x",
            provider="anthropic",
            finish_reason="tool_call",
            native_finish_reason="tool_use",
            usage=Usage(5, 2, 1, model="claude-x"),
        ),
        Message("tool", [ToolResultPart("c1", "r", is_error=True, detail={"x": 1})]),
    ]


def test_langchain_blocks_of_providers_and_versions() -> None:
    blocks = [
        "bare text",
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "file", "file_id": "file-1"},
        {"type": "file", "source_type": "base64", "data": "JVBE", "mime_type": "application/pdf", "metadata": {"filename": "a.pdf"}},
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}], "encrypted_content": "gAAA"},
        {"type": "tool_call", "id": "c9", "name": "f", "args": {}},
        {"type": "non_standard", "value": {"a": 1}},
    ]
    message = one_message("langchain", {"type": "ai", "data": {"type": "ai", "content": blocks}})
    assert message.parts == [
        TextPart("bare text"),
        UriPart("image", "https://example.org/a.png"),
        BlobPart("image", "image/png", "aGk="),
        FilePart("document", "file-1"),
        BlobPart("document", "application/pdf", "JVBE", filename="a.pdf"),
        ReasoningPart("hm", signature="sig", provider="anthropic"),
        ReasoningPart(summary=["s"], encrypted="gAAA", provider="openai", id="rs_1"),
        ToolCallPart("c9", "f", {}),
        OpaquePart({"type": "non_standard", "value": {"a": 1}}),
    ]


def test_a_session_linker_file_brings_its_working_memory_and_native_calls(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    value = {
        "messages": [
            {"type": "human", "content": "hi", "additional_kwargs": {"mood": "good"}, "timestamp": "2026-01-01T00:00:00+00:00"},
            {"type": "ai", "content": "", "additional_kwargs": {"tool_calls": [call]}},
            {"type": "function", "content": "r", "name": "f", "additional_kwargs": {"tool_call_id": "c1"}},
        ],
        "memory_variables": {"topic": "weather", "n": 3},
    }
    read = read_value("langchain", value, tmp_path)
    assert read.messages == [
        Message("user", [TextPart("hi")], ext={"additional_kwargs": {"mood": "good"}}),
        Message("assistant", [ToolCallPart("c1", "f", {"a": 1})]),
        Message("tool", [ToolResultPart("c1", "r")], "f"),
    ]
    assert read.data_of("state.set") == [{"values": {"topic": "weather", "n": 3}}]
