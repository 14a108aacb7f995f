"""Item lists of OpenAI's Responses API: what its requests take and its answers give, and what the Agents SDK keeps."""

from __future__ import annotations

from typing import Any

from turnfold.formats import responses
from turnfold.formats.fields import list_of, text_of, text_or_none
from turnfold.formats.lists.openai import usage_of
from turnfold.formats.lists.shape import Items, Place, Said, at_of
from turnfold.formats.media import Parts
from turnfold.model.message import ROLES
from turnfold.model.parts import ToolResultPart

_MESSAGE_BLOCKS = frozenset({"input_text", "output_text", "input_image", "input_file", "input_audio", "refusal"})


class ResponsesShape:
    """See ``shape.Shape``."""

    name = "openai-responses"
    agent = "openai"

    def sureness(self, items: Items, envelope: dict[str, Any]) -> float:
        """Every item has a type of this API, or is a message of its short form; one at least is of this API alone."""
        if not all(_is_item(item) for item in items):
            return 0.0
        if envelope.get("object") == "response":
            return 0.95
        if any(text_of(item.get("type")) not in {"", "message"} for item in items):
            return 0.9
        blocks = [block for item in items for block in list_of(item.get("content")) if isinstance(block, dict)]
        if any(text_of(block.get("type")) in _MESSAGE_BLOCKS - {"refusal"} for block in blocks):
            return 0.9
        return 0.6 if any(item.get("type") == "message" for item in items) or "instructions" in envelope else 0.0

    def said(self, item: dict[str, Any], place: Place) -> list[Said] | None:
        """Return the message that an item is."""
        full = item if "type" in item else {**item, "type": "message"}
        message = responses.message_of(full)
        if message is None:
            return None
        out: Parts = []
        for part in message.parts:
            if type(part) is ToolResultPart:
                part.response = responses.output_of(part.response, out)
        return [Said(message=message, at_us=at_of(item), parts=out)]

    def settled(self, item: dict[str, Any]) -> bool:
        """An item says itself when it is being written."""
        return text_of(item.get("status")) not in {"in_progress", "queued"}

    def envelope(self, fields: dict[str, Any]) -> dict[str, Any]:
        """What a request or an answer says around its items."""
        model = text_of(fields.get("model"))
        return {"system_prompt": text_or_none(fields.get("instructions")), "usage": usage_of(fields.get("usage"), model)}


def _is_item(item: dict[str, Any]) -> bool:
    kind = item.get("type")
    if kind is not None and kind != "message":
        return isinstance(kind, str) and kind in responses.ITEM_TYPES and _has_fields(kind, item)
    content = item.get("content")
    if text_of(item.get("role")) not in ROLES - {"tool"} or not isinstance(content, str | list) or "tool_calls" in item:
        return False
    if kind is None and not item.keys() <= {"role", "content", "id", "status", "phase"}:
        return False
    return isinstance(content, str) or all(isinstance(block, dict) and text_of(block.get("type")) in _MESSAGE_BLOCKS for block in content)


def _has_fields(kind: str, item: dict[str, Any]) -> bool:
    """Whether an item has what its type needs; other tools have types of the same name."""
    if kind == "reasoning":
        return isinstance(item.get("summary"), list) or isinstance(item.get("content"), list)
    if kind.endswith("_call_output"):
        return isinstance(item.get("call_id"), str) and "output" in item
    if kind in {"function_call", "custom_tool_call"}:
        return isinstance(item.get("call_id"), str) and isinstance(item.get("name"), str)
    return True
