"""Messages of LangChain in the three forms in which they are dumped, and the file of ``agent-session-linker`` that looks like them.

Source: ``langchain_core.messages``: ``messages_to_dict`` (``{"type", "data"}``), ``model_dump`` (flat), ``load.dumps`` (``lc`` constructors).
Blocks of the content are LangChain's own and those of the providers, since ``content`` keeps what the provider sent; calls that stand in
``tool_calls`` and again as a block are one call.
"""

from __future__ import annotations

from typing import Any

from turnfold.formats.fields import count_of, list_of, object_of, text_of, text_or_none
from turnfold.formats.lists.langchain_blocks import blocks_of, parts_of
from turnfold.formats.lists.openai import call_of
from turnfold.formats.lists.shape import Items, Place, Said, at_of, response_of, state_of
from turnfold.model.message import ROLES, Message
from turnfold.model.parts import OpaquePart, Part, ReasoningPart, RefusalPart, ToolCallPart, ToolResultPart
from turnfold.model.usage import NO_USAGE, Usage

_KINDS = {
    "human": "user",
    "HumanMessageChunk": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "system": "system",
    "SystemMessageChunk": "system",
    "tool": "tool",
    "ToolMessageChunk": "tool",
    "function": "tool",
    "FunctionMessageChunk": "tool",
    "chat": "user",
    "ChatMessageChunk": "user",
    "developer": "developer",
}
_CLASSES = {"HumanMessage": "human", "AIMessage": "ai", "SystemMessage": "system", "ToolMessage": "tool", "FunctionMessage": "function"}
_CLASSES |= {"ChatMessage": "chat", "RemoveMessage": "remove"}
_OPENAI_ROLE = "__openai_role__"
"""How langchain-openai marks a developer's message, which is a system message to LangChain."""
_MADE_OF = frozenset({_OPENAI_ROLE, "tool_call_id", "tool_calls", "function_call", "refusal", "reasoning_content"})
_FLAT = frozenset({"additional_kwargs", "response_metadata"})
_FINISH = {
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
    "end_turn": "stop",
    "stop": "stop",
    "max_tokens": "length",
    "length": "length",
}


class LangChainShape:
    """See ``shape.Shape``."""

    name = "langchain"
    agent = "langchain"

    def sureness(self, items: Items, envelope: dict[str, Any]) -> float:
        """Every item has one of the three forms; a flat one needs LangChain's own field names or its own words for the roles."""
        forms = {_form(item) for item in items}
        if "" in forms:
            return 0.0
        if forms != {"flat"}:
            return 0.95
        if any(_FLAT & item.keys() for item in items) or isinstance(envelope.get("memory_variables"), dict):
            return 0.95
        return 0.7 if any(item["type"] in {"human", "ai"} for item in items) else 0.0

    def said(self, item: dict[str, Any], place: Place) -> list[Said] | None:
        """Return the message that an item is; one that only takes others out says nothing."""
        kind, fields = _unwrapped(item)
        if kind in {"remove", "RemoveMessage"}:
            return []
        role = _KINDS.get(kind)
        if role is None:
            return None
        extra, about = object_of(fields.get("additional_kwargs")), object_of(fields.get("response_metadata"))
        if role == "tool":
            message = _result(kind, fields, place)
        else:
            native_role = text_of(fields.get("role")) if kind.startswith(("chat", "Chat")) else text_of(extra.get(_OPENAI_ROLE))
            message = Message(native_role if native_role in ROLES else role, _parts(fields, extra, about, place))
            message.name = text_or_none(fields.get("name")) or (text_or_none(native_role) if native_role not in ROLES else None)
        message.native_id = text_or_none(fields.get("id"))
        _answered(message, about)
        left = {key: value for key, value in extra.items() if key not in _MADE_OF}
        if left:
            message.ext = {"additional_kwargs": left}
        return [Said(message=message, at_us=at_of(item, fields, extra), usage=_usage(fields.get("usage_metadata"), message.model))]

    def settled(self, item: dict[str, Any]) -> bool:
        """A message is written when it is whole."""
        return True

    def envelope(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The working memory that ``agent-session-linker`` keeps beside the messages."""
        return {"state": state_of(fields.get("memory_variables"))}


def _form(item: dict[str, Any]) -> str:
    kind, fields = _unwrapped(item)
    known = kind in _KINDS or kind == "remove"
    if not known or not isinstance(fields.get("content", ""), str | list):
        return ""
    if fields is not item:
        return "wrapped"
    return "flat" if "content" in item and "message" not in item else ""


def _unwrapped(item: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the kind and the fields of a message in any of its forms."""
    names = item.get("id")
    if "lc" in item and isinstance(names, list) and names:
        fields = object_of(item.get("kwargs"))
        name = text_of(names[-1]).removesuffix("Chunk")
        return _CLASSES.get(name, ""), fields
    data = item.get("data")
    if isinstance(data, dict):
        return text_of(item.get("type")), data
    return text_of(item.get("type")), item


def _parts(fields: dict[str, Any], extra: dict[str, Any], about: dict[str, Any], place: Place) -> list[Part]:
    calls = [_call(call) for call in list_of(fields.get("tool_calls")) + list_of(fields.get("invalid_tool_calls"))]
    told = {part.id for part in calls if isinstance(part, ToolCallPart)}
    provider = text_or_none(about.get("model_provider"))
    parts: list[Part] = []
    reasoning = text_or_none(extra.get("reasoning_content"))
    if reasoning is not None:
        parts.append(ReasoningPart(reasoning, provider=provider))
    parts += parts_of(fields.get("content"), provider, told)
    refusal = text_or_none(extra.get("refusal"))
    if refusal is not None:
        parts.append(RefusalPart(refusal))
    told |= {part.id for part in parts if isinstance(part, ToolCallPart)}
    parts += calls
    parts += [part for part in map(call_of, list_of(extra.get("tool_calls"))) if not (isinstance(part, ToolCallPart) and part.id in told)]
    function = object_of(extra.get("function_call"))
    if function:
        name = text_of(function.get("name"))
        parts.append(call_of({"id": place.call_without_id(name), "function": function}))
    return parts


def _call(call: Any) -> Part:
    """A call; one that the model wrote wrongly has its arguments as text and says what is wrong with them."""
    fields = object_of(call)
    if not fields:
        return OpaquePart(call)
    arguments = fields.get("args")
    part = ToolCallPart(text_of(fields.get("id")), text_of(fields.get("name")), arguments)
    if fields.get("type") == "invalid_tool_call" or isinstance(arguments, str):
        part.arguments, part.arguments_raw = None, text_or_none(arguments)
        part.status = "invalid"
        if fields.get("error") is not None:
            part.ext = {"error": fields["error"]}
    return part


def _result(kind: str, fields: dict[str, Any], place: Place) -> Message:
    content, name = fields.get("content"), text_of(fields.get("name"))
    response = response_of(blocks_of(content)) if isinstance(content, list) else content
    call_id = text_of(fields.get("tool_call_id")) or text_of(object_of(fields.get("additional_kwargs")).get("tool_call_id"))
    if not call_id and kind.startswith(("function", "Function")):
        call_id = place.result_without_id(name)
    is_error = True if fields.get("status") == "error" else None
    return Message("tool", [ToolResultPart(call_id, response, is_error, detail=fields.get("artifact"))], name or None)


def _answered(message: Message, about: dict[str, Any]) -> None:
    """Take in what the model's provider said about its answer."""
    if message.role != "assistant":
        return
    message.model = text_or_none(about.get("model_name")) or text_or_none(about.get("model"))
    message.provider = text_or_none(about.get("model_provider"))
    message.response_id = text_or_none(about.get("id"))
    stop = text_or_none(about.get("finish_reason")) or text_or_none(about.get("stop_reason"))
    if stop is not None:
        message.finish_reason, message.native_finish_reason = _FINISH.get(stop, stop), stop


def _usage(native: Any, model: str | None) -> Usage:
    fields = object_of(native)
    if not fields:
        return NO_USAGE
    read, written = object_of(fields.get("input_token_details")), object_of(fields.get("output_token_details"))
    return Usage(
        count_of(fields.get("input_tokens")),
        count_of(fields.get("output_tokens")),
        count_of(read.get("cache_read")),
        count_of(read.get("cache_creation")),
        count_of(written.get("reasoning")),
        model=model or "",
    )
