"""The one read path's filter: which events a query lets through, and how far a page looked.

Stores that select by an index may narrow first, but what they return must be what these functions let through.
"""

from __future__ import annotations

from collections.abc import Collection

from turnfold.core.branches import Segment, in_view
from turnfold.errors import InvalidInput
from turnfold.limits import PAGE_EVENTS_MAX
from turnfold.model.event import Event
from turnfold.model.query import EventQuery


def sees(viewer: str | None, visible_to: Collection[str] | None, hidden_from: Collection[str] | None) -> bool:
    """Whether an agent sees an event; None sees all."""
    if viewer is None:
        return True
    return (visible_to is None or viewer in visible_to) and (hidden_from is None or viewer not in hidden_from)


def matches(query: EventQuery, view: tuple[Segment, ...] | None, event: Event) -> bool:
    """Whether a stored event is what the query asks for (limit aside).

    Args:
        query: Its conditions.
        view: ``core.branches.segments`` of the query's branch, None where it has none.
        event: With seq and branch.
    """
    return (
        event.seq > query.after
        and (query.before is None or event.seq < query.before)
        and (query.types is None or event.type in query.types)
        and (query.run_id is None or event.run_id == query.run_id)
        and (query.since_us is None or event.at_us >= query.since_us)
        and (query.until_us is None or event.at_us < query.until_us)
        and (query.visible is None or event.visibility in query.visible)
        and sees(query.viewer, event.visible_to, event.hidden_from)
        and (view is None or in_view(view, event.branch, event.seq))
    )


def filters_nothing(query: EventQuery, view: tuple[Segment, ...] | None) -> bool:
    """Whether the query has no condition but its bounds on seq: then a page is a slice."""
    return (
        query.types is None
        and query.run_id is None
        and query.since_us is None
        and query.until_us is None
        and query.visible is None
        and query.viewer is None
        and view is None
    )


def check_page_limit(limit: int) -> None:
    """Raise InvalidInput unless 1 ≤ limit ≤ PAGE_EVENTS_MAX."""
    if not 1 <= limit <= PAGE_EVENTS_MAX:
        raise InvalidInput(f"a page has 1 to {PAGE_EVENTS_MAX} events, not {limit}", limit="PAGE_EVENTS_MAX", value=PAGE_EVENTS_MAX)


def bounds(query: EventQuery, last_seq: int) -> tuple[int, int]:
    """The first and last seq that the query can return; the first is greater than the last where it is nothing."""
    last = last_seq if query.before is None else min(last_seq, query.before - 1)
    return max(query.after, 0) + 1, last


def through(query: EventQuery, last_seq: int, returned_seq: int | None, *, more: bool) -> int:
    """How far a page looked.

    Ascending: the last returned seq where more events match, else the end of what was asked for, never behind ``after``. Descending:
    the lowest returned seq where more match, else the lowest seq that was asked for.

    Args:
        query: What was asked.
        last_seq: Of the session.
        returned_seq: The last event of the page in its order, None for an empty page.
        more: Whether further events match.
    """
    if more and returned_seq is not None:
        return returned_seq
    first, last = bounds(query, last_seq)
    if query.descending:
        return first
    return max(last, first - 1)
