"""From what a caller gives to an event that is ready to commit: payload encoded, counts derived, id and time fixed, digest taken.

Pure: id, time, salt and key come in as arguments. What is fixed here stays fixed through every retry.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from turnfold.codec.seal import event_digest
from turnfold.errors import InvalidInput, LimitExceeded
from turnfold.ids import check_name, check_text
from turnfold.limits import EVENT_DATA_BYTES_MAX, EVENT_ID_BYTES_MAX
from turnfold.model.event import VISIBILITIES, Event, NewEvent, to_us
from turnfold.model.event_types import ALIASES, MESSAGE
from turnfold.model.message import Message, encode_message
from turnfold.model.usage import NO_USAGE, Usage

_encode = msgspec.json.Encoder().encode
_set = msgspec.structs.force_setattr


def prepare_event(new: NewEvent | Message, *, id: str, at_us: int, salt: bytes, key: bytes | None = None) -> Event:  # noqa: A002 - the event's field
    """Return the event to commit.

    Args:
        new: A message, or an event. Its own id and time win over the arguments.
        id: Id to give it, fixed before the first attempt.
        at_us: Time to give it, microseconds since the epoch.
        salt: 16 random bytes.
        key: HMAC key of the digest, or None.

    Raises:
        InvalidInput: A field cannot be used, or the payload is no JSON.
        LimitExceeded: The payload is larger than EVENT_DATA_BYTES_MAX.
    """
    event = _message_event(new, id, at_us, salt) if isinstance(new, Message) else _new_event(new, id, at_us, salt)
    if len(event.data_raw) > EVENT_DATA_BYTES_MAX:
        raise LimitExceeded(
            f"the payload has {len(event.data_raw)} bytes, the limit is {EVENT_DATA_BYTES_MAX}",
            limit="EVENT_DATA_BYTES_MAX",
            value=EVENT_DATA_BYTES_MAX,
        )
    # nobody has seen the event yet: setting its last field beats building it a second time (27 fields)
    _set(event, "digest", event_digest(event, key=key))
    return event


def _message_event(message: Message, event_id: str, at_us: int, salt: bytes) -> Event:
    check_text(event_id, "event_id", EVENT_ID_BYTES_MAX)
    return Event(
        0,
        event_id,
        MESSAGE,
        _encoded(message),
        at_us,
        message_count=1,
        turn_count=1 if message.role == "user" else 0,
        usage=_usage_of(message),
        salt=salt,
    )


def _new_event(new: NewEvent, event_id: str, at_us: int, salt: bytes) -> Event:
    kind = ALIASES.get(new.type, new.type)
    check_name(kind, "event_type")
    if new.visibility not in VISIBILITIES:
        raise InvalidInput(f"visibility {new.visibility!r} is none of {', '.join(VISIBILITIES)}")
    messages, turns, usage = new.message_count, new.turn_count, new.usage
    if kind == MESSAGE:
        messages = 1 if messages is None else messages
        turns = int(_role_of(new.data) == "user") if turns is None else turns
        usage = usage or (_usage_of(new.data) if isinstance(new.data, Message) else NO_USAGE)
    return Event(
        0,
        check_text(event_id if new.id is None else new.id, "event_id", EVENT_ID_BYTES_MAX),
        kind,
        _encoded(new.data),
        _time(new.at, at_us),
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
        visible_to=new.visible_to,
        hidden_from=new.hidden_from,
        meta_raw=_encode(new.meta) if new.meta else None,
        message_count=messages or 0,
        turn_count=turns or 0,
        token_count=new.token_count,
        usage=usage,
        source=new.source,
        salt=salt,
    )


def _role_of(data: Any) -> str:
    if isinstance(data, Message):
        return data.role
    return str(data.get("role", "")) if isinstance(data, dict) else ""


def _usage_of(message: Message) -> Usage:
    usage = message.usage
    if usage is None or not usage:
        return NO_USAGE
    if not usage.model and message.model:
        return msgspec.structs.replace(usage, model=message.model)
    return usage


def _time(at: datetime | int | None, at_us: int) -> int:
    if at is None:
        return at_us
    return to_us(at) if isinstance(at, datetime) else at


def _encoded(data: Any) -> bytes:
    """The payload as JSON bytes; bytes are taken verbatim, once it is known that they are JSON."""
    if isinstance(data, Message):
        return encode_message(data)
    try:
        if isinstance(data, bytes):
            msgspec.json.decode(data, type=msgspec.Raw)
            return data
        return _encode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, TypeError, UnicodeError) as error:
        raise InvalidInput(f"the payload is no JSON: {error}") from error
