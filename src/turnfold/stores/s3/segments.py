"""Segments: immutable objects with the older events of a session, read in parallel, kept in memory up to a bound, merged as they are written.

Theory of operation. When the tail of a manifest has grown beyond ``OBJECT_TAIL_BYTES_MAX``, its events go into a new segment, and with them
those of the last segments that are no larger than what is written (and in memory anyway). So a log of n bytes has about log2(n) segments up
to ``OBJECT_SEGMENT_BYTES_MAX`` and then one per that size, each byte is written a few times over, and a commit still costs at most two
requests. A redaction or a pruning writes the segments that it touches anew; their old objects are removed at once, others after a grace time.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from msgspec import Raw

from turnfold.limits import OBJECT_CACHE_BYTES_MAX, OBJECT_GRACE_S, OBJECT_ROWS_BYTES_MAX, OBJECT_SEGMENT_BYTES_MAX, OBJECT_TAIL_BYTES_MAX
from turnfold.model.event import Event
from turnfold.objectstorage import Bucket
from turnfold.stores.s3 import names
from turnfold.stores.s3.manifest import (
    Garbage,
    Rows,
    SegmentRef,
    decode_base,
    decode_event,
    decode_segment,
    encode_base,
    encode_event,
    encode_segment,
    pack,
)
from turnfold.stores.s3.state import State

T = TypeVar("T")
R = TypeVar("R")
Parallel = Callable[[Callable[[T], R], Sequence[T]], list[R]]
"""Calls a function with each of some values, several at a time, and returns the results in order."""
_SECOND_US = 1_000_000


class Moved(Exception):
    """An object that the manifest named is gone: a newer manifest names another."""


class Block:
    """The rows of a segment in memory, decoded when first asked for."""

    __slots__ = ("_events", "rows", "size_bytes")

    def __init__(self, rows: list[Raw]) -> None:
        self.rows = rows
        self.size_bytes = 2 * sum(len(memoryview(row)) for row in rows)
        self._events: list[Event] | None = None

    def events(self) -> list[Event]:
        """The events in order."""
        if self._events is None:
            self._events = [decode_event(row) for row in self.rows]
        return self._events


class Cache:
    """What was read from immutable objects, the least recently used let go first."""

    def __init__(self, size_bytes_max: int) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._items: OrderedDict[str, tuple[object, int]] = OrderedDict()
        self._size_bytes_max = size_bytes_max
        self._size_bytes = 0

    def get(self, key: str) -> object | None:
        """Return what is kept of an object, or None."""
        with self._lock:
            item = self._items.get(key)
            if item is None:
                return None
            self._items.move_to_end(key)
            return item[0]

    def put(self, key: str, value: object, size_bytes: int) -> None:
        """Keep it."""
        with self._lock:
            if key in self._items:
                return
            self._items[key] = (value, size_bytes)
            self._size_bytes += size_bytes
            while self._size_bytes > self._size_bytes_max and len(self._items) > 1:
                _, (_, freed) = self._items.popitem(last=False)
                self._size_bytes -= freed

    def drop(self, keys: Iterable[str]) -> None:
        """Forget objects that are gone."""
        with self._lock:
            for key in keys:
                _, freed = self._items.pop(key, (None, 0))
                self._size_bytes -= freed


class Upload(NamedTuple):
    """An object to write before the manifest that refers to it."""

    key: str
    body: bytes


class Segments:
    """Reads and writes what manifests refer to."""

    def __init__(self, bucket: Bucket, parallel: Callable[..., list[object]]) -> None:
        """Bind the bucket and the way to make several requests at a time."""
        self._bucket = bucket
        self._parallel = parallel
        self.cache = Cache(OBJECT_CACHE_BYTES_MAX)

    # ---- reading ---------------------------------------------------------------------------------------------------------------------
    def base(self, state_key: str, name: str) -> Rows:
        """The rows of a base, given the folder that it is in."""
        key = state_key + name
        rows = self.cache.get(key)
        if not isinstance(rows, Rows):
            body = self._body(key)
            rows = decode_base(body, key)
            self.cache.put(key, rows, 4 * len(body))
        return rows

    def blocks(self, state: State, refs: Sequence[SegmentRef]) -> list[Block]:
        """The segments' rows; those that are not in memory are read in parallel."""
        folder = names.data(state.key, state.incarnation)
        found = [self.cache.get(folder + ref.name) for ref in refs]
        missing = [folder + ref.name for ref, block in zip(refs, found, strict=True) if block is None]
        if missing:
            read = dict(zip(missing, self._parallel(self._read, missing), strict=True))
            found = [read[folder + ref.name] if block is None else block for ref, block in zip(refs, found, strict=True)]
        return [block for block in found if isinstance(block, Block)]

    def _read(self, key: str) -> Block:
        block = Block(decode_segment(self._body(key), key))
        self.cache.put(key, block, block.size_bytes)
        return block

    def _body(self, key: str) -> bytes:
        found = self._bucket.get(key)
        if found is None:
            raise Moved(key)
        return found.body

    def events_at(self, state: State, seqs: Sequence[int]) -> dict[int, Event]:
        """The stored events at some places, without those that were pruned; as a writer's changes leave them."""
        out: dict[int, Event] = {}
        rest: set[int] = set()
        tail = {event.seq: event for event in state.tail_events()} if seqs else {}
        for seq in seqs:
            if seq in state.edits or seq in tail:
                event = state.edits[seq] if seq in state.edits else tail[seq]
                if event is not None:
                    out[seq] = event
            else:
                rest.add(seq)
        refs = [ref for ref in state.segments if any(ref.first_seq <= seq <= ref.last_seq for seq in rest)] if rest else []
        for block in self.blocks(state, refs):
            out.update((event.seq, event) for event in block.events() if event.seq in rest)
        return out

    def all_ids(self, state: State) -> dict[str, int]:
        """Every id of the log, pruned ones too, and its seq."""
        ids = {event_id: seq for item in state.ranges for seq, event_id in enumerate(item.ids, item.first_seq)}
        for block in self.blocks(state, state.segments):
            ids.update((event.id, event.seq) for event in block.events())
        ids.update((event.id, event.seq) for event in state.tail_events())
        return ids

    # ---- writing ---------------------------------------------------------------------------------------------------------------------
    def settle(self, work: State, now_us: int) -> list[Upload]:
        """Bring a changed state into bounds; return what is to be written before its manifest."""
        uploads: list[Upload] = []
        if work.edits:
            uploads += self._rewrite(work, now_us)
        if work.tail_bytes > OBJECT_TAIL_BYTES_MAX:
            uploads += self._overflow(work, now_us)
        hot_bytes = len(pack(work.hot_rows()))
        # A commit writes one object beside the manifest: rows wait for the next one, unless they are very large.
        limit = OBJECT_ROWS_BYTES_MAX * (4 if uploads else 1)
        if hot_bytes > limit or (work.erases and work.base):
            uploads.append(self._new_base(work, now_us))
        work.hurries, work.erases = work.hurries or work.erases, False
        return uploads

    def _overflow(self, work: State, now_us: int) -> list[Upload]:
        """Move the tail into a segment, together with the last ones that are no larger."""
        folder = names.data(work.key, work.incarnation)
        rows, size = work.tail, work.tail_bytes
        events = work.tail_events()
        kept = len(work.segments)
        for ref in reversed(work.segments):
            block = self.cache.get(folder + ref.name) if ref.raw_bytes <= size else None
            if not isinstance(block, Block) or size + ref.raw_bytes > OBJECT_SEGMENT_BYTES_MAX:
                break
            rows, events, size, kept = block.rows + rows, block.events() + events, size + ref.raw_bytes, kept - 1
        due_at_us = now_us + int(OBJECT_GRACE_S * _SECOND_US)
        work.garbage += [Garbage(ref.name, due_at_us) for ref in work.segments[kept:]]
        del work.segments[kept:]
        uploads = self.write_segments(work, kept, rows, [event.seq for event in events])
        work.set_tail([])
        return uploads

    def write_segments(self, work: State, at: int, rows: list[Raw], seqs: list[int], *, small: bool = False) -> list[Upload]:
        """Let some rows be segments of their own, from place ``at`` of the list on."""
        uploads: list[Upload] = []
        refs: list[SegmentRef] = []
        start = size = 0
        for index, row in enumerate(rows):
            size += len(memoryview(row))
            if size >= OBJECT_SEGMENT_BYTES_MAX or index == len(rows) - 1:
                part = rows[start : index + 1]
                ref = SegmentRef(f"s-{secrets.token_hex(8)}", seqs[start], seqs[index], size)
                upload = Upload(names.data(work.key, work.incarnation, ref.name), encode_segment(ref.name, part, small=small))
                block = Block(part)
                self.cache.put(upload.key, block, block.size_bytes)
                uploads.append(upload)
                refs.append(ref)
                start, size = index + 1, 0
        work.segments[at:at] = refs
        return uploads

    def _rewrite(self, work: State, now_us: int) -> list[Upload]:
        """Write the segments anew in which events were redacted or pruned."""
        uploads: list[Upload] = []
        edits, work.edits = work.edits, {}
        for ref in list(work.segments):
            if not any(ref.first_seq <= seq <= ref.last_seq for seq in edits):
                continue
            (block,) = self.blocks(work, [ref])
            events = [kept for event in block.events() if (kept := edits.get(event.seq, event)) is not None]
            at = work.segments.index(ref)
            del work.segments[at]
            work.garbage.append(Garbage(ref.name, now_us))
            work.hurries = True
            uploads += self.write_segments(work, at, [encode_event(event) for event in events], [event.seq for event in events])
        return uploads

    def _new_base(self, work: State, now_us: int) -> Upload:
        name = f"b-{secrets.token_hex(8)}"
        body = encode_base(name, work.all_rows())
        due_at_us = now_us if work.erases else now_us + int(OBJECT_GRACE_S * _SECOND_US)
        work.rest_on(name, Garbage(work.base, due_at_us) if work.base else None)
        return Upload(names.data(work.key, work.incarnation, name), body)


def packed(refs: Sequence[SegmentRef]) -> list[list[SegmentRef]]:
    """Group neighbouring segments as they would fill whole ones."""
    groups: list[list[SegmentRef]] = []
    size = 0
    for ref in refs:
        if groups and size + ref.raw_bytes <= OBJECT_SEGMENT_BYTES_MAX:
            groups[-1].append(ref)
            size += ref.raw_bytes
        else:
            groups.append([ref])
            size = ref.raw_bytes
    return groups
