"""Search without an index: every session is read through the wrapper, as the memory store reads its own."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from turnfold.core.search import scan
from turnfold.errors import KeyUnavailable, SessionNotFound
from turnfold.limits import PAGE_SESSIONS_MAX, READ_CHUNK_EVENTS
from turnfold.model.query import EventQuery, SearchQuery, SearchRow, SessionQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store


def scan_sessions(store: Store, query: SearchQuery) -> list[SearchRow]:
    """Return what a search finds, in its order."""
    rows = (row for row in _rows(store, query) if query.after is None or _rank(row) > query.after)
    return heapq.nsmallest(query.limit, rows, key=_rank)


def _rank(row: SearchRow) -> tuple[int, str, int]:
    return row.bucket, row.session_id, row.seq


def _rows(store: Store, query: SearchQuery) -> Iterator[SearchRow]:
    for key in _keys(store, query):
        after = 0
        try:
            while True:
                page = store.read_events(EventQuery(key=key, owner=query.owner, after=after, limit=READ_CHUNK_EVENTS))
                yield from (SearchRow(key.session_id, seq, bucket) for bucket, seq in scan(query, page.events))
                after = page.through_seq
                if not page.more:
                    break
        except (SessionNotFound, KeyUnavailable):  # deleted meanwhile, or forgotten
            continue


def _keys(store: Store, query: SearchQuery) -> Iterator[SessionKey]:
    for kind in ("session", "scope"):
        cursor: str | None = None
        while True:
            listed = SessionQuery(
                tenant=query.tenant, owner=query.owner, agent=query.agent, kind=kind, limit=PAGE_SESSIONS_MAX, cursor=cursor
            )
            infos, cursor = store.list_sessions(listed)
            yield from (SessionKey(info.tenant, info.id) for info in infos if query.session_id in {None, info.id})
            if cursor is None:
                break
