"""What one kind of list has to say: how sure it is about items, and what messages an item is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from turnfold.codec.parts import take_out
from turnfold.codec.residual import part_ref
from turnfold.formats.fields import name_of
from turnfold.formats.lines import parse_at
from turnfold.formats.media import Parts
from turnfold.limits import INLINE_PART_BYTES_MAX, STATE_VALUE_BYTES_MAX
from turnfold.model.event import Visibility
from turnfold.model.message import Message
from turnfold.model.parts import TextPart, ToolResultPart
from turnfold.model.usage import NO_USAGE, Usage

Items = Sequence[dict[str, Any]]
SECONDS_MAX = 100_000_000_000
"""A number beyond this is a time in milliseconds (as seconds it would be the year 5138)."""
TIME_KEYS = ("created_at", "createdAt", "timestamp", "created")


class Said(msgspec.Struct, kw_only=True):
    """One message of an item.

    Attributes:
        message: The message; its long media are taken out later.
        at_us: The item's time, if it has one.
        usage: What it adds to the session's usage.
        visibility: None is what the role says: instructions are for the model alone.
        parts: Media that are out of line already.
    """

    message: Message
    at_us: int | None = None
    usage: Usage = NO_USAGE
    visibility: Visibility | None = None
    parts: Parts = []


class Place(msgspec.Struct):
    """Where the reader is, for lists whose items lean on earlier ones; kept in its state.

    Attributes:
        number: Items so far, the present one included.
        function_ids: Ids made for calls of the kind that has none (``function_call``), newest last, by function name.
    """

    number: int = 0
    function_ids: dict[str, list[str]] = {}

    def call_without_id(self, name: str) -> str:
        """Make an id for a call, which the result of the same name gets too."""
        made = f"call_{self.number}"
        self.function_ids.setdefault(name, []).append(made)
        return made

    def result_without_id(self, name: str) -> str:
        """Return the id of the oldest call of that name that has no result yet, or a new one."""
        waiting = self.function_ids.get(name)
        if not waiting:
            return f"call_{self.number}"
        made = waiting.pop(0)
        if not waiting:
            del self.function_ids[name]
        return made


class Shape(Protocol):
    """One kind of list."""

    name: str
    """Of the format."""
    agent: str
    """Of the sessions that come from it."""

    def sureness(self, items: Items, envelope: dict[str, Any]) -> float:
        """How sure it is, 0 to 1, by the first items (at least one) and the fields around them."""
        ...

    def said(self, item: dict[str, Any], place: Place) -> list[Said] | None:
        """Return the messages of an item, or None where it is none of this kind. Values may be of any type."""
        ...

    def settled(self, item: dict[str, Any]) -> bool:
        """Whether an item will stay as it is."""
        ...

    def envelope(self, fields: dict[str, Any]) -> dict[str, Any]:
        """What the fields around the list say: ``system_prompt``, ``title``, ``state``, ``usage`` (a ``Usage``), where they do."""
        ...


def at_of(*holders: Any) -> int | None:
    """Return the time of the first holder that says one, microseconds since the epoch: seconds, milliseconds or RFC 3339."""
    for holder in holders:
        if isinstance(holder, dict):
            for key in TIME_KEYS:
                at = _at_us(holder.get(key))
                if at is not None:
                    return at
    return None


def _at_us(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return parse_at(value)
    if not 0 < value < SECONDS_MAX * 1000:
        return None
    return round(value * (1_000_000 if value < SECONDS_MAX else 1_000))


def texts_of(text: str) -> list[Any]:
    """Return one text part, or none for an empty text."""
    return [TextPart(text)] if text else []


def out_of_line(message: Message, out: Parts) -> None:
    """Take a message's long media out, those inside tools' answers too."""
    out += take_out(message)
    for part in message.parts:
        if type(part) is ToolResultPart and isinstance(part.response, list):
            part.response = [_out(item, out) for item in part.response]


def _out(item: Any, out: Parts) -> Any:
    content = item.get("content") if isinstance(item, dict) and item.get("type") == "blob" else None
    if not isinstance(content, str) or len(content) <= INLINE_PART_BYTES_MAX:
        return item
    data = content.encode()
    ref = part_ref(data)
    out.append((ref, data))
    return {**{key: value for key, value in item.items() if key != "content"}, "blob_ref": ref}


def response_of(parts: list[Any]) -> Any:
    """Return a tool's answer from its parts: plain text where it is one text, else the list as JSON."""
    if len(parts) == 1 and type(parts[0]) is TextPart and not parts[0].citations and not parts[0].ext:
        return parts[0].content
    return msgspec.to_builtins(parts)


def id_in(fields: dict[str, Any]) -> str | None:
    """Return the id that an envelope gives its conversation."""
    for key in ("thread_id", "session_id", "sessionId", "conversation_id", "chatId", "id"):
        found = name_of(fields.get(key))
        if found:
            return found
    return None


def state_of(value: Any) -> dict[str, Any]:
    """Return what can be kept as state: keys of a name's length, values up to the limit."""
    state = {key: item for key, item in value.items() if name_of(key)} if isinstance(value, dict) else {}
    return {key: item for key, item in state.items() if len(msgspec.json.encode(item)) <= STATE_VALUE_BYTES_MAX}
