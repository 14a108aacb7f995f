"""Nothing of an erased event stays in the search index, whatever its terms were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from turnfold.core.redaction import redact_of
from turnfold.core.search import index_rows
from turnfold.model.event import Event, NewEvent
from turnfold.model.message import user
from turnfold.model.query import EventQuery, IndexRow, SearchQuery
from turnfold.model.session import SessionKey
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.contract import build

KEY = SessionKey("default", "s")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "s.db")
    made.commit(build.commit(KEY, "public", "very SECRET words", "a secret: again", genesis=build.genesis()))
    yield made
    made.close()


def events_of(store: SqliteStore) -> list[Event]:
    return list(store.read_events(EventQuery(key=KEY, limit=100)).events)


def index(store: SqliteStore, rows: Sequence[IndexRow]) -> None:
    page = store.read_events(EventQuery(key=KEY, limit=100))
    assert store.advance(
        "search", KEY, incarnation=page.incarnation, from_seq=store.follower_seq("search", KEY), to_seq=page.through_seq, rows=rows
    )


def redact(store: SqliteStore, seq: int) -> None:
    event = events_of(store)[seq - 1]
    redaction = NewEvent(type="redaction", data={"targets": [{"seq": seq, "digest": event.digest.hex()}]})
    store.commit(build.commit(KEY, redaction, redacts=(redact_of(event),), lifecycle=True))


def found(store: SqliteStore, *terms: str) -> list[int]:
    return [row.seq for row in store.search(SearchQuery(tenant="default", terms=terms))]


def in_index(store: SqliteStore) -> dict[int, list[str]]:
    """The terms of the index by seq, in order, read past the store; the index is checked as a whole."""
    assert store._writer is not None
    connection = store._writer.connection
    connection.execute("INSERT INTO search(search) VALUES('integrity-check')")
    connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.seen USING fts5vocab(main, search, instance)")
    terms: dict[int, list[str]] = {}
    for seq, term in connection.execute("SELECT doc & 4294967295, term FROM temp.seen ORDER BY doc, offset"):
        terms.setdefault(seq, []).append(term)
    return terms


def kept_bytes(store: SqliteStore) -> int:
    assert store._writer is not None
    size: int = store._writer.connection.execute("SELECT max(length(terms)) FROM search_row").fetchone()[0]
    return size


def test_terms_are_made_again_from_the_event(store: SqliteStore) -> None:
    index(store, index_rows(events_of(store)))
    assert kept_bytes(store) == 10  # no copy of the terms, whatever their length
    assert found(store, "secret") == [3, 4]
    redact(store, 3)
    assert in_index(store) == {2: ["public"], 4: ["a", "secret", "again"]}
    assert found(store, "secret") == [4]


def test_terms_that_no_event_gives_are_kept(store: SqliteStore) -> None:
    index(store, [IndexRow(seq, f"token{seq} token token") for seq in (2, 3, 4)])
    assert found(store, "token") == [2, 3, 4]
    redact(store, 3)
    assert in_index(store) == {2: ["token2", "token", "token"], 4: ["token4", "token", "token"]}


def test_terms_of_another_version_are_read_out_of_the_index(store: SqliteStore) -> None:
    """Rows that were made by rules that are not today's: what today's give must not be taken out in place of what is there."""
    index(store, [IndexRow(seq, f"otherwise split{seq} split{seq} {'x' * 40_000}", derived=True) for seq in (2, 3, 4)])
    redact(store, 3)
    left = in_index(store)
    assert sorted(left) == [2, 4]
    assert left[4][:3] == ["otherwise", "split4", "split4"]
    assert (found(store, "otherwise"), found(store, "split3")) == ([2, 4], [])


def test_an_event_that_is_indexed_again_is_there_once(store: SqliteStore) -> None:
    rows = index_rows(events_of(store))
    index(store, rows)
    index(store, rows)
    assert in_index(store) == {2: ["public"], 3: ["very", "secret", "words"], 4: ["a", "secret", "again"]}


@pytest.mark.parametrize("derived", [False, True])
def test_a_deleted_session_leaves_nothing(store: SqliteStore, derived: bool) -> None:  # noqa: FBT001
    rows = [IndexRow(seq, f"otherwise split{seq}", derived=derived) for seq in (2, 3)]
    index(store, [*rows, *index_rows(events_of(store))[2:]])
    store.delete_session(KEY)
    assert in_index(store) == {}


def test_pruned_events_leave_nothing(store: SqliteStore) -> None:
    events = events_of(store)
    index(store, index_rows(events))
    pruned = events[1:3]
    store.commit(build.commit(KEY, prune=(build.range_of(pruned),), lifecycle=True, change=build.without_counts(pruned)))
    assert in_index(store) == {4: ["a", "secret", "again"]}


def test_what_was_pruned_or_redacted_meanwhile_is_left_out(store: SqliteStore) -> None:
    hidden = NewEvent(type="message", data=user("for some"), visible_to=("ann",))
    store.commit(build.commit(KEY, hidden))
    events = events_of(store)
    rows = index_rows(events)
    pruned = events[1:2]
    store.commit(build.commit(KEY, prune=(build.range_of(pruned),), lifecycle=True, change=build.without_counts(pruned)))
    redaction = NewEvent(type="redaction", data={"targets": [{"seq": 3, "digest": events[2].digest.hex()}]})
    store.commit(build.commit(KEY, redaction, redacts=(redact_of(events[2]),), lifecycle=True))
    index(store, rows)
    assert in_index(store) == {4: ["a", "secret", "again"], 5: ["for", "some"]}
