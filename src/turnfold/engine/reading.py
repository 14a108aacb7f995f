"""Reading a whole session page by page, with bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

from turnfold.limits import READ_CHUNK_BYTES, READ_CHUNK_EVENTS
from turnfold.model.event import Event
from turnfold.model.query import EventPage, EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store

_FIRST_PAGE = 100


def read_pages(
    store: Store,
    key: SessionKey,
    *,
    owner: str | None = None,
    after: int = 0,
    types: frozenset[str] | None = None,
    branch: str | None = None,
    with_source: bool = False,
) -> Iterator[EventPage]:
    """Yield the pages of a session, or of one branch's view, in seq order, up to its end at the time of the last page.

    A page is sized by what the last one weighed: a few hundred bytes per event or a few megabytes, memory stays near ``READ_CHUNK_BYTES``.
    """
    limit = _FIRST_PAGE
    while True:
        query = EventQuery(key=key, owner=owner, after=after, limit=limit, types=types, branch=branch, with_source=with_source)
        page = store.read_events(query)
        yield page
        if page.through_seq >= page.last_seq or page.through_seq <= after:
            return
        after = page.through_seq
        size = sum(len(event.data_raw) + len(event.source or b"") for event in page.events)
        mean = size // len(page.events) + 1 if page.events else 1
        limit = max(1, min(READ_CHUNK_EVENTS, READ_CHUNK_BYTES // mean, limit * 4))


def read_all(
    store: Store,
    key: SessionKey,
    *,
    owner: str | None = None,
    after: int = 0,
    types: frozenset[str] | None = None,
    branch: str | None = None,
    with_source: bool = False,
) -> Iterator[Event]:
    """Yield the events of a session in seq order; see ``read_pages``."""
    for page in read_pages(store, key, owner=owner, after=after, types=types, branch=branch, with_source=with_source):
        yield from page.events
