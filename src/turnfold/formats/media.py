"""Images and other media in other tools' JSON → parts; what is over-long goes out of line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from turnfold.codec.parts import take_out
from turnfold.formats.fields import list_of
from turnfold.model.message import Message
from turnfold.model.parts import BlobPart, Part, TextPart, UriPart

Parts = list[tuple[str, bytes]]
data_url = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w=.+-]+)*);base64,", re.ASCII)
_MODALITIES = frozenset({"image", "audio", "video"})


def media(modality: str, url: str, ext: dict[str, Any] | None = None) -> Part:
    """Return the part of media at a URL, or inside a data URL."""
    match = data_url.match(url)
    if match is None:
        return UriPart(modality, url, ext=ext or {})
    return BlobPart(modality, match[1], url[match.end() :], ext=ext or {})


def modality_of(mime_type: Any) -> str:
    """Return what kind of media a MIME type is: image, audio, video or document."""
    kind = mime_type.partition("/")[0] if isinstance(mime_type, str) else ""
    return kind if kind in _MODALITIES else "document"


def content_of(content: Any, part_of: Callable[[Any], Part]) -> list[Part]:
    """Return the parts of a content that is text or a list of blocks; ``part_of`` makes one of a block."""
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    return [part_of(block) for block in list_of(content)]


def response_of(parts: list[Part], out: Parts) -> Any:
    """Return a tool's answer as text where it is nothing else, else as a list of parts as JSON; over-long media are added to ``out``."""
    if all(type(part) is TextPart and not part.citations for part in parts):
        return "".join(part.content for part in parts if type(part) is TextPart)
    holder = Message("tool", parts)
    out += take_out(holder)
    return msgspec.to_builtins(holder.parts)


def slim(value: Any, out: Parts) -> Any:
    """Return a native payload with its over-long data URLs out of line: ``{"type": "blob", …}`` in their place."""
    if isinstance(value, str):
        if value.startswith("data:") and data_url.match(value):
            holder = Message("tool", [media("image", value)])
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
