"""Responses API items → messages. One item is one message; nothing here knows lines, files or time.

Source: ``response_item`` payloads as counted in real rollouts (transcripts specification §3.4) and the Responses API.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from turnfold.codec.parts import take_out
from turnfold.formats.codex.fields import exit_code_of, list_of, object_of, text_of, text_or_none
from turnfold.model.message import ROLES, Message
from turnfold.model.parts import (
    BlobPart,
    CompactionPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UriPart,
)

Parts = list[tuple[str, bytes]]
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_data_url = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w=.+-]+)*);base64,", re.ASCII)
_injected = re.compile(r"\s*(?:<(?!image[\s>])[a-zA-Z_][\w-]*[\s>]|# AGENTS\.md instructions)")
_RESPONSE_PARTS = frozenset({"input_text", "output_text", "text", "input_image", "input_audio"})


def message_of(item: dict[str, Any]) -> Message | None:
    """Return the message that a response item is, or None for a type without one (``ghost_snapshot``, or unknown)."""
    make = _MAKERS.get(text_of(item.get("type")))
    return None if make is None else make(item)


def is_typed(item: dict[str, Any], message: Message) -> bool:
    """Whether a user message was typed by a person, and not injected by the tool.

    Codex marks typed input by a twin event, which comes later in the file. Newer versions name the kinds of the contents; older ones
    inject only tagged blocks, the AGENTS.md text, and images without text (checked against all twins of the corpus).
    """
    kinds = object_of(item.get("internal_chat_message_metadata_passthrough")).get("content_item_kinds")
    if isinstance(kinds, list) and kinds and all(isinstance(kind, str) for kind in kinds):
        named = [kind for kind in kinds if kind != "unknown"]
        if named:
            return any(kind.startswith("user.") for kind in named)
    text = message.text
    return bool(text.strip()) and _injected.match(text) is None


def content_part(block: Any) -> Part:
    """Return one block of a message's or output's content."""
    fields = object_of(block)
    kind = fields.get("type")
    if kind in {"input_text", "output_text", "text", "summary_text", "reasoning_text"} and isinstance(fields.get("text"), str):
        return TextPart(fields["text"])
    if kind == "input_image" and isinstance(fields.get("image_url"), str):
        return _media("image", fields["image_url"], fields.get("detail"))
    if kind == "input_audio" and isinstance(fields.get("audio_url"), str):
        return _media("audio", fields["audio_url"], None)
    if kind == "refusal":
        return RefusalPart(text_of(fields.get("refusal")))
    return OpaquePart(block)


def _media(modality: str, url: str, detail: Any) -> Part:
    ext = {"detail": detail} if isinstance(detail, str) and detail else {}
    match = _data_url.match(url)
    if match is None:
        return UriPart(modality, url, ext=ext)
    return BlobPart(modality, match[1], url[match.end() :], ext=ext)


def output_of(value: Any, out: Parts) -> Any:
    """Return a tool's output as text, JSON, or a list of parts as JSON; over-long media are added to ``out``."""
    blocks = value if isinstance(value, list) else [value]
    if not blocks or not all(isinstance(block, dict) and block.get("type") in _RESPONSE_PARTS for block in blocks):
        return value
    holder = Message("tool", [content_part(block) for block in blocks])
    out += take_out(holder)
    return msgspec.to_builtins(holder.parts)


def slim(value: Any, out: Parts) -> Any:
    """Return a native payload with its over-long data URLs out of line: ``{"type": "blob", …}`` in their place."""
    if isinstance(value, str):
        if value.startswith("data:") and _data_url.match(value):
            holder = Message("tool", [_media("image", value, None)])
            moved = take_out(holder)
            if moved:
                out += moved
                return msgspec.to_builtins(holder.parts[0])
        return value
    if isinstance(value, list):
        return [slim(item, out) for item in value]
    if isinstance(value, dict):
        return {key: slim(item, out) for key, item in value.items()}
    return value


def _message(item: dict[str, Any]) -> Message | None:
    role = item.get("role")
    if role not in ROLES:
        return None
    content = item.get("content")
    parts: list[Part] = [TextPart(content)] if isinstance(content, str) else [content_part(block) for block in list_of(content)]
    return Message(role, parts, phase=text_or_none(item.get("phase")), native_id=text_or_none(item.get("id")))


def _reasoning(item: dict[str, Any]) -> Message:
    summary = [text_of(object_of(block).get("text")) for block in list_of(item.get("summary"))]
    content = "".join(text_of(object_of(block).get("text")) for block in list_of(item.get("content")))
    encrypted = text_or_none(item.get("encrypted_content"))
    part = ReasoningPart(content, summary or None, encrypted=encrypted, provider="openai", id=text_or_none(item.get("id")))
    return Message("assistant", [part])


def _function_call(item: dict[str, Any]) -> Message:
    raw = item.get("arguments")
    arguments, kept = (_arguments(raw)) if isinstance(raw, str) else (raw, None)
    return _call(item, text_of(item.get("name")), arguments, kept)


def _arguments(raw: str) -> tuple[Any, str | None]:
    """Parse a call's arguments; the source's string is kept where writing them again would not give it back."""
    try:
        value = _decode(raw)
        return value, None if _encode(value).decode() == raw else raw
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None, raw


def _call(item: dict[str, Any], name: str, arguments: Any, raw: str | None = None, kind: str = "json") -> Message:
    part = ToolCallPart(
        text_of(item.get("call_id")) or text_of(item.get("id")),
        name,
        arguments,
        text_or_none(item.get("namespace")),
        raw,
        kind,
        text_or_none(item.get("id")),
        text_or_none(item.get("status")),
    )
    return Message("assistant", [part])


def _custom_tool_call(item: dict[str, Any]) -> Message:
    return _call(item, text_of(item.get("name")), item.get("input"), None, "text")


def _local_shell_call(item: dict[str, Any]) -> Message:
    return _call(item, "local_shell", item.get("action"))


def _tool_search_call(item: dict[str, Any]) -> Message:
    return _call(item, "tool_search", item.get("arguments"))


def _output(item: dict[str, Any]) -> Message:
    output = item.get("output")
    if "call_id" not in item and isinstance(item.get("name"), str):
        return _told(item, output)
    return _result(item, output, exit_code_of(output))


def _told(item: dict[str, Any], output: Any) -> Message:
    """What Codex tells its model in the form of an output that nobody called for (0.169: a goal's objective): an instruction by that name."""
    parts: list[Part] = [TextPart(output)] if isinstance(output, str) else [content_part(block) for block in list_of(output)]
    name = ".".join(word for word in (text_of(item.get("namespace")), text_of(item.get("name"))) if word)
    return Message("developer", parts, name or None, native_id=text_or_none(item.get("id")))


def _tool_search_output(item: dict[str, Any]) -> Message:
    return _result(item, item.get("tools"), None)


def _result(item: dict[str, Any], response: Any, exit_code: int | None) -> Message:
    part = ToolResultPart(text_of(item.get("call_id")), response, exit_code=exit_code, item_id=text_or_none(item.get("id")))
    return Message("tool", [part])


def _server_call(name: str, fields: tuple[str, ...]) -> Callable[[dict[str, Any]], Message]:
    def make(item: dict[str, Any]) -> Message:
        call = {"type": name, **{field: item[field] for field in fields if field in item}}
        parts: list[Part] = [ServerToolCallPart(text_of(item.get("id")), name, call)]
        result = item.get("result")
        if name == "image_generation" and isinstance(result, str) and result:
            parts.append(BlobPart("image", "image/png", result))
        return Message("assistant", parts)

    return make


def _agent_message(item: dict[str, Any]) -> Message:
    """What another agent said to this one: input for the model, so a user message with that agent's name."""
    recipient = item.get("recipient")
    ext = {"recipient": recipient} if isinstance(recipient, str) else {}
    parts = [content_part(block) for block in list_of(item.get("content"))]
    return Message("user", parts, text_or_none(item.get("author")), native_id=text_or_none(item.get("id")), ext=ext)


def _compaction(item: dict[str, Any]) -> Message:
    """The provider's own compaction: an item that stands for what came before and only the provider can read."""
    part = CompactionPart(encrypted=text_or_none(item.get("encrypted_content")), id=text_or_none(item.get("id")))
    return Message("assistant", [part])


_MAKERS: dict[str, Callable[[dict[str, Any]], Message | None]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "function_call_output": _output,
    "custom_tool_call": _custom_tool_call,
    "custom_tool_call_output": _output,
    "local_shell_call": _local_shell_call,
    "local_shell_call_output": _output,
    "tool_search_call": _tool_search_call,
    "tool_search_output": _tool_search_output,
    "web_search_call": _server_call("web_search", ("status", "action")),
    "image_generation_call": _server_call("image_generation", ("status", "revised_prompt")),
    "agent_message": _agent_message,
    "compaction": _compaction,
    "compaction_summary": _compaction,
    "context_compaction": _compaction,
}
