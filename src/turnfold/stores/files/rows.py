"""Events as people can read them in a line of the log, their bytes exactly as committed.

A payload that is JSON text is written into the line as it is; anything else (ciphertext, text over several lines, JSON that this reader
would not give back byte for byte) goes base64-encoded into the field of the same name with ``_base64``. So ``less`` shows the words, ``jq``
reads the fields, and the digests over the bytes stay true.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from turnfold.model.event import MAIN, Event
from turnfold.model.session import Entry
from turnfold.model.usage import NO_USAGE, Usage

NO_RAW = Raw()
_encode = msgspec.json.Encoder().encode
_check_json = msgspec.json.Decoder(Raw).decode


class EventRow(msgspec.Struct, omit_defaults=True, gc=False):
    """An event in a line, without its kept source line."""

    seq: int
    id: str
    type: str
    data: Raw = NO_RAW
    data_base64: bytes = b""
    branch: str = MAIN
    at_us: int = 0
    recorded_at_us: int = 0
    version: int = 1
    run_id: str | None = None
    actor: str | None = None
    causation_id: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    block_index: int | None = None
    parent_id: str | None = None
    visibility: str = "both"
    visible_to: tuple[str, ...] | None = None
    hidden_from: tuple[str, ...] | None = None
    meta: Raw = NO_RAW
    meta_base64: bytes | None = None
    message_count: int = 0
    turn_count: int = 0
    token_count: int = 0
    usage: Usage = NO_USAGE
    salt: bytes = b""
    digest: bytes = b""
    redacted: bool = False


class SourcedRow(EventRow, omit_defaults=True, gc=False):
    """An event in a line with its kept source line."""

    source: str | None = None
    source_base64: bytes | None = None


class IdRow(msgspec.Struct, gc=False):
    """What the index needs of an event."""

    seq: int
    id: str


class EntryRow(msgspec.Struct, omit_defaults=True, gc=False):
    """A head entry in a line: with neither value it was removed."""

    kind: str
    name: str
    seq: int = 0
    branch: str = ""
    value: Raw = NO_RAW
    value_base64: bytes | None = None


_decode_light = msgspec.json.Decoder(EventRow).decode
_decode_sourced = msgspec.json.Decoder(SourcedRow).decode
decode_id = msgspec.json.Decoder(IdRow).decode


def as_line_json(data: bytes) -> Raw | None:
    """Return the bytes as JSON that a line may hold and give back exactly, or None."""
    if b"\n" in data or b"\r" in data:
        return None
    try:
        raw = _check_json(data)
        if not data.isascii():
            data.decode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    # Blanks around the value would be lost; equal lengths of a part and its whole mean equal bytes.
    return raw if len(memoryview(raw)) == len(data) else None


def encode_event(event: Event, seq: int, branch: str, recorded_at_us: int) -> bytes:
    """Return the event as JSON without line breaks, at the place and time that the store gives it."""
    data = as_line_json(event.data_raw)
    meta = None if event.meta_raw is None else as_line_json(event.meta_raw)
    fields = (
        seq,
        event.id,
        event.type,
        NO_RAW if data is None else data,
        event.data_raw if data is None else b"",
        branch,
        event.at_us,
        recorded_at_us,
        event.version,
        event.run_id,
        event.actor,
        event.causation_id,
        event.correlation_id,
        event.message_id,
        event.block_index,
        event.parent_id,
        event.visibility,
        event.visible_to,
        event.hidden_from,
        NO_RAW if meta is None else meta,
        event.meta_raw if meta is None else None,
        event.message_count,
        event.turn_count,
        event.token_count,
        event.usage,
        event.salt,
        event.digest,
        event.redacted,
    )
    if event.source is None:
        return _encode(EventRow(*fields))
    try:
        return _encode(SourcedRow(*fields, event.source.decode()))
    except UnicodeDecodeError:
        return _encode(SourcedRow(*fields, None, event.source))


def decode_event(row: bytes | memoryview, *, with_source: bool = True) -> Event:
    """Return the event of a row."""
    if not with_source:
        return _event_of(_decode_light(row), None)
    sourced = _decode_sourced(row)
    source = sourced.source_base64 if sourced.source is None else sourced.source.encode()
    return _event_of(sourced, source)


def _event_of(row: EventRow, source: bytes | None) -> Event:
    return Event(
        row.seq,
        row.id,
        row.type,
        row.data_base64 if row.data is NO_RAW else bytes(row.data),
        row.at_us,
        row.recorded_at_us,
        row.version,
        row.branch,
        row.run_id,
        row.actor,
        row.causation_id,
        row.correlation_id,
        row.message_id,
        row.block_index,
        row.parent_id,
        row.visibility,
        row.visible_to,
        row.hidden_from,
        row.meta_base64 if row.meta is NO_RAW else bytes(row.meta),
        row.message_count,
        row.turn_count,
        row.token_count,
        row.usage,
        source,
        row.salt,
        row.digest,
        row.redacted,
    )


def entry_row(entry: Entry, seq: int, branch: str) -> EntryRow:
    """Return a head entry as it stands in a line, at its place."""
    if entry.value is None:
        return EntryRow(entry.kind, entry.name, seq, branch)
    value = as_line_json(entry.value)
    if value is None:
        return EntryRow(entry.kind, entry.name, seq, branch, value_base64=entry.value)
    return EntryRow(entry.kind, entry.name, seq, branch, value)


def entry_of(row: EntryRow) -> Entry:
    """Return the head entry of a row."""
    value = row.value_base64 if row.value is NO_RAW else bytes(row.value)
    return Entry(row.kind, row.name, value, row.seq, row.branch)
