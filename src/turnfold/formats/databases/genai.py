"""Google's ``Content`` (Gemini API, google-genai) → messages. Nothing here knows rows or files."""

from __future__ import annotations

from typing import Any

from turnfold.formats.fields import count_of, list_of, object_of, text_of, text_or_none
from turnfold.formats.media import modality_of
from turnfold.model.message import Message
from turnfold.model.parts import (
    BlobPart,
    OpaquePart,
    Part,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UriPart,
)
from turnfold.model.usage import NO_USAGE, Usage

PROVIDER = "google"
_standard = str.maketrans("-_", "+/")
_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "RECITATION": "content_filter"}


def message_of(event: dict[str, Any]) -> Message | None:
    """Return the message of an event ``{author, content, model_version, finish_reason …}``, or None where it says nothing."""
    content = object_of(event.get("content"))
    blocks = list_of(content.get("parts"))
    if not blocks:
        return None
    parts = [part_of(block) for block in blocks]
    author = text_of(event.get("author"))
    if any(type(part) is ToolResultPart for part in parts):
        role = "tool"
    else:
        role = "user" if author == "user" or (not author and content.get("role") == "user") else "assistant"
    native = text_or_none(event.get("finish_reason"))
    model = text_or_none(event.get("model_version")) if role == "assistant" else None
    return Message(
        role,
        parts,
        name=None if author in {"", "user", "model"} else author,
        model=model,
        provider=PROVIDER if model else None,
        finish_reason=_FINISH.get(native or ""),
        native_finish_reason=native,
    )


def part_of(block: Any) -> Part:
    """Return one part."""
    fields = object_of(block)
    signature = text_or_none(fields.get("thought_signature"))
    ext = {"thought_signature": signature} if signature else {}
    text = fields.get("text")
    if isinstance(text, str):
        if fields.get("thought") is True:
            return ReasoningPart(text, signature=signature, provider=PROVIDER)
        return TextPart(text, ext=ext)
    for name, make in _MAKERS.items():
        value = fields.get(name)
        if isinstance(value, dict):
            part = make(value)
            part.ext = part.ext | ext
            return part
    return OpaquePart(block)


def usage_of(native: Any, model: Any) -> Usage:
    """Return ``usage_metadata`` as usage: prompt tokens hold the cached ones, thoughts come beside the candidates."""
    fields = object_of(native)
    thoughts = count_of(fields.get("thoughts_token_count"))
    read_in = count_of(fields.get("prompt_token_count")) + count_of(fields.get("tool_use_prompt_token_count"))
    out = count_of(fields.get("candidates_token_count")) + thoughts
    if not read_in and not out:
        return NO_USAGE
    return Usage(read_in, out, count_of(fields.get("cached_content_token_count")), 0, thoughts, model=text_of(model))


def _call(value: dict[str, Any]) -> Part:
    return ToolCallPart(text_of(value.get("id")), text_of(value.get("name")), value.get("args"))


def _response(value: dict[str, Any]) -> Part:
    response = value.get("response")
    failed = True if isinstance(response, dict) and "error" in response and "result" not in response else None
    return ToolResultPart(text_of(value.get("id")), response, failed, ext={"name": value["name"]} if text_of(value.get("name")) else {})


def _blob(value: dict[str, Any]) -> Part:
    mime_type = text_of(value.get("mime_type"))
    content = text_of(value.get("data")).translate(_standard)
    return BlobPart(modality_of(mime_type), mime_type or None, content, filename=text_or_none(value.get("display_name")))


def _uri(value: dict[str, Any]) -> Part:
    mime_type = text_of(value.get("mime_type"))
    return UriPart(modality_of(mime_type), text_of(value.get("file_uri")), mime_type or None)


def _code(value: dict[str, Any]) -> Part:
    return ServerToolCallPart(text_of(value.get("id")), "code_execution", value)


def _code_result(value: dict[str, Any]) -> Part:
    return ServerToolResultPart(text_of(value.get("id")), value)


_MAKERS = {
    "function_call": _call,
    "function_response": _response,
    "inline_data": _blob,
    "file_data": _uri,
    "executable_code": _code,
    "code_execution_result": _code_result,
}
