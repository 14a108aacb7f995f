"""What a process learned by replaying a long log, kept beside it so that the next process need not replay it.

Theory of operation. ``index.cache`` is a cache and nothing more: losing it costs time, and it is used only where it provably belongs to the
files as they are: every rolled segment has the inode, size and time that it had, and the last one has the same inode and, before the place up
to which it was read, the same bytes. It is written by whoever had to replay more than ``INDEX_LINES_MIN`` lines, never by an append, with the
OS lock held, so that no redaction can pass by: erasing removes it before it touches the segments.
"""

from __future__ import annotations

import os
import zlib
from array import array
from typing import Any

import msgspec

from turnfold.model.event import RangeTombstone, Seal
from turnfold.model.run import Run
from turnfold.model.session import Entry, SessionKey
from turnfold.model.usage import Usage
from turnfold.stores.files.disk import OpenFile
from turnfold.stores.files.lines import GenesisRow, LeaseRow
from turnfold.stores.files.state import LogState

INDEX_FILE = "index.cache"
INDEX_LINES_MIN = 500
"""A log that was replayed over more lines than this leaves a cache."""
_FORMAT = 1
_TAIL_BYTES = 64
_CRC_BYTES = 4

FileSign = tuple[int, int, int]
"""Inode, size and time of change of a file: another file, or another content, has another sign."""


def sign_of(stat: os.stat_result) -> FileSign:
    """Return the sign of a file."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def wrap(body: bytes) -> bytes:
    """Return the content of a cache file, with its checksum."""
    return zlib.crc32(body).to_bytes(_CRC_BYTES, "big") + body


def unwrap(content: bytes) -> memoryview | None:
    """Return what a cache file holds, None where it is damaged."""
    body = memoryview(content)[_CRC_BYTES:]
    return body if zlib.crc32(body).to_bytes(_CRC_BYTES, "big") == content[:_CRC_BYTES] else None


class Position(msgspec.Struct, array_like=True, gc=False):
    """How far a log was read."""

    number: int
    inode: int
    end: int
    tail: bytes
    signs: dict[int, FileSign]


class Snapshot(msgspec.Struct, array_like=True):
    """A replay and where it ended."""

    format: int
    position: Position
    key: SessionKey
    genesis: GenesisRow
    fields: dict[str, Any]
    usage: Usage
    entries: list[Entry]
    by_model: dict[str, Usage]
    runs: list[Run]
    seals: list[Seal]
    ranges: list[RangeTombstone]
    lease: LeaseRow
    parts: set[str]
    targets: set[str]
    checkpoint_count: int
    ids: dict[str, int]
    offsets: bytes
    sizes: bytes
    segment_firsts: list[int]
    segment_numbers: list[int]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


def tail_of(file: OpenFile, end: int) -> bytes:
    """The last bytes before a place; they hold the checksum of the line that ends there."""
    start = max(end - _TAIL_BYTES, 0)
    return file.read(start, end - start)


def encode_snapshot(state: LogState, position: Position) -> bytes:
    """Return the content of a cache file."""
    fields = dict(state.fields)
    usage = fields.pop("usage")
    body = _encode(
        Snapshot(
            format=_FORMAT,
            position=position,
            key=state.key,
            genesis=state.genesis,
            fields=fields,
            usage=usage,
            entries=list(state.entries.values()),
            by_model=state.by_model,
            runs=list(state.runs.values()),
            seals=state.seals,
            ranges=state.ranges,
            lease=state.lease,
            parts=state.parts,
            targets=state.targets,
            checkpoint_count=state.checkpoint_count,
            ids=state.ids,
            offsets=state.offsets.tobytes(),
            sizes=state.sizes.tobytes(),
            segment_firsts=state.segment_firsts,
            segment_numbers=state.segment_numbers,
        ),
    )
    return wrap(body)


def decode_snapshot(content: bytes) -> Snapshot | None:
    """Return what a cache file holds, None where it is damaged or of another version."""
    body = unwrap(content)
    if body is None:
        return None
    try:
        found = _decode(body)
    except msgspec.MsgspecError:
        return None
    return found if found.format == _FORMAT else None


def restore(snapshot: Snapshot) -> LogState:
    """Return the replay of a snapshot. Redactions are not in it: they are done, and their rows say so themselves."""
    state = LogState(snapshot.key, snapshot.genesis, snapshot.lease.fence)
    state.fields = {**snapshot.fields, "usage": snapshot.usage}
    state.entries = {(entry.kind, entry.name, entry.branch): entry for entry in snapshot.entries}
    state.by_model = snapshot.by_model
    state.runs = {run.id: run for run in snapshot.runs}
    state.seals = snapshot.seals
    state.ranges = snapshot.ranges
    state.lease = snapshot.lease
    state.parts = snapshot.parts
    state.targets = snapshot.targets
    state.checkpoint_count = snapshot.checkpoint_count
    state.ids = snapshot.ids
    state.offsets = array("Q", snapshot.offsets)
    state.sizes = array("I", snapshot.sizes)
    state.segment_firsts = snapshot.segment_firsts
    state.segment_numbers = snapshot.segment_numbers
    return state
