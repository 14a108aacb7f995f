"""The genuine types of each API read what is written, and what they dump is read: where their packages are installed.

``pip install openai anthropic langchain-core opentelemetry-proto`` beside the tests; for the Vercel AI SDK ``TURNFOLD_AI_SDK_DIR`` names a
folder in which ``npm install ai`` was run. The golden tests beside this file need none of them.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import GenericAlias
from typing import Any

import pytest
from hypothesis import given, settings

from tests.formats.list_driver import read_items
from tests.formats.test_list_others import UI_ANSWER
from tests.formats.test_writers import IMAGE_JSON, messages
from tests.formats.written import Stock, conversation, read_back, write, write_messages
from turnfold.model.message import Message, assistant, system, tool_call, tool_result, user
from turnfold.model.parts import BlobPart, FilePart, ReasoningPart, RefusalPart, TextPart, ToolCallPart, UriPart

RICH = [
    system("rules"),
    user(
        [
            TextPart("hi"),
            BlobPart("image", "image/png", "aGk="),
            UriPart("image", "https://example.org/a.png"),
            FilePart("document", "file-1"),
            BlobPart("document", "application/pdf", "JVBE", filename="a.pdf"),
        ]
    ),
    assistant(
        [
            ReasoningPart("hm", signature="sig", provider="anthropic"),
            ReasoningPart(summary=["s"], encrypted="enc", provider="openai", id="rs_1"),
            TextPart("Looking."),
            ToolCallPart("a", "look", {"n": 1}),
            ToolCallPart("b", "patch", "*** Begin", input_kind="text"),
        ]
    ),
    tool_result("a", [{"type": "text", "content": "seen"}, IMAGE_JSON]),
    tool_result("b", "no such file", is_error=True),
    tool_call("c", "never", {}),
    Message("developer", [TextPart("be brief")]),
    user("go on"),
    assistant([RefusalPart("I cannot.")]),
]


def _consume(value: Any) -> Any:
    """Walk a validated value: what is typed as an iterable is checked only when it is read."""
    if isinstance(value, dict):
        return {key: _consume(item) for key, item in value.items()}
    if isinstance(value, str | bytes | int | float) or value is None:
        return value
    return [_consume(item) for item in value]


def _check(module: str, name: str, items: list[Any]) -> None:
    pytest.importorskip(module.partition(".")[0], reason=f"{module.partition('.')[0]} is not installed: its genuine types are not compared")
    adapter = import_module("pydantic").TypeAdapter(GenericAlias(list, (getattr(import_module(module), name),)))
    _consume(adapter.validate_python(items))


def _lists(said: list[Message]) -> Iterator[tuple[str, str, list[Any]]]:
    yield "openai.types.chat", "ChatCompletionMessageParam", write_messages("openai", said)[0]
    yield "openai.types.responses", "ResponseInputItemParam", write_messages("openai-responses", said)[0]
    yield "anthropic.types", "MessageParam", write_messages("anthropic", said)[0]["messages"]


def test_the_genuine_types_take_a_rich_session() -> None:
    for module, name, items in _lists(RICH):
        _check(module, name, items)


def test_the_genuine_types_refuse_what_is_wrong() -> None:
    """The comparison can fail."""
    with pytest.raises(ValueError, match="validation error"):
        _check("openai.types.chat", "ChatCompletionMessageParam", [{"role": "tool", "content": "no id"}])
    with pytest.raises(ValueError, match="validation error"):
        _check("anthropic.types", "MessageParam", [{"role": "user", "content": [{"type": "tool_result", "content": "no id"}]}])


@settings(max_examples=60, deadline=None)
@given(said=messages)
def test_the_genuine_types_take_any_session(said: list[Message]) -> None:
    for module, name, items in _lists(said):
        _check(module, name, items)


def _langchain() -> Any:
    pytest.importorskip("langchain_core", reason="langchain-core is not installed: its genuine messages are not compared")
    return import_module("langchain_core.messages")


def test_langchain_loads_what_is_written_and_its_dumps_are_read() -> None:
    core = _langchain()
    value, _ = write("langchain", conversation(RICH, system_prompt="You are kind."))
    loaded = core.messages_from_dict(value)
    assert [message.type for message in loaded][:4] == ["system", "system", "human", "ai"]
    assert [call["id"] for message in loaded if message.type == "ai" for call in message.tool_calls] == ["a", "b", "c"]
    assert [block["type"] for block in loaded[2].content_blocks] == ["text", "image", "image", "file", "file"]
    dumps = import_module("langchain_core.load").dumps
    expected = Stock(read_back("langchain", value))
    for items in (core.messages_to_dict(loaded), json.loads(dumps(loaded)), [json.loads(message.model_dump_json()) for message in loaded]):
        read = read_items("langchain", items)
        assert read.problems == []
        assert vars(Stock(read.messages)) == vars(expected)


@settings(max_examples=60, deadline=None)
@given(said=messages)
def test_langchain_loads_any_session(said: list[Message]) -> None:
    core = _langchain()
    value, _ = write_messages("langchain", said)
    loaded = core.messages_from_dict(value)
    assert vars(Stock(read_items("langchain", core.messages_to_dict(loaded)).messages)) == vars(Stock(said))


def test_content_parts_and_parallel_calls_survive_langchain() -> None:
    """Scenario 29: from an OpenAI thread to LangChain's own objects and back, nothing becomes a repr and no id is lost."""
    core = _langchain()
    thread: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Weather?"}, {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": call_id, "type": "function", "function": {"name": "weather", "arguments": json.dumps({"city": city})}}
                for call_id, city in (("call_a", "Oslo"), ("call_b", "Rome"))
            ],
        },
        {"role": "tool", "tool_call_id": "call_a", "content": "cold"},
        {"role": "tool", "tool_call_id": "call_b", "content": "warm"},
    ]
    value, _ = write_messages("langchain", read_items("openai", thread).messages)
    loaded = core.messages_from_dict(value)
    assert loaded[1].content[0] == {"type": "text", "text": "Weather?"}
    back, _ = write_messages("openai", read_items("langchain", core.messages_to_dict(loaded)).messages)
    calls = [(call["id"], json.loads(call["function"]["arguments"])) for call in back[2]["tool_calls"]]
    assert calls == [("call_a", {"city": "Oslo"}), ("call_b", {"city": "Rome"})]
    assert [(message["tool_call_id"], message["content"]) for message in back[3:]] == [("call_a", "cold"), ("call_b", "warm")]
    assert back[1]["content"] == thread[1]["content"]
    assert back[0] == {"role": "developer", "content": "Be brief."}


def test_the_protocol_takes_a_trace() -> None:
    pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed: traces are not compared with the protocol")
    request = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2").ExportTraceServiceRequest()
    value, _ = write("otel", conversation(RICH, system_prompt="You are kind."))
    spans = value["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for span in spans:  # OTLP/JSON says ids in hex, where JSON of the protocol's messages would say base64
        span.update(
            {key: base64.b64encode(bytes.fromhex(span[key])).decode() for key in ("traceId", "spanId", "parentSpanId") if key in span}
        )
    import_module("google.protobuf.json_format").ParseDict(value, request)  # refuses unknown fields
    read = request.resource_spans[0].scope_spans[0].spans
    assert [len(span.trace_id) for span in read] == [16] * len(spans)
    assert [len(span.span_id) for span in read] == [8] * len(spans)
    assert read[0].start_time_unix_nano == 1_000_000_000


def _ui(value: Any) -> Any:
    folder = os.environ.get("TURNFOLD_AI_SDK_DIR")
    node = shutil.which("node")
    if not folder or node is None:
        pytest.skip("TURNFOLD_AI_SDK_DIR names no folder with the package ai: the genuine UI messages are not compared")
    script = Path(folder) / "ui_messages.mjs"
    shutil.copyfile(Path(__file__).with_name("ui_messages.mjs"), script)
    done = subprocess.run([node, str(script)], input=json.dumps(value), capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_ui_messages_read_as_the_sdk_converts_them() -> None:
    items = [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Weather?"}]}, UI_ANSWER]
    genuine = _ui(items)["messages"]
    read = read_items("vercel", items).messages
    assert [message["role"] for message in genuine] == [message.role for message in read]
    calls = [
        part["toolCallId"]
        for message in genuine
        for part in message["content"]
        if part["type"] == "tool-call" and not part.get("providerExecuted")
    ]
    assert calls == [call.id for message in read for call in message.tool_calls]
    answers = {part["toolCallId"]: part["output"]["value"] for part in genuine[2]["content"] if part["type"] == "tool-result"}
    assert answers == {part.id: part.response for part in read[2].tool_results}


def test_the_sdk_refuses_what_is_no_ui_message() -> None:
    """The comparison can fail."""
    assert "error" in _ui([{"id": "m1", "role": "user", "parts": [{"type": "text"}]}])
