"""Messages ↔ USF messages ``{role, content, timestamp, metadata}``, without loss.

USF knows four roles and plain text. ``content`` is what a person would read; what it cannot say stands in ``metadata["turnfold"]``: the whole
message and the facts of its event. Tool calls and their ids stand beside it in the shape of OpenAI, where converters to other frameworks look
for them. What the fields of USF say already is not said again.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from turnfold.core.conversation import ConversationEntry
from turnfold.formats.fields import list_of, name_of, object_of, text_of
from turnfold.formats.placing import is_place_id
from turnfold.formats.usf.document import EXTENSION
from turnfold.model.event import from_us
from turnfold.model.message import Message, decode_message, encode_message
from turnfold.model.parts import (
    AnyPart,
    BlobPart,
    CompactionPart,
    FilePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UriPart,
)
from turnfold.model.usage import NO_USAGE, Usage

USF_ROLES = frozenset({"user", "assistant", "system", "tool"})
METADATA = "usf_metadata"
"""Key of a message's ``ext`` under which a USF message's own metadata are kept."""
SOURCE_UUID = "source_uuid"
"""Key of an event's ``meta`` for the native id that a message had before it was written as USF."""
_RESPONSE_PARTS = frozenset({"text", "blob", "uri", "file"})
_CALLS, _CALL_ID = "tool_calls", "tool_call_id"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What an event says about a message."""

    is_turn: bool
    visibility: str = "both"
    usage: Usage = NO_USAGE
    actor: str | None = None
    run_id: str | None = None
    message_id: str | None = None
    meta: dict[str, Any] = {}


# ---- writing -----------------------------------------------------------------------------------------------------------------------------


def usf_message(entry: ConversationEntry) -> dict[str, Any]:
    """Return an entry's message as a USF message."""
    assert entry.message is not None
    message = msgspec.structs.replace(entry.message, seq=0)
    if message.usage == entry.usage:  # the event's, said again by whoever read it
        message.usage = None
    role = message.role if message.role in USF_ROLES else {"developer": "system"}.get(message.role, "user")
    own = object_of(message.ext.get(METADATA))
    metadata = {**_openai_calls(message), **{key: value for key, value in own.items() if key != EXTENSION}}
    content = readable(message)
    extension = event_facts(entry)
    if _read(role, content, metadata) != message:
        extension |= {"message": message_text(message), "content_hash": _hash(content)}
    if extension:
        metadata[EXTENSION] = extension
    return {"role": role, "content": content, "timestamp": from_us(entry.at_us).isoformat(), "metadata": metadata}


def message_text(message: Message) -> str:
    """Return a message as JSON text, without its place and without what is written beside it.

    Text, and not an object: a USF document is written with sorted keys, and a tool's arguments are to stay in their order.
    """
    ext = {key: value for key, value in message.ext.items() if key != METADATA or not isinstance(value, dict)}
    plain = msgspec.structs.replace(message, ext=ext)
    if any(isinstance(part, BlobPart) and part.content is not None and part.blob_ref is not None for part in message.parts):
        plain.parts = [_whole(part) for part in message.parts]
    return encode_message(plain).decode()


def _whole(part: Part) -> Part:
    """A blob whose bytes are here needs no name for them."""
    return msgspec.structs.replace(part, blob_ref=None) if isinstance(part, BlobPart) and part.content is not None else part


def message_from_text(text: Any) -> Message | None:
    """Read what ``message_text`` wrote; None where it is something else."""
    try:
        return decode_message(text.encode()) if isinstance(text, str) else None
    except (msgspec.MsgspecError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def readable(message: Message) -> str:
    """Return a message as the text that a person would read; what is not text is named in brackets."""
    return "\n\n".join(text for part in message.parts if (text := _part_text(part)))


def _part_text(part: AnyPart) -> str:
    if isinstance(part, (TextPart, RefusalPart)):
        return part.content
    if isinstance(part, CompactionPart):
        return part.content or ""
    if isinstance(part, ToolResultPart):
        return _response_text(part.response)
    if isinstance(part, (ReasoningPart, ToolCallPart)):
        return ""
    if isinstance(part, BlobPart):
        return f"[{part.modality or 'file'} {part.filename or part.mime_type or ''}".rstrip() + "]"
    if isinstance(part, UriPart):
        return f"[{part.modality or 'file'} {part.uri}]"
    if isinstance(part, FilePart):
        return f"[{part.modality or 'file'} {part.filename or part.file_id}]"
    return f"[{part['type']}]"


def _response_text(response: Any) -> str:
    """A tool's answer: text as it is, parts as text, anything else as JSON."""
    if isinstance(response, str):
        return response
    if isinstance(response, list) and response and all(object_of(item).get("type") in _RESPONSE_PARTS for item in response):
        return "\n\n".join(text for item in response if (text := _response_part(item)))
    return "" if response is None else json.dumps(response, ensure_ascii=False, default=str)


def _response_part(item: dict[str, Any]) -> str:
    if item["type"] == "text":
        return text_of(item.get("content"))
    modality, name = text_of(item.get("modality")) or "file", text_of(item.get("uri")) or text_of(item.get("mime_type"))
    return f"[{modality} {name}".rstrip() + "]"


def _openai_calls(message: Message) -> dict[str, Any]:
    """Tool calls, and the call that a tool's message answers, as OpenAI says them."""
    out: dict[str, Any] = {}
    calls = message.tool_calls
    if calls:
        out[_CALLS] = [
            {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": _arguments(part)}} for part in calls
        ]
    if message.role == "tool" and len(message.tool_results) == 1:
        out[_CALL_ID] = message.tool_results[0].id
    return out


def _arguments(part: ToolCallPart) -> str:
    return part.arguments_raw if part.arguments_raw is not None else json.dumps(part.arguments, ensure_ascii=False)


def event_facts(entry: ConversationEntry) -> dict[str, Any]:
    """Return the facts of an entry that are not what its message alone would give."""
    assert entry.message is not None
    facts: dict[str, Any] = {}
    if entry.is_turn != (entry.message.role == "user"):
        facts["turn"] = entry.is_turn
    if entry.visibility != "both":
        facts["visibility"] = entry.visibility
    if entry.usage:
        facts["usage"] = msgspec.to_builtins(entry.usage)
    for name in ("actor", "run_id", "message_id"):
        if getattr(entry, name) is not None:
            facts[name] = getattr(entry, name)
    meta = {key: value for key, value in entry.meta.items() if key not in {"uuid", SOURCE_UUID}}
    uuid = entry.meta.get(SOURCE_UUID) or entry.meta.get("uuid")
    if uuid and not is_place_id(uuid):
        meta["uuid"] = uuid
    if meta:
        facts["meta"] = meta
    return facts


# ---- reading -----------------------------------------------------------------------------------------------------------------------------


def message_of(record: Any) -> tuple[Message, Facts, str | None] | None:
    """Return a USF message as a message with its event's facts and what was wrong with it; None where it is none at all.

    What ``metadata["turnfold"]`` says holds as long as it is what ``content`` was written from. Content that was changed since wins.
    """
    fields = object_of(record)
    role, content = text_of(fields.get("role")), fields.get("content")
    if role not in USF_ROLES or not isinstance(content, str):
        return None
    metadata = object_of(fields.get("metadata"))
    extension = object_of(metadata.get(EXTENSION))
    message, problem = _from_extension(extension, role, content)
    if message is None:
        message = _read(role, content, metadata)
    else:
        message.ext = {**message.ext, **_own(message, metadata)}
    return message, facts_of(extension, message), problem


def _from_extension(extension: dict[str, Any], role: str, content: str) -> tuple[Message | None, str | None]:
    if "message" not in extension:
        return None, None
    message = message_from_text(extension["message"])
    if message is None:
        return None, "what turnfold wrote beside a message cannot be read: its text is taken"
    if extension.get("content_hash") != _hash(content) or (message.role in USF_ROLES and message.role != role):
        return None, "a message was changed after turnfold wrote it: its text is taken, and what stood beside it is not"
    return message, None


def _read(role: str, content: str, metadata: dict[str, Any]) -> Message:
    """Return a message as its fields alone say it."""
    message = Message(role, _openai_parts(role, content, metadata))
    return msgspec.structs.replace(message, ext=_own(message, metadata))


def _own(message: Message, metadata: dict[str, Any]) -> dict[str, Any]:
    """The ``ext`` that keeps a USF message's own metadata: without what is only the message said again."""
    generated = _openai_calls(message)
    own = {key: value for key, value in metadata.items() if key != EXTENSION and not (key in generated and value == generated[key])}
    return {METADATA: own} if own else {}


def _openai_parts(role: str, content: str, metadata: dict[str, Any]) -> list[Part]:
    """Parts of a message that has no extension; calls may stand in its metadata in the shape of OpenAI."""
    call_id = metadata.get(_CALL_ID)
    if role == "tool" and isinstance(call_id, str):
        return [ToolResultPart(call_id, content)]
    parts: list[Part] = [TextPart(content)] if content or role != "assistant" else []
    for call in list_of(metadata.get(_CALLS)) if role == "assistant" else ():
        function = object_of(object_of(call).get("function"))
        if isinstance(function.get("name"), str):
            parts.append(_call(text_of(object_of(call).get("id")), function["name"], function.get("arguments")))
    return parts or [TextPart(content)]


def _call(call_id: str, name: str, arguments: Any) -> ToolCallPart:
    if not isinstance(arguments, str):
        return ToolCallPart(call_id, name, arguments)
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.MsgspecError, RecursionError):
        return ToolCallPart(call_id, name, None, arguments_raw=arguments)
    return ToolCallPart(call_id, name, value, arguments_raw=None if json.dumps(value, ensure_ascii=False) == arguments else arguments)


def _hash(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def facts_of(extension: dict[str, Any], message: Message) -> Facts:
    """Return the event's facts that Turnfold wrote beside a message; for one that it did not write, those that follow from the message."""
    turn, visibility = extension.get("turn"), text_of(extension.get("visibility"))
    try:
        usage = msgspec.convert(extension.get("usage", {}), Usage)
    except msgspec.ValidationError:
        usage = NO_USAGE
    return Facts(
        is_turn=turn if isinstance(turn, bool) else message.role == "user",
        visibility=visibility if visibility in {"both", "model", "ui", "none"} else "both",
        usage=usage or message.usage or NO_USAGE,
        actor=name_of(extension.get("actor")),
        run_id=name_of(extension.get("run_id")),
        message_id=name_of(extension.get("message_id")),
        meta=object_of(extension.get("meta")),
    )
