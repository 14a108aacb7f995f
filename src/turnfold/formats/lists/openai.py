"""Messages of OpenAI's chat completions, which most other model APIs and many training files speak too.

Source: ``openai.types.chat`` (``ChatCompletionMessageParam`` and ``ChatCompletionMessage``), and the fields for reasoning that compatible
servers add (``reasoning_content``, ``reasoning``). A call and its result are paired by ``tool_call_id``; the ``function_call`` of old has no
id, so one is made.
"""

from __future__ import annotations

from typing import Any

from turnfold.formats.fields import arguments_of, count_of, list_of, object_of, text_of, text_or_none
from turnfold.formats.lists.shape import TIME_KEYS, Items, Place, Said, at_of, response_of, texts_of
from turnfold.formats.responses import media_of
from turnfold.model.message import Message
from turnfold.model.parts import (
    BlobPart,
    FilePart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from turnfold.model.usage import Usage

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_BLOCKS = frozenset({"text", "image_url", "input_audio", "file", "refusal"})
_ONLY_HERE = frozenset({"tool_calls", "tool_call_id", "function_call", "refusal", "audio", "reasoning_content"})
_KEYS = _ONLY_HERE | {
    *("role", "content", "name", "id", "annotations", "reasoning", "reasoning_details", "weight", "metadata", "created_at", "createdAt"),
    *("timestamp", "prefix", "cache_control"),
}
_SAID = _ONLY_HERE | {"role", "content", "name", "id", "reasoning", *TIME_KEYS}
"""Fields that the message has in a place of its own; the others stand in ``ext``."""
_ENVELOPE_KEYS = frozenset({"messages", "model", "tools", "tool_choice", "temperature", "thread_id", "id", "object", "created", "usage"})
PLAIN = 0.5
"""How sure it is about a list in which nothing is of this API alone: just enough, so that whoever knows more wins."""


class OpenAiShape:
    """See ``shape.Shape``."""

    name = "openai"
    agent = "openai"

    def sureness(self, items: Items, envelope: dict[str, Any]) -> float:
        """Every item has a role and content of this API; tool calls, image addresses and the like make it sure."""
        if not all(_fits(item) for item in items):
            return 0.0
        if any(_ONLY_HERE & item.keys() or item["role"] in {"developer", "tool", "function"} for item in items):
            return 0.95
        if any(text_of(block.get("type")) in {"image_url", "input_audio"} for item in items for block in _blocks(item)):
            return 0.9
        if str(envelope.get("object", "")).startswith("chat.completion"):
            return 0.9
        known = envelope.keys() <= _ENVELOPE_KEYS or "thread_id" in envelope
        return 0.55 if known and not any(_blocks(item) for item in items if item["role"] == "assistant") else PLAIN

    def said(self, item: dict[str, Any], place: Place) -> list[Said] | None:
        """Return the message that an item is."""
        role = text_of(item.get("role"))
        if role not in _ROLES:
            return None
        if role == "tool":
            return [_said(item, _result(item, text_of(item.get("tool_call_id"))))]
        if role == "function":
            name = text_of(item.get("name"))
            return [_said(item, _result(item, place.result_without_id(name)))]
        parts = [*_reasoning(item), *content_of(item.get("content"))]
        refusal = text_or_none(item.get("refusal"))
        if refusal is not None:
            parts.append(RefusalPart(refusal))
        audio = object_of(item.get("audio"))
        if audio:
            parts.append(_audio(audio))
        parts += [call_of(call) for call in list_of(item.get("tool_calls"))]
        function = object_of(item.get("function_call"))
        if function:
            parts.append(call_of({"function": function, "id": place.call_without_id(text_of(function.get("name")))}))
        return [_said(item, Message(role, parts, text_or_none(item.get("name")), native_id=text_or_none(item.get("id"))))]

    def settled(self, item: dict[str, Any]) -> bool:
        """A message is written when it is whole."""
        return True

    def envelope(self, fields: dict[str, Any]) -> dict[str, Any]:
        """What a request or an answer says around its messages."""
        model = text_of(fields.get("model"))
        return {"title": text_or_none(fields.get("title")), "usage": usage_of(fields.get("usage"), model)}


def _fits(item: dict[str, Any]) -> bool:
    role, content = text_of(item.get("role")), item.get("content")
    if role not in _ROLES or not item.keys() <= _KEYS:
        return False
    if content is None:
        return role == "assistant" and bool(_ONLY_HERE & item.keys())
    if isinstance(content, list):
        return all(isinstance(block, dict) and text_of(block.get("type")) in _BLOCKS for block in content)
    return isinstance(content, str)


def _blocks(item: dict[str, Any]) -> list[dict[str, Any]]:
    return [block for block in list_of(item.get("content")) if isinstance(block, dict)]


def _said(item: dict[str, Any], message: Message) -> Said:
    message.ext = {key: value for key, value in item.items() if key not in _SAID and value not in (None, [], {})}
    return Said(message=message, at_us=at_of(item, item.get("metadata")))


def _reasoning(item: dict[str, Any]) -> list[Part]:
    text = text_or_none(item.get("reasoning_content")) or text_or_none(item.get("reasoning"))
    return [] if text is None else [ReasoningPart(text)]


def content_of(content: Any) -> list[Part]:
    """Return the parts of a content: text, or a list of blocks."""
    if isinstance(content, str):
        return texts_of(content)
    if isinstance(content, list):
        return [part_of(block) for block in content]
    return [] if content is None else [OpaquePart(content)]


def part_of(block: Any) -> Part:
    """Return a content block as a part."""
    if isinstance(block, str):
        return TextPart(block)
    fields = object_of(block)
    kind = text_of(fields.get("type"))
    if kind == "text" and isinstance(fields.get("text"), str):
        return TextPart(fields["text"])
    if kind == "refusal" and isinstance(fields.get("refusal"), str):
        return RefusalPart(fields["refusal"])
    inner = fields.get(kind)
    image = inner if isinstance(inner, str) else object_of(inner).get("url")
    if kind == "image_url" and isinstance(image, str):
        return media_of("image", image, object_of(inner).get("detail"))
    data = object_of(inner)
    if kind == "input_audio" and isinstance(data.get("data"), str):
        form = text_or_none(data.get("format"))
        return BlobPart("audio", f"audio/{form}" if form else None, data["data"])
    if kind == "file":
        return _file(data) or OpaquePart(block)
    return OpaquePart(block)


def _file(data: dict[str, Any]) -> Part | None:
    filename = text_or_none(data.get("filename"))
    if isinstance(data.get("file_id"), str):
        return FilePart("document", data["file_id"], filename=filename)
    if not isinstance(data.get("file_data"), str):
        return None
    part = media_of("document", data["file_data"])
    if isinstance(part, BlobPart):
        part.filename = filename
        return part
    return BlobPart("document", None, data["file_data"], filename=filename)  # plain base64


def _audio(audio: dict[str, Any]) -> Part:
    """What the model said aloud: its sound, or only the id of it, with the words if they are there."""
    transcript = text_or_none(audio.get("transcript"))
    ext = {} if transcript is None else {"transcript": transcript}
    if isinstance(audio.get("data"), str):
        return BlobPart("audio", None, audio["data"], ext=ext)
    return FilePart("audio", text_of(audio.get("id")), ext=ext)


def call_of(call: Any) -> Part:
    """Return a tool call: a function's with arguments as JSON text, or a custom tool's with free text."""
    fields = object_of(call)
    custom = object_of(fields.get("custom"))
    if custom:
        return ToolCallPart(text_of(fields.get("id")), text_of(custom.get("name")), custom.get("input"), input_kind="text")
    function = object_of(fields.get("function"))
    if not function:
        return OpaquePart(call)
    raw = function.get("arguments")
    arguments, kept = arguments_of(raw) if isinstance(raw, str) else (raw, None)
    return ToolCallPart(text_of(fields.get("id")), text_of(function.get("name")), arguments, arguments_raw=kept)


def _result(item: dict[str, Any], call_id: str) -> Message:
    content = item.get("content")
    response = response_of(content_of(content)) if isinstance(content, list) else content
    return Message("tool", [ToolResultPart(call_id, response)], text_or_none(item.get("name")))


def usage_of(native: Any, model: str) -> Usage:
    """Return a native usage of chat completions or Responses; both count cached and reasoning tokens inside."""
    fields = object_of(native)
    read = object_of(fields.get("prompt_tokens_details") or fields.get("input_tokens_details"))
    written = object_of(fields.get("completion_tokens_details") or fields.get("output_tokens_details"))
    return Usage(
        count_of(fields.get("prompt_tokens")) or count_of(fields.get("input_tokens")),
        count_of(fields.get("completion_tokens")) or count_of(fields.get("output_tokens")),
        count_of(read.get("cached_tokens")),
        reasoning_output_tokens=count_of(written.get("reasoning_tokens")),
        model=model,
    )
