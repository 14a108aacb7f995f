"""OpenAI chat messages and Responses items as sessions."""

from __future__ import annotations

from pathlib import Path

from tests.formats.list_driver import one_message, read_items, read_value
from turnfold.model.message import Message
from turnfold.model.parts import (
    BlobPart,
    CompactionPart,
    FilePart,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UriPart,
)
from turnfold.model.usage import Usage


def test_content_parts_become_parts_and_never_their_repr() -> None:
    item = {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            {"type": "hologram", "x": 1},
        ],
    }
    message = one_message("openai", item)
    assert message.parts == [
        TextPart("What is this?"),
        BlobPart("image", "image/png", "aGk=", ext={"detail": "low"}),
        UriPart("image", "https://example.org/a.png"),
        BlobPart("audio", "audio/wav", "UklG"),
        FilePart("document", "file-1"),
        BlobPart("document", "application/pdf", "JVBE", filename="a.pdf"),
        OpaquePart({"type": "hologram", "x": 1}),
    ]
    assert message.text == "What is this?"


def test_parallel_calls_keep_ids_arguments_and_results() -> None:
    """Scenario 29: a thread with a developer message, content parts and parallel calls."""
    calls = [
        {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
        {"id": "call_b", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}},
        {"id": "call_c", "type": "custom", "custom": {"name": "shell", "input": "ls -l"}},
    ]
    read = read_items(
        "openai",
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}], "name": "ann"},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "call_a", "content": "cold"},
            {"role": "tool", "tool_call_id": "call_b", "content": [{"type": "text", "text": "warm"}]},
            {"role": "assistant", "content": "Oslo is cold.", "refusal": None},
        ],
    )
    assert read.messages == [
        Message("developer", [TextPart("Be brief.")]),
        Message("user", [TextPart("Weather?")], "ann"),
        Message(
            "assistant",
            [
                ToolCallPart("call_a", "weather", {"city": "Oslo"}),
                ToolCallPart("call_b", "weather", {"city": "Rome"}, arguments_raw='{"city": "Rome"}'),
                ToolCallPart("call_c", "shell", "ls -l", input_kind="text"),
            ],
        ),
        Message("tool", [ToolResultPart("call_a", "cold")]),
        Message("tool", [ToolResultPart("call_b", "warm")]),
        Message("assistant", [TextPart("Oslo is cold.")]),
    ]
    assert [event.visibility for event in read.events[:2]] == ["model", "both"]
    assert [event.turn_count for event in read.events] == [0, 1, 0, 0, 0, 0, 0]
    assert read.data_of("title") == [{"title": "Weather?"}]


def test_the_function_calls_of_old_get_ids_that_pair_them() -> None:
    def call(name: str) -> dict[str, object]:
        return {"role": "assistant", "content": None, "function_call": {"name": name, "arguments": "{}"}}

    def result(name: str, content: str) -> dict[str, object]:
        return {"role": "function", "name": name, "content": content}

    read = read_items("openai", [call("f"), result("f", "1"), call("f"), call("g"), result("g", "2"), result("f", "3")])
    ids = {part.id for message in read.messages for part in message.tool_calls}
    answers = {part.id: part.response for message in read.messages for part in message.tool_results}
    names = {part.id: part.name for message in read.messages for part in message.tool_calls}
    assert len(ids) == 3
    assert answers.keys() == ids
    assert sorted((names[key], answer) for key, answer in answers.items()) == [("f", "1"), ("f", "3"), ("g", "2")]


def test_reasoning_refusals_and_audio_of_an_answer() -> None:
    item = {
        "role": "assistant",
        "content": None,
        "reasoning_content": "hm",
        "refusal": "I cannot.",
        "audio": {"id": "audio_1", "data": "UklG", "expires_at": 1, "transcript": "no"},
    }
    assert one_message("openai", item).parts == [
        ReasoningPart("hm"),
        RefusalPart("I cannot."),
        BlobPart("audio", None, "UklG", ext={"transcript": "no"}),
    ]


def test_a_thread_and_an_answer_say_their_ids_times_and_usage(tmp_path: Path) -> None:
    thread = {"thread_id": "thread_1", "messages": [{"role": "user", "content": "hi", "created_at": 1_700_000_000, "metadata": {"k": 1}}]}
    read = read_value("openai", thread, tmp_path)
    assert read.info.native_id == "thread_1"
    (entry,) = read.entries
    assert entry.at_us == 1_700_000_000_000_000
    assert entry.message is not None
    assert entry.message.ext == {"metadata": {"k": 1}}

    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_001,
        "model": "gpt-5",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}},
    }
    read = read_value("openai", answer, tmp_path)
    assert read.info.native_id == "chatcmpl-1"
    assert read.info.created_us == 1_700_000_001_000_000
    assert [message.text for message in read.messages] == ["hello"]
    assert read.usages() == [Usage(9, 4, 2, model="gpt-5")]


def test_response_items_become_messages_in_order() -> None:
    read = read_items(
        "openai-responses",
        [
            {"role": "user", "content": [{"type": "input_text", "text": "Look"}, {"type": "input_file", "file_id": "file-9"}]},
            {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "think"}], "encrypted_content": "gAAA"},
            {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":1}', "status": "completed"},
            {
                "type": "function_call_output",
                "call_id": "call_1",
                "output": [{"type": "input_text", "text": "seen"}, {"type": "input_image", "image_url": "data:image/png;base64,aGk="}],
            },
            {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Done", "annotations": []}],
            },
            {"type": "compaction", "id": "cmp_1", "encrypted_content": "zzz"},
        ],
    )
    assert [message.parts for message in read.messages] == [
        [TextPart("Look"), FilePart("document", "file-9")],
        [ReasoningPart(summary=["think"], encrypted="gAAA", provider="openai", id="rs_1")],
        [ToolCallPart("call_1", "f", {"a": 1}, item_id="fc_1", status="completed")],
        [
            ToolResultPart(
                "call_1",
                [
                    {"type": "text", "content": "seen"},
                    {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="},
                ],
            ),
        ],
        [
            ServerToolCallPart(
                "ws_1", "web_search", {"type": "web_search", "status": "completed", "action": {"type": "search", "query": "q"}}
            )
        ],
        [TextPart("Done")],
        [CompactionPart(encrypted="zzz", id="cmp_1")],
    ]


def test_a_whole_response_object_is_a_session(tmp_path: Path) -> None:
    value = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": "gpt-5",
        "instructions": "Be brief.",
        "input": "hi",
        "output": [{"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello"}]}],
        "usage": {"input_tokens": 5, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}},
    }
    read = read_value("openai-responses", value, tmp_path)
    assert read.info.native_id == "resp_1"
    assert [(message.role, message.text) for message in read.messages] == [("user", "hi"), ("assistant", "hello")]
    assert read.data_of("session.updated") == [{"system_prompt": "Be brief."}]
    assert read.usages() == [Usage(5, 2, reasoning_output_tokens=1, model="gpt-5")]


def test_a_long_image_in_a_tools_output_goes_out_of_line() -> None:
    data = "A" * 40_000
    output = [{"type": "input_image", "image_url": f"data:image/png;base64,{data}"}]
    read = read_items("openai-responses", [{"type": "function_call_output", "call_id": "c", "output": output}])
    (part,) = read.messages[0].tool_results
    assert part.response[0]["blob_ref"] in read.parts
    assert read.parts[part.response[0]["blob_ref"]] == data.encode()
    assert data.encode() not in read.events[0].data_raw
