"""One page of events out of a log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from turnfold.core.branches import Segment
from turnfold.core.filtering import bounds, filters_nothing, matches, through
from turnfold.limits import READ_CHUNK_EVENTS
from turnfold.model.event import Event
from turnfold.model.query import EventPage, EventQuery
from turnfold.stores.files.replay import ReadableLog
from turnfold.stores.files.state import LogState, whole_ranges


def read_page(log: ReadableLog, state: LogState, query: EventQuery, view: tuple[Segment, ...] | None) -> EventPage:
    """Return a page; ``view`` is that of the query's branch, None where it has none. Call it with the log's lock held."""
    first, last = bounds(query, state.last_seq)
    places = _places(state, first, last, descending=query.descending)
    found: list[Event]
    if filters_nothing(query, view):
        found = _fetch(log, state, list(islice(places, query.limit + 1)), query)
    else:
        found = list(islice((event for event in _chunks(log, state, places, query) if matches(query, view, event)), query.limit + 1))
    more = len(found) > query.limit
    del found[query.limit :]
    through_seq = through(query, state.last_seq, found[-1].seq if found else None, more=more)
    low, high = (through_seq, last) if query.descending else (first, through_seq)
    return EventPage(found, through_seq, state.last_seq, state.incarnation, whole_ranges(state.ranges, low, high), more)


def _places(state: LogState, first: int, last: int, *, descending: bool) -> Iterable[int]:
    """The seqs from first to last that hold an event."""
    span = range(last, first - 1, -1) if descending else range(first, last + 1)
    return (seq for seq in span if not state.is_pruned(seq)) if state.ranges else span


def _chunks(log: ReadableLog, state: LogState, places: Iterable[int], query: EventQuery) -> Iterator[Event]:
    """The events at these places, read some at a time: a filter may be content early, or look at everything."""
    rest = iter(places)
    size = min(query.limit + 1, READ_CHUNK_EVENTS)
    while chunk := list(islice(rest, size)):
        yield from _fetch(log, state, chunk, query)
        size = min(size * 2, READ_CHUNK_EVENTS)


def _fetch(log: ReadableLog, state: LogState, seqs: list[int], query: EventQuery) -> list[Event]:
    if not query.descending:
        return log.fetch(state, seqs, with_source=query.with_source)
    seqs.reverse()
    events = log.fetch(state, seqs, with_source=query.with_source)
    events.reverse()
    return events
