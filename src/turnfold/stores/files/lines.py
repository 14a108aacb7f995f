"""Lines of a log: one commit each, with a checksum over its bytes.

Theory of operation. A segment is a file of JSON lines. A line holds everything of one commit (events, head change, run rows …), so it is
there or it is not. It ends in ``,"crc":"xxxxxxxx"}`` with the CRC-32 of all bytes before that, which tells a torn write from a whole one
(content is covered by the events' own digests). ``{"events":[`` stands first, so that the place of every event in the file follows from the
lengths of those before it, and one event can be read and decoded without its line.

Several lines may be written at once; ``after`` says how many lines of the same write stand before this one. A power loss may keep the end
of a write and lose its middle, so a bad line is damage only where something follows that was written later.

A line of a commit that another session's commit carries (``Commit.also``) says ``when``: it holds if that session's log has, at that very
place, a line with the same ``transaction``. ``settled`` says once and for all that it does.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import Raw

from turnfold.model.event import RangeTombstone, Seal
from turnfold.model.run import Run
from turnfold.model.usage import NO_USAGE, Usage
from turnfold.stores.files.rows import NO_RAW, EntryRow

_encode = msgspec.json.Encoder().encode
_OPEN = b'{"events":['
_CRC = b',"crc":"'
_CRC_BYTES = len(_CRC) + 8 + len(b'"}')


class HeadRow(msgspec.Struct, omit_defaults=True, gc=False):
    """What a commit did to the head: sums to add, values that hold from here on."""

    message_count: int = 0
    turn_count: int = 0
    token_count: int = 0
    branch_count: int = 0
    checkpoint_count: int = 0
    usage: Usage = NO_USAGE
    usage_by_model: tuple[Usage, ...] = ()
    entries: tuple[EntryRow, ...] = ()
    status: str | None = None
    end_reason: str | None = None
    active_branch: str | None = None
    expires_at_us: int | None = None


class GenesisRow(msgspec.Struct, omit_defaults=True):
    """The creation of a session."""

    tenant: str
    session_id: str
    incarnation: str
    owner: str | None = None
    agent: str = ""
    status: str = "active"
    kind: str = "session"
    ttl_s: float | None = None
    expires_at_us: int | None = None
    created_at_us: int = 0


class RedactRow(msgspec.Struct, omit_defaults=True):
    """An erased payload: what stands in its place, and what goes with it."""

    seq: int
    tombstone: Raw = NO_RAW
    tombstone_base64: bytes = b""
    parts: tuple[str, ...] = ()
    entries: tuple[EntryRow, ...] = ()


class LeaseRow(msgspec.Struct, omit_defaults=True):
    """Who holds the lease from here on; nobody where ``holder`` is None. The fence never goes down."""

    fence: int
    holder: str | None = None
    expires_at_us: int = 0


class WhenRow(msgspec.Struct):
    """The line of another log that this line depends on; ``log`` is its directory, from the store's root."""

    log: str
    segment: int
    offset: int


class Line(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One line, its events still encoded."""

    events: list[Raw] = []
    at_us: int = 0
    transaction: str = ""
    genesis: GenesisRow | None = None
    head: HeadRow | None = None
    runs: tuple[Run, ...] = ()
    parts: tuple[str, ...] = ()
    redacts: tuple[RedactRow, ...] = ()
    prune: tuple[RangeTombstone, ...] = ()
    ranges: tuple[RangeTombstone, ...] = ()
    seals: tuple[Seal, ...] = ()
    lease: LeaseRow | None = None
    updated_at_us: int | None = None
    last_seq: int | None = None
    when: WhenRow | None = None
    settled: str = ""
    targets: tuple[str, ...] = ()
    next_segment: int = 0
    deleted: bool = False
    after: int = 0


_decode = msgspec.json.Decoder(Line).decode


class BadLine(NamedTuple):
    """A line that is not what was written; ``problem`` says in which way."""

    problem: str


def encode_line(line: Line, rows: list[bytes] | None = None) -> bytes:
    """Return the line with its checksum and its newline.

    Args:
        line: Without events where ``rows`` has them.
        rows: The events, encoded.
    """
    body = _encode(line)[1:-1]
    body = b"%b%b]%b%b" % (_OPEN, b",".join(rows), b"," if body else b"", body) if rows else b"{" + body
    return b'%b%b%08x"}\n' % (body, _CRC, zlib.crc32(body))


def row_places(rows: list[bytes]) -> list[tuple[int, int]]:
    """Return offset in the line and size of each event."""
    places: list[tuple[int, int]] = []
    at = len(_OPEN)
    for row in rows:
        places.append((at, len(row)))
        at += len(row) + 1
    return places


def decode_line(line: bytes) -> Line | BadLine:
    """Check and decode one line, without its newline."""
    body = line[:-_CRC_BYTES]
    tail = line[-_CRC_BYTES:]
    if not tail.startswith(_CRC) or tail[-10:] != b'%08x"}' % zlib.crc32(body):
        return BadLine("its checksum does not fit")
    try:
        return _decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        return BadLine(f"it is no line of this store ({error})")


def settled_mark(transaction: str) -> bytes:
    """How the line begins that says for ever that a transaction's lines hold, with the newline before it."""
    return b'\n{"settled":"%b"' % transaction.encode()


def split_lines(data: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """Yield offset, bytes without newline, and whether there was a newline, of each line."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        if end < 0:
            yield at, data[at:], False
            return
        yield at, data[at:end], True
        at = end + 1


def torn_only(rest: bytes) -> bool:
    """Whether a bad line and what follows it can be the end of one interrupted write.

    Args:
        rest: From the start of the bad line to the end of the segment.
    """
    bad_first = True
    for number, (_, line, _) in enumerate(split_lines(rest)):
        if bad_first:
            bad_first = False
            continue
        decoded = decode_line(line)
        if isinstance(decoded, Line) and decoded.after < number:
            return False  # a later write: what stands before it was whole once
    return True
