"""Blocks: what cold events hold, many together and compressed.

Theory of operation. Nearly all the room of a log is payloads and kept source lines, and they are alike: the same keys, paths and words again and
again. Compressed one by one they shrink to a half, 64 KiB of them together to a fifth. So a block takes over the bulky fields of consecutive
events of one session (``BULKY``), and their rows stay, slim, with everything that is looked up, filtered or checked: id, type, branch, run,
times, visibility, counts, salt and digest. A slim row has empty bytes for its payload, which no payload is.

A block is: one byte that names the form, then zlib's stream of a directory and the fields. The directory is msgpack: per event its seq, less
the block's first, and the lengths of its fields, -1 for NULL. The fields of an event stand together, so that a source line finds its own
payload in the compressor's window (32 KiB).

Measured on 24.7 MB of transcripts, blocks of 64 KiB: zlib 6 leaves 0.186, zlib 9 0.184, zstd 3 0.185, zstd 9 0.171 of them. Larger blocks
would leave 0.175 (256 KiB), and a read of a few events would decompress four times as much. zlib it is: every Python reads it.
Encrypted payloads do not compress; a block of them only saves the room of their rows.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from turnfold.errors import StoreCorrupt
from turnfold.limits import BLOCK_BYTES, BLOCK_EVENTS_MAX, BLOCK_RATIO_MAX
from turnfold.stores.sql.rows import EventRow

_ZLIB_FORM: Final = b"\x01"
_LEVEL: Final = 6
_LENGTH_BYTES: Final = 4
NO_BYTES: Final = b""


class Bulky(NamedTuple):
    """What a block takes over of an event, as the columns hold it."""

    data: bytes
    source: bytes | None
    meta: bytes | None
    usage: bytes | None
    message_id: str | None
    parent_id: str | None

    def into(self, row: EventRow, *, with_source: bool) -> EventRow:
        """Return a row of an event's columns and its source with these fields."""
        (seq, id_, type_, _, at, recorded, branch, run, _, _, vis, messages, turns, tokens, _, extra, _, salt, digest, _) = row
        return (
            seq,
            id_,
            type_,
            self.data,
            at,
            recorded,
            branch,
            run,
            self.message_id,
            self.parent_id,
            vis,
            messages,
            turns,
            tokens,
            self.usage,
            extra,
            self.meta,
            salt,
            digest,
            self.source if with_source else None,
        )


class Cold(NamedTuple):
    """How far a session is cold; ``idle`` where that is all of it, so that a last block may be small."""

    through_seq: int
    idle: bool


class Run(NamedTuple):
    """Consecutive events, read and compressed; ``body`` is empty where that is not worth it, or there are none."""

    after_seq: int
    first_seq: int
    last_seq: int
    event_count: int
    size_bytes: int
    body: bytes


_FIELDS: Final = len(Bulky._fields)
_directory_decoder = msgspec.msgpack.Decoder(tuple[list[int], list[int]])


def size_of(item: Bulky) -> int:
    """Return the bytes that an event brings into a block."""
    return sum(0 if field is None else len(field) for field in item)


def pack(first_seq: int, items: Iterable[tuple[int, Bulky]]) -> bytes:
    """Return the body of a block.

    Args:
        first_seq: The seq that the places count from.
        items: Seq and fields of each event, ascending.
    """
    places: list[int] = []
    lengths: list[int] = []
    fields: list[bytes] = []
    for seq, item in items:
        places.append(seq - first_seq)
        for field in item:
            raw = field.encode() if isinstance(field, str) else field
            lengths.append(-1 if raw is None else len(raw))
            fields.append(raw or NO_BYTES)
    directory = msgspec.msgpack.encode((places, lengths))
    return _ZLIB_FORM + zlib.compress(b"".join((len(directory).to_bytes(_LENGTH_BYTES, "big"), directory, *fields)), _LEVEL)


class Block:
    """A block that was read: fields by seq."""

    __slots__ = ("_content", "_lengths", "_starts", "first_seq", "seqs")

    def __init__(self, where: str, first_seq: int, body: bytes) -> None:
        """Decompress a body.

        Args:
            where: What to call it in an error.
            first_seq: The seq that its places count from.
            body: As ``pack`` made it.

        Raises:
            StoreCorrupt: It is not what was written.
        """
        try:
            if body[:1] != _ZLIB_FORM:
                raise StoreCorrupt(f"{where} is of a form that this turnfold does not know", hint="upgrade turnfold")
            self._content = zlib.decompress(memoryview(body)[1:])
            start = _LENGTH_BYTES + int.from_bytes(self._content[:_LENGTH_BYTES], "big")
            places, self._lengths = _directory_decoder.decode(self._content[_LENGTH_BYTES:start])
        except (zlib.error, msgspec.MsgspecError) as error:
            raise StoreCorrupt(f"{where} is damaged: {error}", hint="restore the store from a backup") from error
        self.first_seq = first_seq
        self._starts: dict[int, tuple[int, int]] = {}
        lengths = self._lengths
        for index, place in enumerate(places):
            self._starts[first_seq + place] = (start, index * _FIELDS)
            for length in lengths[index * _FIELDS : (index + 1) * _FIELDS]:
                if length > 0:
                    start += length
        if start != len(self._content) or len(lengths) != len(places) * _FIELDS:
            raise StoreCorrupt(f"{where} is damaged: its directory does not fit", hint="restore the store from a backup")
        self.seqs: Sequence[int] = tuple(self._starts)

    @property
    def size_bytes(self) -> int:
        """What it holds in memory."""
        return len(self._content)

    def get(self, seq: int) -> Bulky | None:
        """Return the fields of an event, None where it is not in the block."""
        found = self._starts.get(seq)
        if found is None:
            return None
        start, at = found
        out: list[bytes | None] = []
        for length in self._lengths[at : at + _FIELDS]:
            if length < 0:
                out.append(None)
            else:
                out.append(self._content[start : start + length])
                start += length
        data, source, meta, usage, message_id, parent_id = out
        return Bulky(
            data or NO_BYTES,
            source,
            meta,
            usage,
            None if message_id is None else message_id.decode(),
            None if parent_id is None else parent_id.decode(),
        )

    def without(self, first_seq: int, last_seq: int) -> tuple[int, bytes]:
        """Return how many events are left without those of some seqs, and the body that holds them."""
        left = [(seq, item) for seq in self.seqs if not first_seq <= seq <= last_seq and (item := self.get(seq)) is not None]
        return len(left), pack(self.first_seq, left)


def gather(rows: Iterable[tuple[int, Bulky]], cold: Cold, after_seq: int) -> Run | None:
    """Compress the next events of a session; None where there are none, or too few yet for a block.

    Args:
        rows: Seq and fields of the events behind ``after_seq`` that are cold, ascending, at most ``BLOCK_EVENTS_MAX``.
        cold: How far the session is cold.
        after_seq: Where the compactor's cursor is.
    """
    items: list[tuple[int, Bulky]] = []
    size = 0
    for seq, item in rows:
        items.append((seq, item))
        size += size_of(item)
        if size >= BLOCK_BYTES or len(items) == BLOCK_EVENTS_MAX:
            break
    if size < BLOCK_BYTES and len(items) < BLOCK_EVENTS_MAX and not (items and cold.idle):
        return Run(after_seq, 0, cold.through_seq, 0, 0, NO_BYTES) if cold.idle else None
    first_seq = items[0][0]
    body = pack(first_seq, items)
    worth = len(body) <= size * BLOCK_RATIO_MAX
    return Run(after_seq, first_seq, items[-1][0], len(items), size, body if worth else NO_BYTES)
