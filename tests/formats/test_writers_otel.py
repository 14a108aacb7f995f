"""Sessions as OpenTelemetry traces."""

from __future__ import annotations

import json
from typing import Any

from tests.formats.written import conversation, write
from turnfold.core.conversation import ConversationEntry
from turnfold.formats import loss
from turnfold.model.message import Message, assistant, system, tool_call, tool_result, user
from turnfold.model.parts import BlobPart, ReasoningPart, TextPart, ToolCallPart
from turnfold.model.usage import Usage


def _spans(value: Any) -> list[dict[str, Any]]:
    (resource,) = value["resourceSpans"]
    (scope,) = resource["scopeSpans"]
    assert scope["scope"] == {"name": "turnfold"}
    return [{**span, "attributes": {item["key"]: _plain(item["value"]) for item in span["attributes"]}} for span in scope["spans"]]


def _plain(value: dict[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    if kind == "arrayValue":
        return [_plain(item) for item in inner["values"]]
    return int(inner) if kind == "intValue" else inner


def _entry(seq: int, message: Message | None, **fields: Any) -> ConversationEntry:
    return ConversationEntry(**{"seq": seq, "last_seq": seq, "at_us": seq * 1_000_000, "type": "message", "message": message, **fields})


def test_a_session_is_a_trace_with_a_span_per_answer() -> None:
    call = Message(
        "assistant", [ReasoningPart("hm", signature="sig"), ToolCallPart("a", "f", {"n": 1})], model="claude-x", provider="anthropic"
    )
    entries = [
        _entry(1, system("rules")),
        _entry(2, user("hi")),
        _entry(3, call, usage=Usage(10, 2, 4)),
        _entry(4, tool_result("a", "r", is_error=True, detail={"x": 1})),
        _entry(5, assistant([TextPart("done"), BlobPart("image", "image/png", "aGk=")]), usage=Usage(20, 3)),
    ]
    value, losses = write("otel", conversation([], entries=entries, system_prompt="You are kind.", native=None))
    root, first, second = _spans(value)
    assert root["name"] == "invoke_agent tester"
    assert root["attributes"]["gen_ai.conversation.id"] == "s1"
    assert json.loads(root["attributes"]["gen_ai.system_instructions"]) == [{"type": "text", "content": "You are kind."}]
    assert (root["startTimeUnixNano"], root["endTimeUnixNano"]) == ("1000000000", "5000000000")
    assert {span["traceId"] for span in (root, first, second)} == {root["traceId"]}
    assert len(root["traceId"]) == 32
    assert {first["parentSpanId"], second["parentSpanId"]} == {root["spanId"]}
    assert len({root["spanId"], first["spanId"], second["spanId"]}) == 3

    said = first["attributes"]
    assert first["name"] == "chat claude-x"
    assert (said["gen_ai.provider.name"], said["gen_ai.response.finish_reasons"]) == ("anthropic", ["tool_call"])
    assert json.loads(said["gen_ai.system_instructions"]) == [{"type": "text", "content": "rules"}]
    assert json.loads(said["gen_ai.input.messages"]) == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    assert json.loads(said["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "hm"}, {"type": "tool_call", "id": "a", "name": "f", "arguments": {"n": 1}}],
            "finish_reason": "tool_call",
        },
    ]
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.cache_read.input_tokens"]) == (10, 4)
    assert json.loads(second["attributes"]["gen_ai.input.messages"]) == [
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "a", "response": "r", "is_error": True}]},
    ]
    assert "sig" not in json.dumps(value)
    assert losses.counts == {loss.SIGNATURES: 1, loss.DETAILS: 1}


def test_an_answer_in_several_messages_is_one_output() -> None:
    said = [user("hi"), assistant("one"), tool_call("a", "f", {}), tool_call("b", "g", {}), tool_result("a", 1), tool_result("b", 2)]
    spans = _spans(write("otel", conversation(said))[0])
    (message,) = json.loads(spans[1]["attributes"]["gen_ai.output.messages"])
    assert [part["type"] for part in message["parts"]] == ["text", "tool_call", "tool_call"]
    assert message["finish_reason"] == "tool_call"
    assert len(json.loads(spans[2]["attributes"]["gen_ai.input.messages"])) == 2


def test_a_record_holds_what_came_before_a_compaction_too() -> None:
    entries = [
        _entry(1, user("old")),
        _entry(2, assistant("answer")),
        _entry(3, user("the summary"), type="compaction", data={"summary": "the summary", "first_seq": 1, "last_seq": 2}),
        _entry(4, user("new")),
        _entry(5, user("for people"), visibility="ui"),
    ]
    value, losses = write("otel", conversation([], entries=entries))
    _, first, second = _spans(value)
    assert "old" in first["attributes"]["gen_ai.input.messages"]
    assert json.loads(second["attributes"]["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "compaction", "content": "the summary"}]},
        {"role": "user", "parts": [{"type": "text", "content": "new"}]},
    ]
    assert losses.counts == {loss.ONLY_FOR_PEOPLE: 1}


def test_an_empty_session_and_a_repeat_are_the_same_trace() -> None:
    (root,) = _spans(write("otel", conversation([]))[0])
    assert root["spanId"]
    said = conversation([user("hi"), tool_call("a", "f", {})])
    assert write("otel", said)[0] == write("otel", said)[0]
