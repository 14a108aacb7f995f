"""Messages of the Anthropic API: lists of them, bodies of requests (with ``system``), and whole answers.

Source: ``anthropic.types`` (``MessageParam``, ``Message``). A user message may hold tools' results beside what the user said: they are two
messages here, since they are of different participants.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import msgspec

from turnfold.formats.claude_code.messages import FINISH_REASONS, parts_of
from turnfold.formats.claude_code.usage import normalise
from turnfold.formats.fields import list_of, text_of, text_or_none
from turnfold.formats.lists.shape import Items, Place, Said, at_of
from turnfold.formats.media import Parts
from turnfold.model.message import Message
from turnfold.model.usage import NO_USAGE

PROVIDER = "anthropic"
_ROLES = frozenset({"system", "user", "assistant"})
_KEYS = frozenset({"role", "content", "id", "type", "model", "stop_reason", "stop_sequence", "stop_details", "usage", "container"}) | {
    *("created_at", "createdAt", "timestamp", "context_management", "diagnostics"),
}
_ONLY_HERE = frozenset({"thinking", "redacted_thinking", "tool_use", "tool_result", "server_tool_use", "mcp_tool_use"})
_BLOCKS = _ONLY_HERE | {
    *("text", "image", "document", "search_result", "container_upload", "web_search_tool_result", "web_fetch_tool_result"),
    *("code_execution_tool_result", "bash_code_execution_tool_result", "text_editor_code_execution_tool_result"),
    *("mcp_tool_result", "tool_search_tool_result", "compaction"),
}


class AnthropicShape:
    """See ``shape.Shape``."""

    name = "anthropic"
    agent = "anthropic"

    def sureness(self, items: Items, envelope: dict[str, Any]) -> float:
        """Every item has a role and blocks of this API; tool uses, thinking, image sources or a ``system`` beside the list make it sure."""
        if not all(_fits(item) for item in items):
            return 0.0
        blocks = [block for item in items for block in list_of(item.get("content"))]
        if any(block["type"] in _ONLY_HERE for block in blocks) or any(text_of(item.get("id")).startswith("msg_") for item in items):
            return 0.95
        if any(isinstance(block.get("source"), dict) or "cache_control" in block for block in blocks):
            return 0.9
        if isinstance(envelope.get("system"), str | list) or text_of(envelope.get("model")).startswith("claude"):
            return 0.8
        return 0.6 if any(isinstance(item.get("content"), list) for item in items if item["role"] == "assistant") else 0.0

    def said(self, item: dict[str, Any], place: Place) -> list[Said] | None:
        """Return the message that an item is, tools' results apart from what stands beside them."""
        role = text_of(item.get("role"))
        if role not in _ROLES:
            return None
        out: Parts = []
        parts = parts_of(item.get("content"), out)
        model, at_us = text_of(item.get("model")), at_of(item)
        groups = [list(group) for _, group in groupby(parts, key=_is_result)] if role == "user" else [parts]
        made = [_message(role, group) for group in groups or [[]]]
        if role == "assistant":
            _answer(made[0], item, model)
        usage = normalise(item["usage"], model or None) if isinstance(item.get("usage"), dict) else NO_USAGE
        return [
            Said(message=one, at_us=at_us, usage=NO_USAGE if index else usage, parts=[] if index else out) for index, one in enumerate(made)
        ]

    def settled(self, item: dict[str, Any]) -> bool:
        """A message is written when it is whole."""
        return True

    def envelope(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The system prompt, which stands beside the messages."""
        parts: Parts = []
        texts = [part["content"] for part in parts_of(fields.get("system"), parts) if part["type"] == "text"]
        return {"system_prompt": "\n\n".join(texts) or None, "title": text_or_none(fields.get("title"))}


def _fits(item: dict[str, Any]) -> bool:
    content = item.get("content")
    if text_of(item.get("role")) not in _ROLES or item.get("type", "message") != "message" or not item.keys() <= _KEYS:
        return False
    if isinstance(content, list):
        return all(isinstance(block, dict) and text_of(block.get("type")) in _BLOCKS for block in content)
    return isinstance(content, str)


def _is_result(part: dict[str, Any]) -> bool:
    return bool(part["type"] == "tool_call_response")


def _message(role: str, parts: list[dict[str, Any]]) -> Message:
    for part in parts:
        if part["type"] == "reasoning":
            part["provider"] = PROVIDER
    is_results = bool(parts) and _is_result(parts[0])
    return msgspec.convert({"role": "tool" if is_results else role, "parts": parts}, Message)


def _answer(message: Message, item: dict[str, Any], model: str) -> None:
    stop = text_or_none(item.get("stop_reason"))
    message.provider, message.model = PROVIDER, model or None
    message.native_id = message.response_id = text_or_none(item.get("id"))
    if stop is not None:
        message.finish_reason, message.native_finish_reason = FINISH_REASONS.get(stop, stop), stop
