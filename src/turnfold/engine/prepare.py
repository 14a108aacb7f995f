"""From what a caller appends to events ready to commit: ids, times and digests are fixed here, before the first attempt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

import msgspec

from turnfold.codec.seal import event_digest
from turnfold.core.fold import payload_of
from turnfold.core.upcasting import UPCASTERS
from turnfold.errors import InvalidInput
from turnfold.ids import check_text, new_id_and_salt, new_salt, now_us
from turnfold.limits import APPEND_EVENTS_MAX, EVENT_DATA_BYTES_MAX, EVENT_ID_BYTES_MAX, INLINE_PART_BYTES_MAX, NAME_BYTES_MAX
from turnfold.model.event import VISIBILITIES, Event, NewEvent, to_us
from turnfold.model.event_types import ALIASES, MESSAGE, PAYLOADS
from turnfold.model.message import ROLES, Message, decode_message, encode_message
from turnfold.model.parts import BlobPart, TextPart
from turnfold.model.usage import NO_USAGE

Item: TypeAlias = Message | NewEvent
Parts: TypeAlias = list[tuple[str, bytes]]

_encode = msgspec.json.Encoder().encode
_seal_in = msgspec.structs.force_setattr
_FOR_MODEL = frozenset({"both", "model"})
TOKEN_BYTES = 4
"""Bytes per token of the default estimate (6 % high on English text, see the memory measurements)."""


def prepare_all(items: Item | Iterable[Item], key: bytes | None = None) -> tuple[tuple[Event, ...], Parts]:
    """Prepare one item or several; returns the events and the parts that go out of line.

    Raises:
        InvalidInput: An item is neither a Message nor a NewEvent, cannot be encoded, or there are none or too many.
    """
    parts: Parts = []
    if type(items) is Message:
        return (prepare(items, key, parts),), parts
    if isinstance(items, (Message, NewEvent)):
        items = (items,)
    events = tuple([prepare(item, key, parts) if type(item) is Message else _checked(item, key, parts) for item in items])
    if not 0 < len(events) <= APPEND_EVENTS_MAX:
        raise InvalidInput(f"a commit takes 1 to {APPEND_EVENTS_MAX} items, not {len(events)}", limit="APPEND_EVENTS_MAX")
    return events, parts


def may_begin_a_turn(items: Item | Iterable[Item]) -> bool:
    """Whether there may be a user's message among items; of events made elsewhere only the commit knows."""
    found = (items,) if isinstance(items, (Message, NewEvent)) else items
    return any(item.role == "user" if isinstance(item, Message) else True for item in found)


def _checked(item: Item, key: bytes | None, parts: Parts) -> Event:
    """Prepare an event and see that its payload fits its type: one that does not would make the session's folds fail for ever."""
    event = prepare(item, key, parts)
    if type(getattr(item, "data", None)) is PAYLOADS.get(event.type):  # typed already
        return event
    if event.version == 1 and event.type in PAYLOADS and event.type not in UPCASTERS:
        try:
            decode_message(event.data_raw) if event.type == MESSAGE else payload_of(event)
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"the payload does not fit a {event.type} event: {error}") from error
    return event


def prepare(item: Item, key: bytes | None, parts: Parts) -> Event:
    """Prepare one item; parts that go out of line are added to ``parts``."""
    try:
        if type(item) is Message:
            event = _from_message(item, parts)
        elif isinstance(item, NewEvent):
            event = _from_new(item, parts)
        else:
            raise InvalidInput(f"append takes messages and events, not {type(item).__name__}", hint="build one with turnfold.user(…)")
        return _sealed(event, key)
    except (TypeError, ValueError, OverflowError) as error:  # what msgspec raises for what JSON cannot hold, lone surrogates included
        raise InvalidInput(f"the item cannot be written as JSON: {error}") from error


def prepare_read(new: NewEvent, event_id: str, *, branch: str, at_us: int, key: bytes | None) -> Event:
    """Prepare an event that a reader made of a line: its payload is bytes, its counts are set, its id is the importer's.

    Raises:
        InvalidInput: It is too long, or has what no store can hold.
    """
    if new.type not in PAYLOADS:
        check_text(new.type, "event type", NAME_BYTES_MAX)
    data = new.data
    tokens = new.token_count
    if not tokens and new.type == MESSAGE and new.visibility in _FOR_MODEL:
        tokens = estimate_tokens(data)
    try:
        event = Event(
            0,
            event_id,
            new.type,
            data,
            at_us,
            0,
            new.version,
            branch,
            new.run_id,
            new.actor,
            new.causation_id,
            new.correlation_id,
            new.message_id,
            new.block_index,
            new.parent_id,
            new.visibility,
            new.visible_to,
            new.hidden_from,
            None if new.meta is None else _encode(new.meta),
            new.message_count or 0,
            new.turn_count or 0,
            tokens,
            new.usage,
            new.source,
            new_salt(),
        )
        return _sealed(event, key)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"the item cannot be written as JSON: {error}") from error


def _sealed(event: Event, key: bytes | None) -> Event:
    if len(event.data_raw) > EVENT_DATA_BYTES_MAX:
        size = len(event.data_raw)
        raise InvalidInput(f"an event's payload has {size} bytes, the limit is {EVENT_DATA_BYTES_MAX}", limit="EVENT_DATA_BYTES_MAX")
    _seal_in(event, "digest", event_digest(event, None, key))
    return event


def _from_message(message: Message, parts: Parts) -> Event:
    role = message.role
    if role not in ROLES:
        raise InvalidInput(f"role {role!r} is none of {', '.join(sorted(ROLES))}")
    for part in message.parts:
        if type(part) is BlobPart and part.content is not None and len(part.content) > INLINE_PART_BYTES_MAX:
            message = msgspec.structs.replace(message, parts=[msgspec.structs.replace(p) for p in message.parts])
            from turnfold.codec.parts import take_out

            parts += take_out(message)
            break
    data = encode_message(message)
    usage = message.usage
    if usage is None:
        usage = NO_USAGE
    elif message.model and not usage.model:
        usage = msgspec.structs.replace(usage, model=message.model)
    at_us = now_us()
    new_id, salt = new_id_and_salt(at_us)
    return Event(
        seq=0,
        id=new_id,
        type=MESSAGE,
        data_raw=data,
        at_us=at_us,
        message_count=1,
        turn_count=1 if role == "user" else 0,
        token_count=estimate_tokens(data),
        usage=usage,
        salt=salt,
    )


def estimate_tokens(data: bytes) -> int:
    """Tokens of an encoded payload, estimated from its bytes."""
    return (len(data) + TOKEN_BYTES - 1) // TOKEN_BYTES


def _from_new(new: NewEvent, parts: Parts) -> Event:
    kind = ALIASES.get(new.type, new.type)
    check_text(kind, "event type", NAME_BYTES_MAX)
    if new.visibility not in VISIBILITIES:
        raise InvalidInput(f"visibility {new.visibility!r} is none of {', '.join(VISIBILITIES)}")
    if new.version < 1:
        raise InvalidInput(f"an event's version is 1 or higher, not {new.version}")
    data: bytes
    if isinstance(new.data, Message):
        inner = _from_message(new.data, parts)
        data, message_count, turn_count, usage, tokens = (
            inner.data_raw,
            inner.message_count,
            inner.turn_count,
            inner.usage,
            inner.token_count,
        )
    elif kind == MESSAGE and isinstance(new.data, Mapping) and "content" in new.data and "parts" not in new.data:
        inner = _from_message(_from_content(new), parts)
        data, message_count, turn_count, usage, tokens = inner.data_raw, 1, inner.turn_count, NO_USAGE, inner.token_count
    else:
        data = new.data if isinstance(new.data, bytes) else _encode(new.data)
        message_count, turn_count, usage, tokens = (1 if kind == MESSAGE else 0), 0, NO_USAGE, 0
    new_id, salt = new_id_and_salt(now_us())
    return Event(
        seq=0,
        id=new_id if new.id is None else check_text(new.id, "event id", EVENT_ID_BYTES_MAX),
        type=kind,
        data_raw=data,
        at_us=_at_us(new.at),
        version=new.version,
        branch=new.branch,
        run_id=new.run_id,
        actor=new.actor,
        causation_id=new.causation_id,
        correlation_id=new.correlation_id,
        message_id=new.message_id,
        block_index=new.block_index,
        parent_id=new.parent_id,
        visibility=new.visibility,
        visible_to=None if new.visible_to is None else tuple(new.visible_to),
        hidden_from=None if new.hidden_from is None else tuple(new.hidden_from),
        meta_raw=None if new.meta is None else _encode(new.meta),
        message_count=message_count if new.message_count is None else new.message_count,
        turn_count=turn_count if new.turn_count is None else new.turn_count,
        token_count=new.token_count or tokens,
        usage=new.usage or usage,
        source=new.source,
        salt=salt,
    )


def _from_content(new: NewEvent) -> Message:
    """Read the ``{role, content}`` that the underscore names of messages carry."""
    content = new.data["content"]
    text = content if isinstance(content, str) else _encode(content).decode()
    role = new.data.get("role") or ("assistant" if new.type == "message_received" else "user")
    return Message(role, [TextPart(text)])


def _at_us(at: datetime | int | None) -> int:
    if at is None:
        return now_us()
    return to_us(at) if isinstance(at, datetime) else int(at)
