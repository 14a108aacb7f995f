"""Writes a session as OpenTelemetry traces in OTLP/JSON, with the GenAI conventions: what a collector takes at ``/v1/traces``.

A session is one trace. Its root span is the agent's work (``invoke_agent``); each answer of the model is a span below it (``chat``), with what
came in since the answer before as ``gen_ai.input.messages`` and the answer as ``gen_ai.output.messages``, both JSON text in the conventions'
message schema. The whole input of each call would repeat the history in every span; put together in order, the spans are the conversation.
It is a record and no prompt, so everything that was said is in it, before compactions too. Signatures and encrypted reasoning are left out.
Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/ (message schemas), OTLP/JSON encoding of ``ExportTraceServiceRequest``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from turnfold.core.conversation import COMPACTION, CONTEXT, Conversation, ConversationEntry
from turnfold.formats import loss
from turnfold.formats.loss import LossReport
from turnfold.formats.writers.turns import ORIGINS, count_extra, messages_in
from turnfold.model.message import Message
from turnfold.model.parts import AnyPart, CompactionPart, ReasoningPart, ToolResultPart
from turnfold.model.usage import NO_USAGE

_KIND_INTERNAL, _KIND_CLIENT = 1, 3
_INSTRUCTIONS = frozenset({"system", "developer"})
_FINISH = {"refusal": "content_filter", "tool_calls": "tool_call"}
_encode = msgspec.json.Encoder().encode


class OtelWriter:
    """See ``formats.base.Writer``."""

    name = "otel"
    suffix = ".otlp.json"

    def write(self, conversation: Conversation, losses: LossReport) -> Iterator[bytes]:
        """Yield the trace, one span per line."""
        writing = _Writing(conversation, losses)
        resource = {"attributes": _attributes({"service.name": conversation.info.agent or "agent"})}
        yield b'{"resourceSpans":[{"resource":' + _encode(resource) + b',"scopeSpans":[{"scope":{"name":"turnfold"},"spans":[\n'
        lead = b""
        for span in writing.spans():
            yield lead + _encode(span)
            lead = b",\n"
        yield b"\n]}]}]}\n"


class _Call(msgspec.Struct):
    """One answer of the model and what came in before it."""

    asked: list[tuple[ConversationEntry, Message]] = []
    answered: list[tuple[ConversationEntry, Message]] = []


class _Writing:
    def __init__(self, conversation: Conversation, losses: LossReport) -> None:
        self._conversation = conversation
        self._losses = losses
        self._trace_id = _id(conversation.info.tenant, conversation.info.id, byte_count=16)

    def spans(self) -> Iterator[dict[str, Any]]:
        info = self._conversation.info
        entries = [entry for entry in self._conversation.entries if self._is_said(entry)]
        if self._conversation.children:
            self._losses.add(loss.SUBAGENTS, count=len(self._conversation.children))
        root = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.conversation.id": info.id,
            "gen_ai.agent.name": info.agent,
            "gen_ai.provider.name": ORIGINS.get(str((info.native or {}).get("format"))),
        }
        if self._conversation.system_prompt:
            root["gen_ai.system_instructions"] = _text([{"type": "text", "content": self._conversation.system_prompt}])
        times = [entry.at_us for entry in entries] or [info.created_at_us]
        yield self._span(f"invoke_agent {info.agent}".strip(), "session", (min(times), max(times)), root, parent=None)
        for call in self._calls(entries):
            yield self._chat(call)

    def _is_said(self, entry: ConversationEntry) -> bool:
        if entry.type == CONTEXT or (entry.type != COMPACTION and not entry.for_model):
            self._losses.add(loss.NOTES if entry.type == CONTEXT else loss.ONLY_FOR_PEOPLE, entry.seq)
            return False
        return True

    def _calls(self, entries: Iterable[ConversationEntry]) -> Iterator[_Call]:
        call = _Call()
        for entry in entries:
            for message in self._messages(entry):
                count_extra(message, self._losses, entry.seq)
                if message.role == "assistant":
                    call.answered.append((entry, message))
                    continue
                if call.answered:
                    yield call
                    call = _Call()
                call.asked.append((entry, message))
        if call.asked or call.answered:
            yield call

    def _messages(self, entry: ConversationEntry) -> list[Message]:
        """A compaction is what comes in next: its summary, or only the mark that there was one."""
        if entry.type != COMPACTION:
            return messages_in(entry, self._losses)
        summary = (entry.data or {}).get("summary")
        return [Message("user", [CompactionPart(summary if isinstance(summary, str) else None)])]

    def _chat(self, call: _Call) -> dict[str, Any]:
        said = [*call.asked, *call.answered]
        first = call.answered[0][1] if call.answered else None
        model = next((message.model for _, message in call.answered if message.model), None)
        native = ORIGINS.get(str((self._conversation.info.native or {}).get("format")))
        instructions = [part for _, message in call.asked if message.role in _INSTRUCTIONS for part in self._parts(message, said[0][0])]
        asked = [self._message(message, entry) for entry, message in call.asked if message.role not in _INSTRUCTIONS]
        answered = [self._output(call.answered)] if call.answered else []
        reasons = [message["finish_reason"] for message in answered]
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.conversation.id": self._conversation.info.id,
            "gen_ai.provider.name": (first.provider if first else None) or native,
            "gen_ai.request.model": model,
            "gen_ai.response.model": model,
            "gen_ai.response.id": first.response_id if first else None,
            "gen_ai.response.finish_reasons": reasons[-1:],
            "gen_ai.system_instructions": _text(instructions) if instructions else None,
            "gen_ai.input.messages": _text(asked) if asked else None,
            "gen_ai.output.messages": _text(answered) if answered else None,
            **_usage([entry for entry, _ in call.answered]),
        }
        times = (said[0][0].at_us, said[-1][0].at_us)
        return self._span(
            f"chat {model or ''}".strip(), str(said[0][0].seq), times, attributes, parent=_id(self._trace_id, "session", byte_count=8)
        )

    def _span(self, name: str, key: str, times: tuple[int, int], attributes: dict[str, Any], *, parent: str | None) -> dict[str, Any]:
        begin_us, end_us = times
        span = {
            "traceId": self._trace_id,
            "spanId": _id(self._trace_id, key, byte_count=8),
            "name": name,
            "kind": _KIND_INTERNAL if parent is None else _KIND_CLIENT,
            "startTimeUnixNano": str(begin_us * 1_000),
            "endTimeUnixNano": str(max(begin_us, end_us) * 1_000),
            "attributes": _attributes(attributes),
            "status": {},
        }
        return span if parent is None else {**span, "parentSpanId": parent}

    def _message(self, message: Message, entry: ConversationEntry) -> dict[str, Any]:
        out: dict[str, Any] = {"role": message.role, "parts": self._parts(message, entry)}
        return {**out, "name": message.name} if message.name else out

    def _output(self, answered: list[tuple[ConversationEntry, Message]]) -> dict[str, Any]:
        """One message for the whole answer: the conventions let no answer be split, as sources do."""
        parts = [part for entry, message in answered for part in self._parts(message, entry)]
        said = next((message.finish_reason for _, message in reversed(answered) if message.finish_reason), None)
        reason = said or ("tool_call" if any(part["type"] == "tool_call" for part in parts) else "stop")
        name = answered[0][1].name
        return {"role": "assistant", "parts": parts, **({"name": name} if name else {}), "finish_reason": _FINISH.get(reason, reason)}

    def _parts(self, message: Message, entry: ConversationEntry) -> list[dict[str, Any]]:
        return [self._part(part, entry.seq) for part in message.parts]

    def _part(self, part: AnyPart, seq: int) -> dict[str, Any]:
        plain: dict[str, Any] = dict(part) if isinstance(part, dict) else msgspec.to_builtins(part)
        if isinstance(part, ReasoningPart):
            if part.signature or part.encrypted:
                self._losses.add(loss.SIGNATURES, seq)
            return {"type": "reasoning", "content": part.content or "\n\n".join(part.summary or ())}
        if isinstance(part, ToolResultPart) and part.detail is not None:
            self._losses.add(loss.DETAILS, seq)
        for name in ("detail", "item_id", "arguments_raw", "encrypted", "ext"):
            value = plain.pop(name, None)
            if name == "arguments_raw" and value is not None and "arguments" not in plain:
                plain["arguments"] = value
        return {**_REQUIRED.get(part.type, {}), **plain}


_REQUIRED: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "content": ""},
    "tool_call": {"type": "tool_call", "id": None, "name": ""},
    "tool_call_response": {"type": "tool_call_response", "id": None, "response": None},
    "blob": {"type": "blob", "modality": "", "content": ""},
    "uri": {"type": "uri", "modality": "", "uri": ""},
    "file": {"type": "file", "modality": "", "file_id": ""},
    "server_tool_call": {"type": "server_tool_call", "name": "", "server_tool_call": {}},
    "server_tool_call_response": {"type": "server_tool_call_response", "server_tool_call_response": {}},
}
"""What the conventions require of a part, though it has its default."""


def _usage(entries: Sequence[ConversationEntry]) -> dict[str, Any]:
    total, seen = NO_USAGE, set[int]()
    for entry in entries:
        if entry.seq not in seen:
            total = total + entry.usage
            seen.add(entry.seq)
    if not total:
        return {}
    return {
        "gen_ai.usage.input_tokens": total.input_tokens,
        "gen_ai.usage.output_tokens": total.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": total.cache_read_input_tokens,
        "gen_ai.usage.cache_creation.input_tokens": total.cache_creation_input_tokens,
        "gen_ai.usage.reasoning.output_tokens": total.reasoning_output_tokens,
    }


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The attributes that have a value, as OTLP says them."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value not in (None, "", [])]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def _text(value: Any) -> str:
    return _encode(value).decode()


def _id(*names: str, byte_count: int) -> str:
    """An id that is the same whenever the session is written, so that a collector sees a repeat as one."""
    return hashlib.sha256("\x00".join(names).encode()).hexdigest()[: 2 * byte_count]
