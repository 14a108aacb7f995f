"""LangChain's messages (as their ``model_dump`` gives them) → messages. Nothing here knows checkpoints."""

from __future__ import annotations

import re
from typing import Any

from turnfold.formats.databases.genai import modality_of
from turnfold.formats.databases.rows import count_of, list_of, object_of, text_of, text_or_none
from turnfold.model.message import ROLES, Message
from turnfold.model.parts import BlobPart, FilePart, OpaquePart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart, UriPart
from turnfold.model.usage import NO_USAGE, Usage

_TYPES = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
    "chat": "user",
    "developer": "developer",
}
_FINISH = {
    "stop": "stop",
    "end_turn": "stop",
    "STOP": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
    "content_filter": "content_filter",
}
_data_url = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w=.+-]+)*);base64,", re.ASCII)


def role_of(fields: dict[str, Any]) -> str | None:
    """Return the role of a message's fields, or None where they are none of a message."""
    if "content" not in fields:
        return None
    kind = text_of(fields.get("type"))
    role = _TYPES.get(kind) or _TYPES.get(kind.removesuffix("MessageChunk").lower())
    said = fields.get("role") or object_of(fields.get("additional_kwargs")).get("__openai_role__")
    if isinstance(said, str) and said in ROLES and (role is None or kind in {"chat", "system"}):
        return said
    return role


def message_of(fields: dict[str, Any]) -> Message:
    """Return a message's fields as a message; those of an unknown type become one of the user."""
    role = role_of(fields) or "user"
    if role == "tool":
        return Message("tool", [_result(fields)], native_id=text_or_none(fields.get("id")))
    extra, answered = object_of(fields.get("additional_kwargs")), object_of(fields.get("response_metadata"))
    calls = [call for call in list_of(fields.get("tool_calls")) if isinstance(call, dict)]
    parts = content_parts(fields.get("content"), {text_of(call.get("id")) for call in calls})
    thought = text_or_none(extra.get("reasoning_content"))
    if thought is not None:
        parts.insert(0, ReasoningPart(thought))
    parts += [ToolCallPart(text_of(call.get("id")), text_of(call.get("name")), call.get("args")) for call in calls]
    parts += [_invalid(object_of(call)) for call in list_of(fields.get("invalid_tool_calls"))]
    native = text_or_none(answered.get("finish_reason")) or text_or_none(answered.get("stop_reason"))
    assistant = role == "assistant"
    return Message(
        role,
        parts,
        name=text_or_none(fields.get("name")),
        model=(text_or_none(answered.get("model_name")) or text_or_none(answered.get("model"))) if assistant else None,
        provider=text_or_none(answered.get("model_provider")) if assistant else None,
        finish_reason=_FINISH.get(native or ""),
        native_finish_reason=native,
        native_id=text_or_none(fields.get("id")),
    )


def content_parts(content: Any, called: set[str] | None = None) -> list[Part]:
    """Return a message's content; blocks that repeat a call of ``called`` are left out."""
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    parts: list[Part] = []
    for block in list_of(content):
        if isinstance(block, str):
            parts.append(TextPart(block))
        elif not (
            called and text_of(object_of(block).get("type")) in {"tool_use", "tool_call"} and text_of(object_of(block).get("id")) in called
        ):
            parts.append(_block(block))
    return parts


def usage_of(fields: dict[str, Any]) -> Usage:
    """Return ``usage_metadata``: cached tokens are in the input, reasoning is in the output."""
    native, answered = object_of(fields.get("usage_metadata")), object_of(fields.get("response_metadata"))
    read_in, out = count_of(native.get("input_tokens")), count_of(native.get("output_tokens"))
    if not read_in and not out:
        return NO_USAGE
    given, made = object_of(native.get("input_token_details")), object_of(native.get("output_token_details"))
    model = text_of(answered.get("model_name")) or text_of(answered.get("model"))
    cached, written = count_of(given.get("cache_read")), count_of(given.get("cache_creation"))
    return Usage(read_in, out, cached, written, count_of(made.get("reasoning")), model=model)


def _invalid(call: dict[str, Any]) -> Part:
    ext = {"error": call["error"]} if isinstance(call.get("error"), str) else {}
    raw = text_or_none(call.get("args"))
    return ToolCallPart(text_of(call.get("id")), text_of(call.get("name")), None, arguments_raw=raw, status="invalid", ext=ext)


def _result(fields: dict[str, Any]) -> ToolResultPart:
    name = text_or_none(fields.get("name"))
    return ToolResultPart(
        text_of(fields.get("tool_call_id")),
        fields.get("content"),
        True if fields.get("status") == "error" else None,
        detail=fields.get("artifact"),
        ext={"name": name} if name else {},
    )


def _block(block: Any) -> Part:
    fields = object_of(block)
    kind, text = text_of(fields.get("type")), fields.get("text")
    if kind == "text" and isinstance(text, str):
        return TextPart(text)
    if kind in {"thinking", "reasoning"}:
        content = text_of(fields.get("thinking")) or text_of(fields.get("reasoning"))
        return ReasoningPart(content, signature=text_or_none(fields.get("signature")), id=text_or_none(fields.get("id")))
    if kind == "image_url":
        url = fields.get("image_url")
        found = _media("image", text_of(url) or text_of(object_of(url).get("url")), None)
    else:
        found = _source(kind, fields)
    return OpaquePart(block) if found is None else found


def _source(kind: str, fields: dict[str, Any]) -> Part | None:
    """Media in the shapes of LangChain and of Anthropic."""
    if kind not in {"image", "audio", "video", "file", "document"}:
        return None
    source = object_of(fields.get("source")) or fields
    mime_type = text_or_none(source.get("mime_type")) or text_or_none(source.get("media_type"))
    modality = kind if kind in {"image", "audio", "video"} else modality_of(mime_type or "")
    content = text_of(source.get("base64")) or text_of(source.get("data"))
    if content:
        return BlobPart(modality, mime_type, content)
    file_id = text_of(source.get("file_id"))
    if file_id:
        return FilePart(modality, file_id, mime_type)
    return _media(modality, text_of(source.get("url")), mime_type)


def _media(modality: str, url: str, mime_type: str | None) -> Part | None:
    match = _data_url.match(url)
    if match is not None:
        return BlobPart(modality, match[1] or mime_type, url[match.end() :])
    return UriPart(modality, url, mime_type) if url else None
