"""What stands in the objects, as structs and bytes (msgpack; segments and rows compressed).

The manifest of a session holds its fixed-size head, the newest events (``tail``), the head entries, runs, seals and ranges that changed since
its ``base`` object was written (``hot``), and the list of its segments. Everything it refers to is immutable. ``token`` is new with each
write and ``tokens`` are those of the last writes, so that a writer whose answer was lost finds itself, even below others' writes.
"""

from __future__ import annotations

import zlib
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import Raw

from turnfold.errors import InvalidInput, SchemaTooNew, StoreCorrupt
from turnfold.model.commit import Commit
from turnfold.model.event import Event, RangeTombstone, Seal
from turnfold.model.run import Run
from turnfold.model.session import Entry
from turnfold.model.usage import NO_USAGE, Usage

FORMAT: Final = 1
TOKENS_KEPT: Final = 32
ID_BYTES: Final = 8
_MAGIC: Final = b"TFS1"
_ZLIB_FAST: Final = 1
_ZLIB_SMALL: Final = 6


class EventRow(Event, array_like=True, frozen=True, gc=False, omit_defaults=False):
    """An event as an array."""


class SegmentRef(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A segment: the name of its object, the seqs that it covers, the size of its rows before compression."""

    name: str
    first_seq: int
    last_seq: int
    raw_bytes: int


class Garbage(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An object that nothing refers to any more, and from when on it may be removed."""

    name: str
    due_at_us: int


class Fixed(msgspec.Struct, omit_defaults=True):
    """The fields of the head that have a fixed size."""

    owner: str | None = None
    agent: str = ""
    kind: str = "session"
    status: str = "active"
    end_reason: str | None = None
    created_at_us: int = 0
    updated_at_us: int = 0
    expires_at_us: int | None = None
    ttl_s: float | None = None
    last_seq: int = 0
    message_count: int = 0
    turn_count: int = 0
    token_count: int = 0
    usage: Usage = NO_USAGE
    branch_count: int = 1
    checkpoint_count: int = 0
    active_branch: str = "main"
    gone_count: int = 0
    """Events that were redacted or pruned: more than what the search follower's cursor knows means rows to be erased."""


class Rows(msgspec.Struct, omit_defaults=True):
    """What of the head and the rows beside it may grow: all of it (a base), or what changed since the base (hot)."""

    entries: list[Entry] = []
    by_model: list[Usage] = []
    runs: list[Run] = []
    seals: list[Seal] = []
    ranges: list[RangeTombstone] = []
    parts: list[str] = []
    parts_gone: list[str] = []
    redacted: list[int] = []


class Manifest(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The manifest of a session."""

    format: int = FORMAT
    token: str
    tokens: list[str] = []
    version: int
    tenant: str
    session_id: str
    incarnation: str
    fence: int = 0
    leased: bool = False
    deleted_at_us: int | None = None
    fixed: Fixed
    info: list[Entry] = []
    hot: Rows
    base: str = ""
    segments: list[SegmentRef] = []
    tail: list[Raw] = []
    recent_first_seq: int = 1
    recent_ids: bytes = b""
    outbox: list[bytes] = []
    garbage: list[Garbage] = []


class Segment(msgspec.Struct, array_like=True):
    """The content of a segment."""

    token: str
    rows: list[Raw]


class Base(msgspec.Struct, array_like=True):
    """The content of a base."""

    token: str
    rows: Rows


class _Version(msgspec.Struct):
    format: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode_manifest = msgspec.msgpack.Decoder(Manifest).decode
_decode_version = msgspec.msgpack.Decoder(_Version).decode
_decode_segment = msgspec.msgpack.Decoder(Segment).decode
_decode_base = msgspec.msgpack.Decoder(Base).decode
_decode_row = msgspec.msgpack.Decoder(EventRow).decode
_decode_commit = msgspec.msgpack.Decoder(Commit).decode
_as_tuple = msgspec.structs.astuple


def pack(value: Any) -> bytes:
    """Return a struct's bytes, or raise InvalidInput for what msgpack cannot hold: lone surrogates, foreign types, numbers beyond 64 bits."""
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"the commit cannot be written: {error}") from error


def decode_manifest(body: bytes, key: str) -> Manifest:
    """Return the manifest in an object.

    Raises:
        SchemaTooNew: A newer Turnfold wrote it.
        StoreCorrupt: It is none.
    """
    try:
        if _decode_version(body).format > FORMAT:
            raise SchemaTooNew(f"{key} was written by a newer Turnfold", key=key)
        return _decode_manifest(body)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"{key} is no manifest: {error}", key=key) from error


class _Tokens(msgspec.Struct):
    token: str = ""
    tokens: list[str] = []


_decode_tokens = msgspec.msgpack.Decoder(_Tokens).decode


def is_written_with(body: bytes, token: str) -> bool:
    """Whether a manifest was written with this token."""
    return _tokens_of(body).token == token


def goes_on_from(body: bytes, token: str) -> bool:
    """Whether a manifest goes on from one that was written with this token."""
    return token in _tokens_of(body).tokens


def _tokens_of(body: bytes) -> _Tokens:
    try:
        return _decode_tokens(body)
    except msgspec.MsgspecError:
        return _Tokens()


def encode_event(event: Event) -> Raw:
    """Return a stored event's row."""
    return Raw(pack(EventRow(*_as_tuple(event))))


def decode_event(row: Raw) -> Event:
    """Return the event of a row."""
    return Event(*_as_tuple(_decode_row(row)))


def encode_segment(token: str, rows: list[Raw], *, small: bool = False) -> bytes:
    """Return a segment's object; ``small`` takes more time for it."""
    return _MAGIC + zlib.compress(_encode(Segment(token, rows)), _ZLIB_SMALL if small else _ZLIB_FAST)


def decode_segment(body: bytes, key: str) -> list[Raw]:
    """Return the rows of a segment, or raise StoreCorrupt."""
    try:
        return _decode_segment(_unpacked(body)).rows
    except (ValueError, zlib.error, msgspec.MsgspecError) as error:
        raise StoreCorrupt(f"{key} is damaged: {error}", key=key) from error


def encode_base(token: str, rows: Rows) -> bytes:
    """Return a base's object."""
    return _MAGIC + zlib.compress(pack(Base(token, rows)), _ZLIB_FAST)


def decode_base(body: bytes, key: str) -> Rows:
    """Return the rows of a base, or raise StoreCorrupt."""
    try:
        return _decode_base(_unpacked(body)).rows
    except (ValueError, zlib.error, msgspec.MsgspecError) as error:
        raise StoreCorrupt(f"{key} is damaged: {error}", key=key) from error


def _unpacked(body: bytes) -> bytes:
    if not body.startswith(_MAGIC):
        raise ValueError("it begins otherwise than what this store writes")
    return zlib.decompress(memoryview(body)[len(_MAGIC) :])


def decode_commit(body: bytes) -> Commit:
    """Return a commit that waited in an outbox."""
    return _decode_commit(body)


def id_hash(event_id: str) -> bytes:
    """Return the short hash by which a manifest remembers an id; a hit is always compared with the event itself."""
    return blake2b(event_id.encode(), digest_size=ID_BYTES).digest()
