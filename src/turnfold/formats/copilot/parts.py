"""Calls, attachments and media in Copilot's events → parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from turnfold.formats.fields import arguments_of, exit_code_of, list_of, object_of, some, text_or_none
from turnfold.formats.media import modality_of
from turnfold.model.parts import BlobPart, OpaquePart, Part, TextPart, ToolCallPart, UriPart

_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp"})


def texts(content: Any) -> list[Part]:
    """Return a content as a list of at most one text."""
    return [TextPart(content)] if isinstance(content, str) and content else []


def provider_of(model: str | None) -> str | None:
    """Who may read a model's sealed reasoning; Copilot does not say it itself."""
    return next((provider for begin, provider in _PROVIDERS.items() if (model or "").startswith(begin)), None)


_PROVIDERS = {"gpt": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "claude": "anthropic", "gemini": "google"}


def call(item: Any) -> Part:
    """Return the call that a tool request is."""
    fields = object_of(item)
    if not isinstance(fields.get("toolCallId"), str) or not isinstance(fields.get("name"), str):
        return OpaquePart(item)
    arguments, raw = arguments_of(fields.get("arguments"))
    kind = "text" if fields.get("type") == "custom" and arguments is None else "json"
    if kind == "text":
        arguments, raw = fields.get("arguments"), None
    part = ToolCallPart(fields["toolCallId"], fields["name"], arguments, text_or_none(fields.get("mcpServerName")), raw, kind)
    part.caller = fields.get("caller")
    part.ext = some({"intention": text_or_none(fields.get("intentionSummary"))})
    return part


def attachment(item: Any) -> Part:
    """Return a file as its path, media as they are, and anything else (a selection, something on GitHub) in its own form."""
    fields = object_of(item)
    kind, path = fields.get("type"), fields.get("path")
    if kind == "blob":
        return binary(item)
    if kind != "file" or not isinstance(path, str):
        return OpaquePart(item)
    modality = modality_of(fields.get("mimeType"))
    if modality == "document" and Path(path).suffix.lower() in _IMAGES:
        modality = "image"
    rest = {name: fields.get(name) for name in ("displayName", "lineRange", "assetId")}
    return UriPart(modality, path, text_or_none(fields.get("mimeType")), ext=some(rest))


def binary(item: Any) -> Part:
    """Return media that are inline, or those of an asset by its id."""
    fields = object_of(item)
    mime_type = text_or_none(fields.get("mimeType"))
    if isinstance(fields.get("data"), str) and fields["data"]:
        name = text_or_none(fields.get("displayName"))
        return BlobPart(modality_of(mime_type), mime_type, fields["data"], filename=name)
    if isinstance(fields.get("assetId"), str):
        return UriPart(modality_of(mime_type), f"asset:{fields['assetId']}", mime_type)
    return OpaquePart(item)


def exit_code(data: dict[str, Any], result: dict[str, Any]) -> int | None:
    """Return the exit code of a command, wherever this version of the CLI put it."""
    for fields in (data.get("shellExecution"), *list_of(result.get("contents"))):
        code = exit_code_of(object_of(fields).get("exitCode"))
        if code is not None:
            return code
    return None
