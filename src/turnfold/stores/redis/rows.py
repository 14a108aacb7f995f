"""What is packed into the values of a session's keys: event rows, the head, entries.

An event row is a header and a body. The header is put on by whoever gives out the place (the commit's script, which alone knows the branch and
the time): size of what follows (0 where the event was pruned), recorded_at, flags, length of the branch's name and the name (none: ``main``).
The body is a MessagePack array of the event's fields, the frequent ones first; trailing defaults are left out. Rows carry their own size, so
that a script may answer with many rows in one string, which costs a driver in Python a tenth of an answer with many strings.

The head is one MessagePack array. Lua reads and writes it by position (``append.lua``); it holds no nil, which would turn an array of Lua
into a map: absent texts are false or empty, absent times 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any, Final

import msgspec

from turnfold.core.checks import State, effective_status
from turnfold.model.event import MAIN, Event
from turnfold.model.session import BRANCH_KEYED, Entry
from turnfold.model.usage import NO_USAGE, Usage

_header = Struct(">IdBH")
_size = Struct(">I")
HEADER_BYTES: Final = _header.size
REDACTED: Final = 1
PRUNED_ROW: Final = _size.pack(0)

_encode = msgspec.msgpack.Encoder().encode


class EventBody(msgspec.Struct, array_like=True, gc=False):
    """The fields of an event that its header does not have; a plain message ends after ``digest``."""

    id: str
    type: str
    data: bytes
    at_us: int
    message_count: int
    turn_count: int
    token_count: int
    salt: bytes
    digest: bytes
    usage: tuple[int, int, int, int, int, int, str] | None = None
    run_id: str | None = None
    message_id: str | None = None
    parent_id: str | None = None
    visibility: str = "both"
    meta: bytes | None = None
    version: int = 1
    actor: str | None = None
    causation_id: str | None = None
    correlation_id: str | None = None
    block_index: int | None = None
    visible_to: tuple[str, ...] | None = None
    hidden_from: tuple[str, ...] | None = None


_decode_body = msgspec.msgpack.Decoder(EventBody).decode


def event_body(event: Event) -> bytes:
    """Return the body of an event's row."""
    usage = event.usage
    plain = (event.id, event.type, event.data_raw, event.at_us, event.message_count, event.turn_count, event.token_count)
    if (
        usage is NO_USAGE
        and event.run_id is None
        and event.message_id is None
        and event.parent_id is None
        and event.meta_raw is None
        and event.visibility == "both"
        and event.version == 1
        and event.actor is None
        and event.causation_id is None
        and event.correlation_id is None
        and event.block_index is None
        and event.visible_to is None
        and event.hidden_from is None
    ):
        return _encode((*plain, event.salt, event.digest))
    return _encode(
        (
            *plain,
            event.salt,
            event.digest,
            None if usage == NO_USAGE else (*usage.numbers(), usage.model),  # a model that counted nothing is kept
            event.run_id,
            event.message_id,
            event.parent_id,
            event.visibility,
            event.meta_raw,
            event.version,
            event.actor,
            event.causation_id,
            event.correlation_id,
            event.block_index,
            event.visible_to,
            event.hidden_from,
        )
    )


def event_row(event: Event, recorded_at_us: int, branch: str) -> bytes:
    """Return the whole row of an event whose branch and time are known."""
    name = b"" if branch == MAIN else branch.encode()
    body = event_body(event)
    size = HEADER_BYTES - _size.size + len(name) + len(body)
    return _header.pack(size, recorded_at_us, REDACTED if event.redacted else 0, len(name)) + name + body


def split_rows(data: bytes, first_seq: int) -> Iterator[tuple[int, int, int]]:
    """Yield seq, start and end of each row that is not a pruned event's; the rows follow each other from ``first_seq`` on."""
    at, end, seq = 0, len(data), first_seq
    size_at = _size.unpack_from
    while at < end:
        following = at + 4 + size_at(data, at)[0]
        if following > at + 4:
            yield seq, at, following
        at = following
        seq += 1


def event_at(data: bytes, seq: int, start: int, end: int) -> Event:
    """Build the event whose row lies there."""
    _, recorded_at, flags, name_bytes = _header.unpack_from(data, start)
    at = start + HEADER_BYTES
    body_at = at + name_bytes
    body = _decode_body(memoryview(data)[body_at:end])
    usage = body.usage
    return Event(
        seq,
        body.id,
        body.type,
        body.data,
        body.at_us,
        int(recorded_at),
        body.version,
        data[at:body_at].decode() if name_bytes else MAIN,
        body.run_id,
        body.actor,
        body.causation_id,
        body.correlation_id,
        body.message_id,
        body.block_index,
        body.parent_id,
        body.visibility,
        body.visible_to,
        body.hidden_from,
        body.meta,
        body.message_count,
        body.turn_count,
        body.token_count,
        NO_USAGE if usage is None else Usage(*usage),
        None,
        body.salt,
        body.digest,
        bool(flags & REDACTED),
    )


def events_of(data: bytes, first_seq: int) -> list[Event]:
    """Build the events of consecutive rows."""
    return [event_at(data, seq, start, end) for seq, start, end in split_rows(data, first_seq)]


class HeadRow(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """The packed head. ``append.lua`` names the same places."""

    incarnation: str
    owner: str = ""
    agent: str = ""
    kind: str = "session"
    status: str = "active"
    end_reason: str | bool = False
    created_at_us: int = 0
    updated_at_us: int = 0
    expires_at_us: int = 0
    ttl_s: float = 0
    last_seq: int = 0
    message_count: int = 0
    turn_count: int = 0
    token_count: int = 0
    branch_count: int = 1
    checkpoint_count: int = 0
    active_branch: str = MAIN
    tail_branch: str = MAIN
    usage: list[int] = msgspec.field(default_factory=lambda: [0] * 6)
    models: list[list[str | int]] = msgspec.field(default_factory=list)
    fence: int = 0
    holder: str | bool = False
    lease_expires_us: int = 0
    listed_at_us: int = 0
    listed_claim: str = ""
    marked_at_us: int = 0
    range_count: int = 0
    hold_until_us: int = 0
    held_by: str = ""

    def state(self) -> State:
        """What the checks of a commit need to know."""
        return State(
            status=self.status,
            expires_at_us=self.expires_at_us or None,
            leased=self.holder is not False,
            fence=self.fence,
            active_branch=self.active_branch,
            last_seq=self.last_seq,
            turn_count=self.turn_count,
            message_count=self.message_count,
            branch_count=self.branch_count,
            checkpoint_count=self.checkpoint_count,
        )

    def info_fields(self, now_us: int) -> dict[str, Any]:
        """The fields of a SessionInfo that are no entries."""
        expires_at_us = self.expires_at_us or None
        return {
            "owner": self.owner or None,
            "agent": self.agent,
            "kind": self.kind,
            "status": effective_status(self.status, expires_at_us, now_us),
            "end_reason": None if self.end_reason is False else self.end_reason,
            "created_at_us": self.created_at_us,
            "updated_at_us": self.updated_at_us,
            "expires_at_us": expires_at_us,
            "last_seq": self.last_seq,
            "message_count": self.message_count,
            "turn_count": self.turn_count,
            "token_count": self.token_count,
            "usage": _usage(self.usage) if any(self.usage) else NO_USAGE,
            "branch_count": self.branch_count,
            "active_branch": self.active_branch,
        }

    def usage_by_model(self) -> dict[str, Usage]:
        """Usage of each model."""
        return {str(name): _usage(numbers, str(name)) for name, *numbers in self.models}


def _usage(numbers: Sequence[str | int], model: str = "") -> Usage:
    a, b, c, d, e, f = map(int, numbers)
    return Usage(a, b, c, d, e, f, model)


decode_head = msgspec.msgpack.Decoder(HeadRow).decode
encode_head = _encode


def entry_field(kind: str, name: str, branch: str) -> bytes:
    """Return the field of a head entry in its hash: ``kind:bytes of the branch:branch name``."""
    if not branch:
        return f"{kind}:0:{name}".encode()
    raw = branch.encode()
    return b"%b:%d:%b%b" % (kind.encode(), len(raw), raw, name.encode())


def entry_value(seq: int, value: bytes | None) -> bytes:
    """Return a head entry's value in its hash: ``seq=value``, or ``seq-`` where it was removed."""
    return b"%d-" % seq if value is None else b"%d=%b" % (seq, value)


def entry_of(field: bytes, packed: bytes) -> Entry:
    """Build a head entry from its field and value."""
    kind, size, rest = field.split(b":", 2)
    at = int(size)
    digits = packed.find(b"=")
    minus = packed.find(b"-", 0, digits if digits >= 0 else len(packed))
    cut = minus if minus >= 0 else digits
    value = None if minus >= 0 else packed[cut + 1 :]
    return Entry(kind.decode(), rest[at:].decode(), value, int(packed[:cut]), rest[:at].decode())


def is_branch_keyed(kind: str) -> bool:
    """Whether entries of that kind belong to a branch."""
    return kind in BRANCH_KEYED
