"""Responses API items → messages. One item is one message; nothing here knows lines, files or time.

Source: ``response_item`` payloads as counted in real rollouts (transcripts specification §3.4) and the Responses API.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from turnfold.codec.parts import take_out
from turnfold.formats.fields import arguments_of, list_of, object_of, text_of, text_or_none
from turnfold.formats.media import Parts, data_url, media
from turnfold.model.message import ROLES, Message
from turnfold.model.parts import (
    BlobPart,
    CompactionPart,
    FilePart,
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

_RESPONSE_PARTS = frozenset({"input_text", "output_text", "text", "input_image", "input_audio", "input_file", "computer_screenshot"})


def message_of(item: dict[str, Any]) -> Message | None:
    """Return the message that a response item is, or None for a type without one (``ghost_snapshot``, or unknown)."""
    make = _MAKERS.get(text_of(item.get("type")))
    return None if make is None else make(item)


def content_part(block: Any) -> Part:
    """Return one block of a message's or output's content."""
    fields = object_of(block)
    kind = text_of(fields.get("type"))
    if kind in {"input_text", "output_text", "text", "summary_text", "reasoning_text"} and isinstance(fields.get("text"), str):
        return TextPart(fields["text"], list_of(fields.get("annotations")) or None)
    if kind in {"input_image", "computer_screenshot"} and isinstance(fields.get("image_url"), str):
        return media_of("image", fields["image_url"], fields.get("detail"))
    if kind in {"input_image", "computer_screenshot", "input_file"}:
        return _file("document" if kind == "input_file" else "image", fields)
    if kind == "input_audio" and isinstance(fields.get("audio_url"), str):
        return media_of("audio", fields["audio_url"])
    if kind == "refusal":
        return RefusalPart(text_of(fields.get("refusal")))
    return OpaquePart(block)


def _file(modality: str, block: dict[str, Any]) -> Part:
    """A file by its id, its address, or its content (a data URL, or plain base64)."""
    filename = text_or_none(block.get("filename"))
    detail = block.get("detail")
    ext = {"detail": detail} if isinstance(detail, str) and detail else {}
    if isinstance(block.get("file_id"), str):
        return FilePart(modality, block["file_id"], filename=filename, ext=ext)
    if isinstance(block.get("file_url"), str):
        return UriPart(modality, block["file_url"], ext=ext if filename is None else {**ext, "filename": filename})
    data = block.get("file_data")
    if not isinstance(data, str):
        return OpaquePart(block)
    match = data_url.match(data)
    return BlobPart(modality, match[1] if match else None, data[match.end() :] if match else data, filename=filename, ext=ext)


def media_of(modality: str, url: str, detail: Any = None) -> Part:
    """Return media at an address, or inside it where it is a data URL."""
    return media(modality, url, {"detail": detail} if isinstance(detail, str) and detail else None)


def output_of(value: Any, out: Parts) -> Any:
    """Return a tool's output as text, JSON, or a list of parts as JSON; over-long media are added to ``out``."""
    blocks = value if isinstance(value, list) else [value]
    if not blocks or not all(isinstance(block, dict) and text_of(block.get("type")) in _RESPONSE_PARTS for block in blocks):
        return value
    holder = Message("tool", [content_part(block) for block in blocks])
    out += take_out(holder)
    return msgspec.to_builtins(holder.parts)


def _message(item: dict[str, Any]) -> Message | None:
    role = text_of(item.get("role"))
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
    arguments, kept = arguments_of(raw)
    return _call(item, text_of(item.get("name")), arguments, kept)


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


def _own_tool(name: str, field: str) -> Callable[[dict[str, Any]], Message]:
    """A tool of the API's own that the caller runs: its arguments stand in a field of their own."""

    def make(item: dict[str, Any]) -> Message:
        return _call(item, name, item.get(field))

    return make


def _output(item: dict[str, Any]) -> Message:
    return _result(item, item.get("output"))


def _tool_search_output(item: dict[str, Any]) -> Message:
    return _result(item, item.get("tools"))


def _result(item: dict[str, Any], response: Any) -> Message:
    return Message("tool", [ToolResultPart(text_of(item.get("call_id")), response, item_id=text_or_none(item.get("id")))])


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
    "local_shell_call": _own_tool("local_shell", "action"),
    "shell_call": _own_tool("shell", "action"),
    "shell_call_output": _output,
    "apply_patch_call": _own_tool("apply_patch", "operation"),
    "apply_patch_call_output": _output,
    "computer_call": _own_tool("computer", "action"),
    "computer_call_output": _output,
    "local_shell_call_output": _output,
    "tool_search_call": _own_tool("tool_search", "arguments"),
    "tool_search_output": _tool_search_output,
    "web_search_call": _server_call("web_search", ("status", "action")),
    "image_generation_call": _server_call("image_generation", ("status", "revised_prompt")),
    "file_search_call": _server_call("file_search", ("status", "queries", "results")),
    "code_interpreter_call": _server_call("code_interpreter", ("status", "code", "container_id", "outputs")),
    "mcp_call": _server_call("mcp", ("status", "server_label", "name", "arguments", "output", "error", "approval_request_id")),
    "agent_message": _agent_message,
    "compaction": _compaction,
    "compaction_summary": _compaction,
    "context_compaction": _compaction,
}
ITEM_TYPES = frozenset(_MAKERS)
"""Types of items that are messages or parts of one."""
