"""Messages of the Bedrock Converse API, as Strands stores them, → messages. Nothing here knows files or time.

Bytes are stored as ``{"__bytes_encoded__": true, "data": <base64>}``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from turnfold.formats.fields import count_of, list_of, object_of, text_of, text_or_none
from turnfold.model.message import Message
from turnfold.model.parts import BlobPart, OpaquePart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart, UriPart
from turnfold.model.usage import Usage

_MIME_TYPES = {
    "image": {"jpg": "image/jpeg", "svg": "image/svg+xml"},
    "document": {
        "pdf": "application/pdf",
        "csv": "text/csv",
        "doc": "application/msword",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls": "application/vnd.ms-excel",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "html": "text/html",
        "txt": "text/plain",
        "md": "text/markdown",
    },
    "video": {"mov": "video/quicktime", "mkv": "video/x-matroska", "three_gp": "video/3gpp"},
}


def message_of(native: Any) -> tuple[Message, Usage] | None:
    """Return a native message and what it used, or None where it is none."""
    if not isinstance(native, dict) or native.get("role") not in {"user", "assistant", "system"}:
        return None
    content = native.get("content")
    parts: list[Part] = [TextPart(content)] if isinstance(content, str) else [part_of(block) for block in list_of(content)]
    role = native["role"]
    if role == "user" and any(isinstance(part, ToolResultPart) for part in parts):
        role = "tool"
    facts = object_of(native.get("metadata"))
    ext = {key: value for key, value in native.items() if key not in {"role", "content", "tracking_id"}}
    message = Message(role, parts, native_id=text_or_none(native.get("tracking_id")), ext=ext)
    return message, usage_of(facts.get("usage"))


def is_turn(message: Message) -> bool:
    """Whether a person asked this: a user message that is not a tool's answer."""
    return message.role == "user"


def part_of(block: Any) -> Part:
    """Return a content block as a part; one that does not fit its name stays as it is."""
    fields = object_of(block)
    for name, make in _MAKERS.items():
        if name in fields:
            made = make(fields[name])
            if made is not None:
                made.ext = {key: value for key, value in fields.items() if key != name}
                return made
    return OpaquePart(block)


def bytes_of(value: Any) -> str | None:
    """Return stored bytes as base64 text, or None where it is something else."""
    fields = object_of(value)
    return text_of(fields.get("data")) if fields.get("__bytes_encoded__") is True else None


def usage_of(value: Any) -> Usage:
    """Return native usage with cached tokens counted as input, which the API leaves out of ``inputTokens`` and providers behind it do not."""
    fields = object_of(value)
    read_in, out = count_of(fields.get("inputTokens")), count_of(fields.get("outputTokens"))
    cached, written = count_of(fields.get("cacheReadInputTokens")), count_of(fields.get("cacheWriteInputTokens"))
    if count_of(fields.get("totalTokens")) >= read_in + out + cached + written:
        read_in += cached + written
    return Usage(read_in, out, cached, written)


def _text(value: Any) -> Part | None:
    return TextPart(value) if isinstance(value, str) else None


def _tool_use(value: Any) -> Part | None:
    fields = object_of(value)
    if not isinstance(fields.get("name"), str):
        return None
    part = ToolCallPart(text_of(fields.get("toolUseId")), fields["name"], fields.get("input"))
    if isinstance(fields.get("reasoningSignature"), str):
        part.caller = {"reasoningSignature": fields["reasoningSignature"]}
    return part


def _tool_result(value: Any) -> Part | None:
    fields = object_of(value)
    if not isinstance(value, dict):
        return None
    is_error = {"error": True, "success": False}.get(text_of(fields.get("status")))
    return ToolResultPart(text_of(fields.get("toolUseId")), _response(fields.get("content")), is_error)


def _response(content: Any) -> Any:
    """A tool's answer: its text or JSON where it is only that, else its parts as JSON."""
    blocks = list_of(content)
    if len(blocks) == 1 and isinstance(blocks[0], dict) and len(blocks[0]) == 1:
        only = blocks[0]
        if isinstance(only.get("text"), str) or "json" in only:
            return only.get("text", only.get("json"))
    return msgspec.to_builtins([part_of(block) for block in blocks])


def _reasoning(value: Any) -> Part | None:
    fields = object_of(value)
    text = object_of(fields.get("reasoningText"))
    if isinstance(text.get("text"), str):
        return ReasoningPart(text["text"], signature=text_or_none(text.get("signature")))
    redacted = bytes_of(fields.get("redactedContent")) or text_or_none(fields.get("redactedContent"))
    return ReasoningPart(encrypted=redacted, redacted=True) if redacted else None


def _citations(value: Any) -> Part | None:
    fields = object_of(value)
    texts = [object_of(block).get("text") for block in list_of(fields.get("content"))]
    if not texts or not all(isinstance(text, str) for text in texts):
        return None
    return TextPart("".join(map(str, texts)), list_of(fields.get("citations")) or None)


def _media(modality: str, value: Any) -> Part | None:
    fields = object_of(value)
    kind = text_of(fields.get("format"))
    mime_type = _MIME_TYPES[modality].get(kind, f"{modality}/{kind}" if kind and modality != "document" else None)
    source = object_of(fields.get("source"))
    content = bytes_of(source.get("bytes"))
    if content is not None:
        return BlobPart(modality, mime_type, content, filename=text_or_none(fields.get("name")))
    location = object_of(source.get("location"))
    uri = text_or_none(location.get("uri")) or text_or_none(object_of(source.get("s3Location")).get("uri"))
    return UriPart(modality, uri, mime_type) if uri else None


_MAKERS: dict[str, Callable[[Any], Part | None]] = {
    "text": _text,
    "toolUse": _tool_use,
    "toolResult": _tool_result,
    "reasoningContent": _reasoning,
    "citationsContent": _citations,
    "image": lambda value: _media("image", value),
    "document": lambda value: _media("document", value),
    "video": lambda value: _media("video", value),
}
