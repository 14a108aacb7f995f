"""Parts of the Gemini API → ours; a message's content is text, a part, or a list of both."""

from __future__ import annotations

import re
from typing import Any

from turnfold.formats.fields import list_of, object_of, some, text_of, text_or_none
from turnfold.formats.media import Parts, modality_of, response_of
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

PROVIDER = "google"
_exit_code = re.compile(r"^Exit Code: (-?\d{1,10})$", re.MULTILINE)
_FAILED = frozenset({"error", "cancelled"})


def parts_of(content: Any, out: Parts) -> list[Part]:
    """Return the parts of a content; media inside answers that are too long are added to ``out``."""
    items = content if isinstance(content, list) else [content]
    return [part_of(item, out) for item in items if item not in (None, "")]


def part_of(item: Any, out: Parts) -> Part:
    """Return one part."""
    if isinstance(item, str):
        return TextPart(item)
    fields = object_of(item)
    signature = text_or_none(fields.get("thoughtSignature"))
    text = fields.get("text")
    if isinstance(text, str):
        if fields.get("thought") is True:
            return ReasoningPart(text, signature=signature, provider=PROVIDER)
        return TextPart(text, ext=some({"signature": signature}))
    if isinstance(fields.get("functionCall"), dict):
        return _call(fields["functionCall"], signature)
    if isinstance(fields.get("functionResponse"), dict):
        return answer([item], out)
    return _media(fields) or _code(fields) or OpaquePart(item)


def _call(fields: dict[str, Any], signature: str | None) -> Part:
    part = ToolCallPart(text_of(fields.get("id")), text_of(fields.get("name")), fields.get("args"))
    part.ext = some({"signature": signature})
    return part


def _media(fields: dict[str, Any]) -> Part | None:
    inline, file = object_of(fields.get("inlineData")), object_of(fields.get("fileData"))
    mime_type = text_or_none(inline.get("mimeType")) or text_or_none(file.get("mimeType"))
    name = text_or_none(inline.get("displayName")) or text_or_none(file.get("displayName"))
    if isinstance(inline.get("data"), str):
        return BlobPart(modality_of(mime_type), mime_type, inline["data"], filename=name)
    if isinstance(file.get("fileUri"), str):
        return UriPart(modality_of(mime_type), file["fileUri"], mime_type, ext=some({"name": name}))
    return None


def _code(fields: dict[str, Any]) -> Part | None:
    """Code that ran at the provider."""
    call, result = fields.get("executableCode"), fields.get("codeExecutionResult")
    if isinstance(call, dict):
        return ServerToolCallPart(text_of(call.get("id")), "code_execution", {"type": "code_execution", **call})
    if isinstance(result, dict):
        return ServerToolResultPart(text_of(result.get("id")), {"type": "code_execution", **result})
    return None


def call_of(record: dict[str, Any]) -> ToolCallPart:
    """Return the call of a tool call's record."""
    part = ToolCallPart(text_of(record.get("id")), text_of(record.get("name")), record.get("args"))
    part.status = text_or_none(record.get("status"))
    part.ext = some({"agent_id": text_or_none(record.get("agentId"))})
    return part


def result_of(record: dict[str, Any], out: Parts) -> ToolResultPart | None:
    """Return the answer in a tool call's record, or None where there is none yet."""
    result = record.get("result")
    if result is None:
        return None
    part = answer(result if isinstance(result, list) else [result], out)
    part.id = text_of(record.get("id"))
    if isinstance(part.response, str) and (found := _exit_code.search(part.response)) is not None:
        part.exit_code = int(found[1])
    if part.is_error is None and isinstance(record.get("status"), str):
        part.is_error = record["status"] in _FAILED
    return part


def answer(items: list[Any], out: Parts) -> ToolResultPart:
    """Return one answer: a function's response and the media that came with it."""
    native_id, parts, structured = "", [], []
    is_error: bool | None = None
    for item in items:
        response = object_of(object_of(item).get("functionResponse"))
        if not response:
            parts.append(part_of(item, out) if not isinstance(item, dict) or "functionResponse" not in item else OpaquePart(item))
            continue
        native_id = text_of(response.get("id")) or native_id
        value = response.get("response")
        text = _text_of(value)
        if text is None and value is not None:
            structured.append(value)
        elif text:
            parts.append(TextPart(text))
        if isinstance(object_of(value).get("error"), str):
            is_error = True
        parts += [part_of(inner, out) for inner in list_of(response.get("parts"))]
    if structured and not parts:
        return ToolResultPart(native_id, structured[0] if len(structured) == 1 else structured, is_error)
    parts += [OpaquePart(value) for value in structured]
    return ToolResultPart(native_id, response_of(parts, out), is_error)


def _text_of(response: Any) -> str | None:
    """The text of a response that is nothing but text."""
    if isinstance(response, str):
        return response
    if isinstance(response, dict) and len(response) == 1:
        for name in ("output", "error"):
            if isinstance(response.get(name), str):
                return str(response[name])
    return None
