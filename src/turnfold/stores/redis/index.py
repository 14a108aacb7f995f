"""The rows of the search follower, kept with their session: the terms of each event, and for each term the events that hold it."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

import msgspec

from turnfold.core.search import index_rows
from turnfold.model.event import Event
from turnfold.model.message import SEALED
from turnfold.model.query import IndexRow

SEARCH: Final = "search"
"""The follower whose rows feed searches."""
TERM_BYTES_MAX: Final = 40
"""A longer term is known by its hash."""
_HASH_BYTES: Final = 20
_encode = msgspec.msgpack.Encoder().encode
decode_index_row = msgspec.msgpack.Decoder(IndexRow).decode
encode_index_row = _encode


def term_field(term: str) -> bytes:
    """Return the field of a term; no text begins with the byte of a hash."""
    raw = term.encode(errors="surrogatepass")
    return raw if len(raw) <= TERM_BYTES_MAX else b"\xff" + blake2b(raw, digest_size=_HASH_BYTES).digest()


def term_fields(rows: Iterable[IndexRow]) -> dict[bytes, list[int]]:
    """Return for each term the seqs that hold it, ascending."""
    out: dict[bytes, list[int]] = {}
    for row in rows:
        for term in set(row.terms.split()):
            out.setdefault(term_field(term), []).append(row.seq)
    return out


def derived_rows(events: Iterable[Event]) -> dict[int, IndexRow]:
    """Make the rows of events whose terms are not kept a second time; what a wrapper has encrypted has none that could be made."""
    return {row.seq: row for row in index_rows(event for event in events if not event.data_raw.startswith(SEALED))}


def pack_seqs(seqs: Iterable[int]) -> bytes:
    """Return seqs as they are kept: four bytes each, the lowest first."""
    return _in_order(array("I", seqs)).tobytes()


def unpack_seqs(raw: bytes | None) -> array[int]:
    """Return kept seqs."""
    seqs = array("I")
    if raw:
        seqs.frombytes(raw)
    return _in_order(seqs)


def _in_order(seqs: array[int]) -> array[int]:
    if sys.byteorder == "big":
        seqs.byteswap()
    return seqs


class Postings:
    """Posting lists of which some seqs are taken out."""

    def __init__(self, stored: dict[bytes, bytes]) -> None:
        """Bind what is stored."""
        self._stored = stored
        self._gone: dict[bytes, set[int]] = {}

    def remove(self, seq: int, index_row: bytes) -> None:
        """Take an event out of the lists of its terms."""
        for field in term_fields([decode_index_row(index_row)]):
            self._gone.setdefault(field, set()).add(seq)

    def changed(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the lists that changed."""
        for field, gone in self._gone.items():
            yield field, pack_seqs(seq for seq in unpack_seqs(self._stored.get(field)) if seq not in gone)
