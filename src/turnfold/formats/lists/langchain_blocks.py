"""Content blocks of LangChain messages: the standard ones of version 1, and those of providers that it passes through."""

from __future__ import annotations

from typing import Any

import msgspec

from turnfold.formats.claude_code.messages import part_of as anthropic_part_of
from turnfold.formats.fields import list_of, object_of, text_of, text_or_none
from turnfold.formats.lists.openai import part_of as openai_part_of
from turnfold.formats.lists.shape import texts_of
from turnfold.model.parts import (
    BlobPart,
    FilePart,
    OpaquePart,
    Part,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
    UriPart,
)

_MODALITIES = {"image": "image", "audio": "audio", "video": "video", "file": "document", "text-plain": "document"}
_CALLS = frozenset({"tool_use", "tool_call", "tool_call_chunk", "function_call", "custom_tool_call", "input_json_delta"})
_TOOLS = frozenset({"tool_call", "server_tool_call", "server_tool_result"})
_ANTHROPIC = frozenset({"tool_use", "tool_result", "server_tool_use", "mcp_tool_use", "document", "redacted_thinking"})


def parts_of(content: Any, provider: str | None, told: set[str]) -> list[Part]:
    """Return the parts of a content.

    Args:
        content: Text, or a list of texts and blocks.
        provider: Who made the message, if it says so: reasoning may go back to that one alone.
        told: Ids of calls that stand beside the content already.
    """
    if isinstance(content, str):
        return texts_of(content)
    if content is None:
        return []
    if not isinstance(content, list):
        return [OpaquePart(content)]
    return [_part_of(block, provider) for block in content if not _is_told(object_of(block), told)]


def blocks_of(content: list[Any]) -> list[Part]:
    """Return the parts of a tool's answer."""
    return parts_of(content, None, set())


def _is_told(block: dict[str, Any], told: set[str]) -> bool:
    if text_of(block.get("type")) not in _CALLS:
        return False
    return block["type"] in {"input_json_delta", "tool_call_chunk"} or not told.isdisjoint(
        {text_of(block.get("id")), text_of(block.get("call_id"))},
    )


def _part_of(block: Any, provider: str | None) -> Part:
    if isinstance(block, str):
        return TextPart(block)
    fields = object_of(block)
    kind = text_of(fields.get("type"))
    if kind == "text" and isinstance(fields.get("text"), str):
        return TextPart(fields["text"], list_of(fields.get("annotations")) or list_of(fields.get("citations")) or None)
    if kind in {"reasoning", "thinking"}:
        return _reasoning(fields, "anthropic" if kind == "thinking" else provider)
    media = _media(kind, fields)
    if media is not None:
        return media
    if kind in _TOOLS:
        return _tool(kind, fields)
    if kind in _ANTHROPIC or (kind == "image" and isinstance(fields.get("source"), dict)):
        return _of_anthropic(fields)
    return openai_part_of(block)


def _tool(kind: str, fields: dict[str, Any]) -> Part:
    if kind == "server_tool_result":
        answer = {key: value for key, value in fields.items() if key != "tool_call_id"}
        return ServerToolResultPart(text_of(fields.get("tool_call_id")), answer)
    call_id, name = text_of(fields.get("id")), text_of(fields.get("name"))
    if kind == "tool_call":
        return ToolCallPart(call_id, name, fields.get("args"))
    return ServerToolCallPart(call_id, name, {key: value for key, value in fields.items() if key not in {"id", "name"}})


def _reasoning(fields: dict[str, Any], provider: str | None) -> Part:
    extras = object_of(fields.get("extras"))
    text = text_of(fields.get("reasoning")) or text_of(fields.get("thinking"))
    summary = [text_of(object_of(item).get("text")) for item in list_of(fields.get("summary"))]
    signature = text_or_none(fields.get("signature")) or text_or_none(extras.get("signature"))
    encrypted = text_or_none(fields.get("encrypted_content")) or text_or_none(extras.get("encrypted_content"))
    if summary or encrypted:
        provider = provider or "openai"
    return ReasoningPart(
        text, summary or None, signature=signature, encrypted=encrypted, provider=provider, id=text_or_none(fields.get("id"))
    )


def _media(kind: str, fields: dict[str, Any]) -> Part | None:
    """A standard block of media: inline, at an address, or by a file's id; the block of version 0 calls its content ``data``."""
    modality = _MODALITIES.get(kind)
    if modality is None:
        return None
    mime_type = text_or_none(fields.get("mime_type"))
    facts = object_of(fields.get("extras")) or object_of(fields.get("metadata"))
    filename = text_or_none(fields.get("filename")) or text_or_none(facts.get("filename"))
    for key in ("base64", "data"):
        if isinstance(fields.get(key), str):
            return BlobPart(modality, mime_type, fields[key], filename=filename)
    if isinstance(fields.get("url"), str):
        return UriPart(modality, fields["url"], mime_type, ext={} if filename is None else {"filename": filename})
    if isinstance(fields.get("file_id"), str):
        return FilePart(modality, fields["file_id"], mime_type, filename)
    if fields.get("source_type") == "id" and isinstance(fields.get("id"), str):
        return FilePart(modality, fields["id"], mime_type, filename)
    return None


def _of_anthropic(block: dict[str, Any]) -> Part:
    moved: list[tuple[str, bytes]] = []
    plain = anthropic_part_of(block, moved)
    if moved:  # long media are taken out later, with everything else
        contents = dict(moved)
        plain = {key: value for key, value in plain.items() if key != "blob_ref"} | {"content": contents[plain["blob_ref"]].decode()}
    if plain["type"] == "reasoning":
        plain["provider"] = "anthropic"
    made: Part = msgspec.convert(plain, Part)
    return made
