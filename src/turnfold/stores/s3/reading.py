"""One page of events out of segments and tail."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from turnfold.core.branches import Segment, view_of
from turnfold.core.filtering import bounds, filters_nothing, matches, through
from turnfold.limits import OBJECT_PARALLEL_MAX
from turnfold.model.event import Event
from turnfold.model.query import EventPage, EventQuery
from turnfold.stores.s3.manifest import SegmentRef
from turnfold.stores.s3.segments import Segments
from turnfold.stores.s3.state import State


def read_page(segments: Segments, state: State, query: EventQuery) -> EventPage:
    """Return a page of a session as its state says."""
    view = view_of(state.branches(), query.branch, state.fixed.active_branch)
    last_seq = state.fixed.last_seq
    first, last = bounds(query, last_seq)
    found = list(islice(_matching(segments, state, query, view), query.limit + 1))
    more = len(found) > query.limit
    del found[query.limit :]
    through_seq = through(query, last_seq, found[-1].seq if found else None, more=more)
    low, high = (through_seq, last) if query.descending else (first, through_seq)
    ranges = tuple(item for item in state.ranges if item.first_seq <= high and item.last_seq >= low)
    if not query.with_source:
        found = [event if event.source is None else msgspec.structs.replace(event, source=None) for event in found]
    return EventPage(found, through_seq, last_seq, state.incarnation, ranges, more)


def _matching(segments: Segments, state: State, query: EventQuery, view: tuple[Segment, ...] | None) -> Iterator[Event]:
    """The events that a query finds, in its order."""
    first, last = bounds(query, state.fixed.last_seq)
    refs = [ref for ref in state.segments if ref.first_seq <= last and ref.last_seq >= first]
    tail = state.tail_events()
    parts = _in_turn(segments, state, refs, query)
    everything = filters_nothing(query, view)
    for events in _joined(parts, tail, descending=query.descending):
        within = events[bisect_left(events, first, key=_seq) : bisect_right(events, last, key=_seq)]
        for event in reversed(within) if query.descending else within:
            if everything or matches(query, view, event):
                yield event


def _seq(event: Event) -> int:
    return event.seq


def _joined(parts: Iterator[Sequence[Event]], tail: Sequence[Event], *, descending: bool) -> Iterator[Sequence[Event]]:
    if descending:
        yield tail
    yield from parts
    if not descending:
        yield tail


def _in_turn(segments: Segments, state: State, refs: list[SegmentRef], query: EventQuery) -> Iterator[Sequence[Event]]:
    """The events of segments, one after the other, read several at a time: as many as a page surely needs, then as many as may run at once."""
    rest = list(reversed(refs)) if query.descending else refs
    wanted = query.limit + 1
    while rest:
        count = seqs = 0
        while count < len(rest) and seqs < wanted:
            seqs += rest[count].last_seq - rest[count].first_seq + 1
            count += 1
        count = min(max(count, 1), OBJECT_PARALLEL_MAX * 4)
        for block in segments.blocks(state, rest[:count]):
            yield block.events()
        rest = rest[count:]
        wanted = query.limit + 1


def all_events(segments: Segments, state: State) -> Iterator[Event]:
    """Every event of a session as its state says."""
    yield from _matching(segments, state, EventQuery(key=state.key), None)
