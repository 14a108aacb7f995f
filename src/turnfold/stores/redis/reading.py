"""Reading a session: pages of its log, its head, its runs and parts. A page is one round trip, two where branches or filters ask for more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from turnfold.core.branches import Segment, view_of
from turnfold.core.checks import check_owner, not_found
from turnfold.core.filtering import bounds, check_page_limit, filters_nothing, matches, through
from turnfold.core.fold import branches_from, build_head
from turnfold.model.event import MAIN, Event, RangeTombstone
from turnfold.model.query import ACTIVE_BRANCH, EventPage, EventQuery
from turnfold.model.session import Entry, Head, SessionKey
from turnfold.stores.redis.deciding import decode_range
from turnfold.stores.redis.keys import B, E, G, H, M, N, P
from turnfold.stores.redis.rows import HeadRow, decode_head, entry_of, events_of
from turnfold.stores.redis.writing import Room

FILTERED_SHARE: Final = 4
"""A filtered read takes so large a part more than its page at first: most often the filter lets most events through."""
FILTERED_ROWS_MIN: Final = 256
"""Rows that it takes the next time; each further time it takes twice as many."""
FILTERED_ROWS_MAX: Final = 4_096
_replace = msgspec.structs.replace


class _Part(NamedTuple):
    """What one exchange brought."""

    head: HeadRow
    events: list[Event]
    span: tuple[int, int]
    ranges: list[RangeTombstone]
    branches: dict[bytes, bytes]


class Reader:
    """Reads one session at a time."""

    def __init__(self, room: Room) -> None:
        """Bind the calls."""
        self._room = room

    # ---- the head --------------------------------------------------------------------------------------------------------------------
    def head(self, key: SessionKey, owner: str | None) -> Head:
        """Return the head with its entries."""
        now_us, (raw, many, few, branches) = self._room.read(key, ["GET", H], ["HGETALL", N], ["HGETALL", M], ["HGETALL", B])
        row = checked_head(key, raw, owner)
        entries = [*entries_of(many), *entries_of(few), *entries_of(branches)]
        return build_head(
            key.session_id,
            key.tenant,
            row.incarnation,
            fields=row.info_fields(now_us),
            entries=entries,
            by_model=row.usage_by_model(),
            ttl_s=row.ttl_s or None,
        )

    def with_head(self, key: SessionKey, owner: str | None, *commands: list[Any]) -> tuple[HeadRow, int, list[Any]]:
        """Return a session's packed head, the time, and what some more reads give."""
        now_us, (raw, *answers) = self._room.read(key, ["GET", H], *commands)
        return checked_head(key, raw, owner), now_us, answers

    # ---- the log ---------------------------------------------------------------------------------------------------------------------
    def page(self, query: EventQuery) -> EventPage:
        """Return a page of events."""
        check_page_limit(query.limit)
        count = query.limit + 1 if _is_slice(query) else query.limit + 1 + query.limit // FILTERED_SHARE
        part = self._stretch(query, query.after, query.before, count)
        head = part.head
        view = view_of(branches_from(entries_of_pairs(part.branches)), query.branch, head.active_branch)
        first, last = bounds(query, head.last_seq)
        found: list[Event] = []
        more = False
        for event in self._walk(query, part, view, first, last):
            if len(found) == query.limit:
                more = True
                break
            found.append(event)
        through_seq = through(query, head.last_seq, found[-1].seq if found else None, more=more)
        low, high = (through_seq, last) if query.descending else (first, through_seq)
        ranges = tuple(item for item in part.ranges if item.first_seq <= high and item.last_seq >= low)
        return EventPage(found, through_seq, head.last_seq, head.incarnation, ranges, more)

    def _walk(self, query: EventQuery, part: _Part, view: tuple[Segment, ...] | None, first: int, last: int) -> Iterator[Event]:
        """Yield matching events in the asked order, reading on as far as somebody asks."""
        everything = filters_nothing(query, view)
        stretches = [(first, last)] if view is None else _stretches(view, part.branches, first, last)
        if query.descending:
            stretches.reverse()
        seen = part.span
        count = FILTERED_ROWS_MIN
        for start, end in stretches:
            at, to = start, end
            while at <= to:
                inside = seen[0] <= (to if query.descending else at) <= seen[1]
                if not inside:
                    size = min(count, FILTERED_ROWS_MAX, to - at + 1)
                    low, high = (to - size + 1, to) if query.descending else (at, at + size - 1)
                    part = self._stretch(query, low - 1, high + 1, size)
                    seen = part.span
                    count *= 2
                low, high = max(seen[0], at), min(seen[1], to)
                events = [event for event in part.events if low <= event.seq <= high]
                for event in reversed(events) if query.descending else events:
                    if everything or matches(query, view, event):
                        yield event
                if query.descending:
                    to = low - 1
                else:
                    at = high + 1

    def _stretch(self, query: EventQuery, after: int, before: int | None, count: int) -> _Part:
        """Read up to ``count`` rows after and before these seqs, from the end that the query begins at."""
        room = self._room
        keys = room.names.session(query.key)
        answer = room.links.one(
            room.scripts.page.call(
                [keys[H - 1], keys[E - 1], keys[B - 1], keys[G - 1], keys[P - 1]],
                b"%d" % max(after, 0),
                b"%d" % (0 if before is None else max(before, 1)),
                b"%d" % count,
                b"1" if query.descending else b"0",
                b"0" if query.branch is None else b"1",
                b"1" if query.with_source else b"0",
            )
        )
        if answer == 0:
            raise not_found(query.key.session_id)
        raw, first_seq, last_seq, rows, ranges, branches, sources = answer
        head = checked_head(query.key, raw, query.owner, query.incarnation)
        events = events_of(rows, first_seq)
        if sources:
            by_seq = dict(zip(sources[::2], sources[1::2], strict=True))
            events = [_replace(event, source=by_seq[event.seq]) if event.seq in by_seq else event for event in events]
        tombstones = sorted(map(decode_range, ranges), key=lambda item: item.first_seq)
        return _Part(head, events, (first_seq, last_seq), tombstones, dict(zip(branches[::2], branches[1::2], strict=True)))


def checked_head(key: SessionKey, raw: bytes | None, owner: str | None, incarnation: str | None = None) -> HeadRow:
    """Decode a head, or raise SessionNotFound where it is none of the caller's."""
    if raw is None:
        raise not_found(key.session_id)
    head = decode_head(raw)
    if incarnation is not None and head.incarnation != incarnation:
        raise not_found(key.session_id)
    check_owner(key.session_id, head.owner or None, owner)
    return head


def entries_of(flat: list[bytes]) -> list[Entry]:
    """Build the head entries of a hash as a server answers it."""
    return [entry_of(field, value) for field, value in zip(flat[::2], flat[1::2], strict=True) if not field.startswith(b"~")]


def entries_of_pairs(pairs: Mapping[bytes, bytes]) -> list[Entry]:
    """The same of a hash as a dict."""
    return [entry_of(field, value) for field, value in pairs.items() if not field.startswith(b"~")]


def _is_slice(query: EventQuery) -> bool:
    """Whether a page is most likely a slice of the log."""
    return filters_nothing(query, None) and query.branch in {None, ACTIVE_BRANCH, MAIN}


def _stretches(view: tuple[Segment, ...], branches: Mapping[bytes, bytes], first: int, last: int) -> list[tuple[int, int]]:
    """Return the stretches of the log, ascending, that a view consists of; the log notes where its branch changes."""
    turns = sorted((int(field[1:]), name.decode()) for field, name in branches.items() if field.startswith(b"~"))
    starts = [(1, MAIN), *turns]
    out: list[tuple[int, int]] = []
    for at, (start, name) in enumerate(starts):
        end = starts[at + 1][0] - 1 if at + 1 < len(starts) else last
        for part in view:
            if part.branch == name:
                low, high = max(start, part.after + 1, first), min(end, last if part.upto is None else part.upto, last)
                if low <= high:
                    out.append((low, high))
    return sorted(out)
