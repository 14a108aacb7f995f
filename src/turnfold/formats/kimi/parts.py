"""Contents, calls and usage in Kimi's records → ours."""

from __future__ import annotations

from typing import Any

from turnfold.formats.fields import arguments_of, count_of, object_of, some, text_of, text_or_none
from turnfold.formats.media import media
from turnfold.model.parts import OpaquePart, Part, ReasoningPart, TextPart, ToolCallPart
from turnfold.model.usage import NO_USAGE, Usage


def usage_of(value: Any, model: str) -> Usage:
    """Return a native usage: its input is split into what was read from the cache, written to it, and the rest."""
    fields = object_of(value)
    read, written = count_of(fields.get("inputCacheRead")), count_of(fields.get("inputCacheCreation"))
    total = count_of(fields.get("inputOther")) + read + written
    usage = Usage(total, count_of(fields.get("output")), read, written, model=model)
    return usage or NO_USAGE


def part_of(block: Any) -> Part:
    """Return one block: text, a thought, or media by URL."""
    fields = object_of(block)
    kind = text_of(fields.get("type"))
    if kind == "text" and isinstance(fields.get("text"), str):
        return TextPart(fields["text"])
    if kind == "think" and isinstance(fields.get("think"), str):
        return ReasoningPart(fields["think"], encrypted=text_or_none(fields.get("encrypted")), provider="moonshot")
    modality, _, rest = kind.partition("_")
    if rest == "url":
        holder = object_of(fields.get(f"{modality}Url") or fields.get(kind))
        if isinstance(holder.get("url"), str):
            return media(modality, holder["url"], some({"id": text_or_none(holder.get("id"))}))
    return OpaquePart(block)


def function_call(call: Any) -> Part:
    """Return a call in the form of chat completions."""
    fields = object_of(call)
    inner = object_of(fields.get("function")) or fields
    if not isinstance(fields.get("id"), str) or not isinstance(inner.get("name"), str):
        return OpaquePart(call)
    arguments, raw = arguments_of(inner.get("arguments"))
    return ToolCallPart(fields["id"], inner["name"], arguments, arguments_raw=raw)
