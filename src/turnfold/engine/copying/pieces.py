"""A session's log in pieces that fit into memory, each checked as it is read: what a copy hands over, and what it compares with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from turnfold.codec.residual import part_ref
from turnfold.codec.seal import event_digest, leaf
from turnfold.core.redaction import referenced_parts
from turnfold.engine.reading import read_pages
from turnfold.engine.upkeep import leaves_of
from turnfold.errors import IntegrityError, NotFound
from turnfold.limits import COPY_PIECE_BYTES, COPY_PIECE_EVENTS
from turnfold.model.event import Event, RangeTombstone
from turnfold.model.query import EventPage, EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store


class Moved(Exception):
    """A store changed under the copy such that it has to look again."""


class Piece(msgspec.Struct, frozen=True):
    """The places ``after_seq < seq ≤ last_seq`` of a log, and the parts that its events are the first to refer to."""

    after_seq: int
    last_seq: int
    events: tuple[Event, ...]
    ranges: tuple[RangeTombstone, ...]
    parts: tuple[tuple[str, bytes], ...]

    @property
    def byte_count(self) -> int:
        """What its events and parts weigh."""
        return sum(map(weight, self.events)) + sum(len(content) for _, content in self.parts)


class PieceBuilder:
    """Collects a log, place after place, until it is enough for one piece."""

    def __init__(self, after_seq: int) -> None:
        """Begin after a place."""
        self.place = after_seq
        self._begin()

    def _begin(self) -> None:
        self._after_seq = self.place
        self._events: list[Event] = []
        self._ranges: list[RangeTombstone] = []
        self._parts: list[tuple[str, bytes]] = []
        self._size = 0

    def add(self, item: Event | RangeTombstone, parts: Sequence[tuple[str, bytes]] = ()) -> None:
        """Add what stands at the next place, and the parts that nothing before it refers to."""
        if isinstance(item, RangeTombstone):
            self._ranges.append(item)
            self.place = item.last_seq
        else:
            self._events.append(item)
            self._size += weight(item)
            self.place = item.seq
        self._parts += parts
        self._size += sum(len(content) for _, content in parts)

    @property
    def is_full(self) -> bool:
        """Whether it is enough."""
        return len(self._events) >= COPY_PIECE_EVENTS or self._size >= COPY_PIECE_BYTES

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added since the last piece."""
        return self._after_seq == self.place

    def take(self) -> Piece:
        """Return what was added as a piece, and begin the next one behind it."""
        piece = Piece(self._after_seq, self.place, tuple(self._events), tuple(self._ranges), tuple(self._parts))
        self._begin()
        return piece


class LogReader:
    """Reads one session of a store piece by piece, as it was when its head said ``upto_seq``."""

    def __init__(self, store: Store, key: SessionKey, *, incarnation: str, upto_seq: int, mac_key: bytes | None) -> None:
        """Bind what is read.

        Args:
            store: Where from.
            key: Which session.
            incarnation: Which creation of it.
            upto_seq: The last place that belongs to the picture.
            mac_key: Key of the digests, or None.
        """
        self._store = store
        self._key = key
        self._incarnation = incarnation
        self._upto_seq = upto_seq
        self._mac_key = mac_key
        self._refs: set[str] = set()

    def pieces(self, after_seq: int) -> Iterator[Piece]:
        """Yield the log from a place on.

        Raises:
            Moved: It changed such that the pieces no longer fit together.
            IntegrityError: An event is missing, or is not what its digest says.
        """
        built = PieceBuilder(after_seq)
        for page in read_pages(self._store, self._key, after=after_seq, with_source=True):
            for item in self._places(page, built.place):
                self._follows(item, built.place)
                if isinstance(item, RangeTombstone):
                    built.add(item)
                else:
                    self._check(item)
                    built.add(item, list(self._parts(item)))
                if built.is_full:
                    yield built.take()
            if built.place == self._upto_seq:
                break
        if built.place != self._upto_seq:
            raise self._missing(built.place + 1)
        if not built.is_empty:
            yield built.take()

    def _places(self, page: EventPage, place: int) -> Iterator[Event | RangeTombstone]:
        """The events and ranges of a page in order, after a place, up to the end of the picture."""
        if page.incarnation != self._incarnation:
            raise Moved
        items: list[tuple[int, Event | RangeTombstone]] = [(event.seq, event) for event in page.events]
        items += [(item.first_seq, item) for item in page.ranges if item.last_seq > place and item.first_seq <= page.through_seq]
        items.sort(key=lambda one: one[0])
        for first, item in items:
            if first > self._upto_seq:
                return
            yield item

    def _follows(self, item: Event | RangeTombstone, place: int) -> None:
        """Raise unless an item follows on a place."""
        first, last = (item.first_seq, item.last_seq) if isinstance(item, RangeTombstone) else (item.seq, item.seq)
        if first > place + 1:
            raise self._missing(place + 1)
        if first <= place or last > self._upto_seq:  # pruned while it was read, across the edge of what was read
            raise Moved

    def _missing(self, seq: int) -> IntegrityError:
        return IntegrityError(f"event {seq} is missing in {_called(self._store)}", seq=seq)

    def _check(self, event: Event) -> None:
        if not event.redacted and event_digest(event, None, self._mac_key) != event.digest:
            raise IntegrityError(
                f"event {event.seq} does not match its digest",
                seq=event.seq,
                hint="it is damaged, or its digest was made with a key (TURNFOLD_INTEGRITY_KEY)",
            )

    def _parts(self, event: Event) -> Iterator[tuple[str, bytes]]:
        """The parts that an event refers to, as far as they are there and were not read before."""
        for ref in sorted(referenced_parts(event) - self._refs):
            self._refs.add(ref)
            try:
                content = self._store.read_part(self._key, ref)
            except NotFound:  # erased by a redaction, or a hash that is no part of ours
                continue
            if part_ref(content) != ref:
                raise IntegrityError(f"the part {ref} of event {event.seq} does not match its hash", seq=event.seq, ref=ref)
            yield ref, content


def weight(event: Event) -> int:
    """The bytes of an event that count for memory."""
    return len(event.data_raw) + len(event.source or b"") + len(event.meta_raw or b"")


def _called(store: Store) -> str:
    """What a store is called where a credential in its URL must not be said."""
    return f"the {store.url.partition(':')[0]} store"


def event_at(store: Store, key: SessionKey, seq: int) -> Event | None:
    """Return the event at a place with its kept line, None where there is none."""
    page = store.read_events(EventQuery(key=key, after=seq - 1, before=seq + 1, limit=1, with_source=True))
    return page.events[0] if page.events else None


def leaf_at(store: Store, key: SessionKey, seq: int) -> bytes | None:
    """Return the seal leaf of one place, None where there is none."""
    page = store.read_events(EventQuery(key=key, after=seq - 1, before=seq + 1, limit=1))
    if page.events:
        return leaf(page.events[0])
    found = leaves_of([], page.ranges, seq - 1, seq)
    return found[0] if found else None


def leaves(store: Store, key: SessionKey, upto_seq: int) -> Iterator[bytes]:
    """Yield the seal leaves of the places 1 to ``upto_seq``: equal leaves mean the same events at the same places, redacted or not."""
    place = 0
    for page in read_pages(store, key):
        upto = min(page.through_seq, upto_seq)
        yield from leaves_of([event for event in page.events if event.seq <= upto], page.ranges, place, upto)
        place = upto
        if place == upto_seq:
            return


def redactions_and_ranges(store: Store, key: SessionKey, after_seq: int = 0) -> tuple[list[Event], tuple[RangeTombstone, ...]]:
    """Return the redaction events after a place, and the range tombstones that end after it."""
    events: list[Event] = []
    ranges: dict[int, RangeTombstone] = {}
    for page in read_pages(store, key, after=after_seq, types=frozenset({"redaction"})):
        events += page.events
        ranges.update((item.first_seq, item) for item in page.ranges)
    return events, tuple(item for _, item in sorted(ranges.items()))
