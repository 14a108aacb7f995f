"""Search over sessions: catch the index up, ask the store, show what was found."""

from __future__ import annotations

import time

import msgspec

from turnfold.core.search import searchable_text
from turnfold.core.tokens import terms
from turnfold.engine.upkeep import Upkeep
from turnfold.errors import InvalidInput, NotFound, SessionNotFound
from turnfold.limits import CATCH_UP_MS_MAX, SEARCH_HITS_MAX, SEARCH_TERMS_MAX
from turnfold.model.page import Page
from turnfold.model.query import EventQuery, SearchQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store

SNIPPET_CHARS = 160


class SearchHit(msgspec.Struct, frozen=True):
    """A found event: where it is and a piece of its text around the first term."""

    session_id: str
    seq: int
    type: str
    role: str | None
    snippet: str


def search(store: Store, upkeep: Upkeep, query: SearchQuery) -> Page[SearchHit]:
    """Find events whose text holds all terms; ``indexed_through`` is the number of sessions whose index still lags (0: none)."""
    if not 0 < query.limit <= SEARCH_HITS_MAX:
        raise InvalidInput(f"limit is 1 to {SEARCH_HITS_MAX}, not {query.limit}", limit="SEARCH_HITS_MAX", value=SEARCH_HITS_MAX)
    if not query.terms:
        return Page([], None, indexed_through=0)
    lag = upkeep.catch_up(time.monotonic() + CATCH_UP_MS_MAX / 1000)
    rows = store.search(query)
    hits = [hit for row in rows if (hit := _hit(store, query, row.session_id, row.seq)) is not None]
    last = rows[-1] if len(rows) == query.limit else None
    cursor = None if last is None else (last.bucket, last.session_id, last.seq)
    return Page(hits, cursor, indexed_through=lag)


def query_terms(text: str) -> tuple[str, ...]:
    """Split a query; more than ``SEARCH_TERMS_MAX`` terms are refused."""
    found = tuple(terms(text))
    if len(found) > SEARCH_TERMS_MAX:
        raise InvalidInput(f"a search takes {SEARCH_TERMS_MAX} terms, not {len(found)}", limit="SEARCH_TERMS_MAX", value=SEARCH_TERMS_MAX)
    return found


def _hit(store: Store, query: SearchQuery, session_id: str, seq: int) -> SearchHit | None:
    key = SessionKey(query.tenant, session_id)
    try:
        page = store.read_events(EventQuery(key=key, owner=query.owner, after=seq - 1, before=seq + 1, limit=1, viewer=query.viewer))
    except (SessionNotFound, NotFound):  # deleted between the two reads
        return None
    if not page.events:
        return None
    event = page.events[0]
    data = event.data
    role = data.get("role") if isinstance(data, dict) else None
    return SearchHit(session_id, seq, event.type, role, snippet_of(searchable_text(event), query.terms))


def snippet_of(text: str, found: tuple[str, ...]) -> str:
    """Cut a piece of the text around the first term that is found in it as written."""
    flat = " ".join(text.split())
    lower = flat.lower()
    places = [at for term in found if (at := lower.find(term)) >= 0]
    start = max(0, min(places, default=0) - SNIPPET_CHARS // 4)
    piece = flat[start : start + SNIPPET_CHARS]
    return ("…" if start else "") + piece + ("…" if start + SNIPPET_CHARS < len(flat) else "")
