"""What is the memory store's own: what a read costs, and that it copies nothing."""

from __future__ import annotations

import pytest

from turnfold.codec.seal import event_digest
from turnfold.model.event import Event
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.stores.memory import MemoryStore
from turnfold.stores.memory.session import MemorySession
from turnfold.testing.contract import build

KEY = SessionKey("t", "s")
OTHER = SessionKey("t", "other")


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    for key in (KEY, OTHER):
        store.commit(build.commit(key, *["message"] * 11_000, genesis=build.genesis()))
    return store


@pytest.mark.parametrize("descending", [False, True])
def test_last_five_of_many_looks_at_six(store: MemoryStore, monkeypatch: pytest.MonkeyPatch, *, descending: bool) -> None:
    """B30: reading costs what it returns, whatever else is stored."""
    looked: list[int] = []
    stored = MemorySession.stored

    def counted(self: MemorySession, seq: int) -> Event:
        looked.append(seq)
        return stored(self, seq)

    monkeypatch.setattr(MemorySession, "stored", counted)
    query = EventQuery(key=KEY, limit=5, after=0 if descending else 10_996, descending=descending)
    assert len(store.read_events(query).events) == 5
    assert len(looked) <= 6


def test_reads_share_events_and_payloads(store: MemoryStore) -> None:
    event = build.event("shared")
    store.commit(build.commit(KEY, event))
    query = EventQuery(key=KEY, limit=1, descending=True)
    first, second = (store.read_events(query).events[0] for _ in range(2))
    assert first is second
    assert first.data_raw is event.data_raw


def test_committed_event_of_another_session_gets_its_own_place(store: MemoryStore) -> None:
    source = store.read_events(EventQuery(key=KEY, limit=1, after=500)).events[0]
    store.commit(build.commit(OTHER, build.replace(source, id="copied")))
    copied = store.read_events(EventQuery(key=OTHER, limit=1, descending=True)).events[0]
    assert (copied.seq, copied.data_raw) == (11_002, source.data_raw)


def test_keyed_digests_are_recognised_as_repeats() -> None:
    store = MemoryStore(integrity_key=b"k" * 32)
    store.commit(build.commit(KEY, genesis=build.genesis()))
    store.commit(build.commit(KEY, keyed(build.event("a", id="x"))))
    assert store.commit(build.commit(KEY, keyed(build.event("a", id="x")))).repeated


def keyed(event: Event) -> Event:
    return build.replace(event, digest=event_digest(event, key=b"k" * 32))
