"""What Codex adds to the items of the Responses API: exit codes inside outputs, and which user messages a person typed."""

from __future__ import annotations

import re
from typing import Any

from turnfold.formats import responses
from turnfold.formats.codex.fields import exit_code_of
from turnfold.formats.fields import list_of, object_of, text_of, text_or_none
from turnfold.model.message import Message
from turnfold.model.parts import Part, TextPart, ToolResultPart

_injected = re.compile(r"\s*(?:<(?!image[\s>])[a-zA-Z_][\w-]*[\s>]|# AGENTS\.md instructions)")


def message_of(item: dict[str, Any]) -> Message | None:
    """Return the message that a response item is, with the exit code that the CLI wrote into a tool's output."""
    if item.get("type") == "function_call_output" and "call_id" not in item and isinstance(item.get("name"), str):
        return _told(item)
    message = responses.message_of(item)
    if message is not None:
        for part in message.parts:
            if type(part) is ToolResultPart:
                part.exit_code = exit_code_of(part.response)
    return message


def _told(item: dict[str, Any]) -> Message:
    """What Codex tells its model in the form of an output that nobody called for (0.169: a goal's objective): an instruction by that name."""
    output = item.get("output")
    parts: list[Part] = [TextPart(output)] if isinstance(output, str) else [responses.content_part(block) for block in list_of(output)]
    name = ".".join(word for word in (text_of(item.get("namespace")), text_of(item.get("name"))) if word)
    return Message("developer", parts, name or None, native_id=text_or_none(item.get("id")))


def is_typed(item: dict[str, Any], message: Message) -> bool:
    """Whether a user message was typed by a person, and not injected by the tool.

    Codex marks typed input by a twin event, which comes later in the file. Newer versions name the kinds of the contents; older ones
    inject only tagged blocks, the AGENTS.md text, and images without text (checked against all twins of the corpus).
    """
    kinds = object_of(item.get("internal_chat_message_metadata_passthrough")).get("content_item_kinds")
    if isinstance(kinds, list) and kinds and all(isinstance(kind, str) for kind in kinds):
        named = [kind for kind in kinds if kind != "unknown"]
        if named:
            return any(kind.startswith("user.") for kind in named)
    text = message.text
    return bool(text.strip()) and _injected.match(text) is None
