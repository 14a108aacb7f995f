"""One stored event as one readable JSON line, every field and every byte of it: what a bundle is made of.

Payload and meta stand in the line as JSON, verbatim, so that a person can read them and their digests still hold; where that cannot be
(line breaks inside, no valid JSON) they stand there in base64. The kept source line is text where it is UTF-8.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable

import msgspec

from turnfold.codec.seal import event_digest, leaf, seal_root
from turnfold.errors import IntegrityError
from turnfold.model.event import Event, RangeTombstone, Seal
from turnfold.model.usage import NO_USAGE, Usage

_ABSENT = msgspec.Raw()


class _Record(msgspec.Struct, omit_defaults=True):
    """The line. Absent means default; ``*_b64`` excludes its plain twin.

    Text fields have no default but the empty one: whether msgspec leaves others out depends on the string object, and equal sessions
    make equal bundles.
    """

    seq: int
    id: str
    type: str
    at_us: int
    recorded_at_us: int
    branch: str
    visibility: str
    version: int = 1
    run_id: str | None = None
    actor: str | None = None
    causation_id: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    block_index: int | None = None
    parent_id: str | None = None
    visible_to: tuple[str, ...] | None = None
    hidden_from: tuple[str, ...] | None = None
    message_count: int = 0
    turn_count: int = 0
    token_count: int = 0
    usage: Usage | None = None
    redacted: bool = False
    salt: str = ""
    digest: str = ""
    meta: msgspec.Raw = _ABSENT
    meta_b64: str | None = None
    data: msgspec.Raw = _ABSENT
    data_b64: str | None = None
    source: str | None = None
    source_b64: str | None = None


class BundledRange(msgspec.Struct, omit_defaults=True):
    """A range tombstone; the leaves are base64."""

    first_seq: int
    last_seq: int
    ids: list[str]
    leaves: str
    reason: str = ""
    at_us: int = 0


class BundledSeal(msgspec.Struct, omit_defaults=True):
    """A seal; hashes are hex, the signature base64."""

    upto_seq: int
    previous: str
    root: str
    at_us: int = 0
    signature: str = ""


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(_Record)
_PLAIN = tuple(
    name for name in _Record.__struct_fields__ if name in Event.__struct_fields__ and name not in {"salt", "digest", "usage", "source"}
)


def encode_event(event: Event) -> bytes:
    """Return the event as one line, with its newline."""
    record = _Record(**{name: getattr(event, name) for name in _PLAIN})
    record.usage = event.usage or None
    record.salt, record.digest = event.salt.hex(), event.digest.hex()
    _put_json(record, "data", event.data_raw)
    if event.meta_raw is not None:
        _put_json(record, "meta", event.meta_raw)
    if event.source is not None:
        try:
            record.source = event.source.decode()
        except UnicodeDecodeError:
            record.source_b64 = b64encode(event.source).decode()
    return _encode(record) + b"\n"


def _put_json(record: _Record, name: str, raw: bytes) -> None:
    if b"\n" not in raw and b"\r" not in raw:
        try:
            same = bytes(msgspec.json.decode(raw, type=msgspec.Raw)) == raw and msgspec.json.decode(raw) is not None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            same = False
        if same:
            setattr(record, name, msgspec.Raw(raw))
            return
    setattr(record, f"{name}_b64", b64encode(raw).decode())


def decode_event(line: bytes) -> Event:
    """Return the event of a line.

    Raises:
        ValueError: It is none (msgspec's decode errors are ValueErrors).
    """
    record = _decoder.decode(line)
    return Event(
        **{name: getattr(record, name) for name in _PLAIN},
        data_raw=_get_json(record.data, record.data_b64) or b"null",
        meta_raw=_get_json(record.meta, record.meta_b64),
        source=record.source.encode() if record.source is not None else _bytes(record.source_b64),
        usage=record.usage or NO_USAGE,
        salt=bytes.fromhex(record.salt),
        digest=bytes.fromhex(record.digest),
    )


def _get_json(raw: msgspec.Raw, encoded: str | None) -> bytes | None:
    return bytes(raw) or _bytes(encoded)


def _bytes(encoded: str | None) -> bytes | None:
    return None if encoded is None else b64decode(encoded, validate=True)


def pack_range(item: RangeTombstone) -> BundledRange:
    """Return a range tombstone as it is written."""
    return BundledRange(item.first_seq, item.last_seq, list(item.ids), b64encode(item.leaves).decode(), item.reason, item.at_us)


def unpack_range(item: BundledRange) -> RangeTombstone:
    """Return a range tombstone as it is stored."""
    return RangeTombstone(item.first_seq, item.last_seq, tuple(item.ids), b64decode(item.leaves, validate=True), item.reason, item.at_us)


def pack_seal(seal: Seal) -> BundledSeal:
    """Return a seal as it is written."""
    return BundledSeal(seal.upto_seq, seal.previous.hex(), seal.root.hex(), seal.at_us, b64encode(seal.signature).decode())


def unpack_seal(seal: BundledSeal) -> Seal:
    """Return a seal as it is stored."""
    signature = b64decode(seal.signature, validate=True)
    return Seal(seal.upto_seq, bytes.fromhex(seal.previous), bytes.fromhex(seal.root), seal.at_us, signature)


def check_log(
    events: Iterable[Event],
    ranges: list[RangeTombstone],
    seals: list[Seal],
    *,
    last_seq: int,
    named: dict[int, bytes],
    key: bytes | None,
) -> None:
    """Raise IntegrityError at the first seq of a log that is missing or does not match its digest or seal.

    Args:
        events: In seq order.
        ranges: Range tombstones.
        seals: In order.
        last_seq: What the log must end with.
        named: Digests of the payloads that redaction events of the log account for, by seq.
        key: HMAC key of digests and seals, or None.
    """
    leaves: list[bytes] = []
    place = 0
    stretches = sorted(ranges, key=lambda item: item.first_seq)
    for event in events:
        while stretches and stretches[0].first_seq == place + 1:
            place = _pruned(stretches.pop(0), leaves)
        place += 1
        if event.seq != place:
            raise IntegrityError(f"event {place} is missing", seq=place)
        good = named.get(event.seq) == event.digest if event.redacted else event_digest(event, None, key) == event.digest
        if not good:
            raise IntegrityError(f"event {event.seq} does not match its digest", seq=event.seq)
        leaves.append(leaf(event))
    while stretches and stretches[0].first_seq == place + 1:
        place = _pruned(stretches.pop(0), leaves)
    if place != last_seq or stretches:
        raise IntegrityError(f"event {place + 1} is missing", seq=place + 1)
    previous, start = b"", 0
    for seal in seals:
        if seal.previous != previous or seal_root(previous, seal.upto_seq, leaves[start : seal.upto_seq], key) != seal.root:
            raise IntegrityError(f"the seal over events {start + 1}–{seal.upto_seq} does not match", seq=start + 1)
        previous, start = seal.root, seal.upto_seq


def _pruned(item: RangeTombstone, leaves: list[bytes]) -> int:
    size = len(leaves[0]) if leaves else 32
    leaves.extend(item.leaves[at : at + size] for at in range(0, len(item.leaves), size))
    return item.last_seq
