"""The followers of the log: index and seals, restartable at any point, wanted by nobody for correctness."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import turnfold as tf
from turnfold.core import cold
from turnfold.engine import upkeep
from turnfold.engine.upkeep import SEALS, SEARCH, Upkeep, seal_session
from turnfold.engine.verify import verify_session
from turnfold.model.commit import Commit
from turnfold.model.query import Compacted, EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import SEARCH_INDEX, Store
from turnfold.testing.contract import build

KEY = SessionKey("default", "s")


def wait_for(what: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_the_thread_indexes_and_seals_when_the_client_is_idle(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "IDLE_S", 0.05)
    monkeypatch.setattr(upkeep, "SEAL_EVENTS", 1)
    with tf.connect(store_url) as client:
        session = client.open("s")
        session.append([tf.user("find me")] * 3)
        store = client.store
        if SEARCH_INDEX in store.capabilities:
            wait_for(lambda: store.follower_seq(SEARCH, KEY) == 4)
        wait_for(lambda: client.store.read_seals(KEY))
        assert client.verify("s").sealed_through == 4


def test_no_thread_without_upkeep(store_url: str) -> None:
    others = set(threading.enumerate())
    with tf.connect(store_url, upkeep=False) as client:
        client.open("s").append(tf.user("x"))
        assert all(thread.name != "turnfold-upkeep" for thread in set(threading.enumerate()) - others)
        assert len(client.search("x")) == 1


def test_two_clients_index_one_store_without_harm(store_url: str) -> None:
    with tf.connect(store_url, upkeep=False) as client:
        for number in range(30):
            client.open(f"s{number}").append([tf.user(f"word {number}")] * 5)
        others = [Upkeep(client.store, None) for _ in range(3)]
        threads = [threading.Thread(target=other.catch_up, args=(None,)) for other in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(client.search("word", limit=1_000)) == 150


def test_sealing_goes_on_where_the_last_seal_ended(store_url: str) -> None:
    with tf.connect(store_url, upkeep=False) as client:
        session = client.open("s")
        session.append(tf.user("1"))
        first = client.seal("s")
        assert client.seal("s") is None
        session.append(tf.user("2"))
        second = client.seal("s")
        assert first is not None
        assert second is not None
        assert (first.upto_seq, second.upto_seq, second.previous) == (2, 3, first.root)
        assert client.store.follower_seq(SEALS, KEY) == 3
        assert client.verify("s").sealed_through == 3


def pruned(store: Store) -> None:
    """A session with a streamed message whose deltas became one range tombstone."""
    store.commit(build.commit(KEY, "one", build.delta("t"), build.delta("w"), "two", genesis=build.genesis()))
    seal_session(store, KEY, None)
    events = store.read_events(EventQuery(key=KEY, limit=100)).events
    gone = build.range_of([event for event in events if event.type == "message.delta"])
    store.commit(Commit(key=KEY, prune=(gone,), lifecycle=True))


def test_seals_still_verify_over_a_pruned_range(store_url: str) -> None:
    with tf.connect(store_url, upkeep=False) as client:
        pruned(client.store)
        client.open("s").append(tf.user("three"))
        found = client.verify("s")
        assert (found.pruned_count, found.last_seq, found.sealed_through) == (2, 6, 5)
        seal_session(client.store, KEY, None)
        assert verify_session(client.store, KEY).sealed_through == 6
        assert [message.text for message in client.open("s").messages()] == ["one", "two", "three"]
        assert [event.seq for event in client.open("s").follow(wait_s=0)] == [1, 2, 5, 6]


@pytest.mark.parametrize("scheme", ["sqlite", "files"])
def test_the_thread_compacts_what_is_cold(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "IDLE_S", 0.05)
    monkeypatch.setattr(upkeep, "COMPACT_EVERY_S", 0.05)
    monkeypatch.setattr(upkeep, "COMPACT_QUIET_S", 0.05)
    monkeypatch.setattr(cold, "COMPACT_QUIET_S", 0.0)
    monkeypatch.setattr(cold, "COMPACT_IDLE_S", 0.0)
    with tf.connect(f"{scheme}:///{tmp_path / 'store'}") as client:
        session = client.open("s")
        session.append([tf.user(f"{index} the same words again and again " * 10) for index in range(300)])
        texts = [message.text for message in session.messages()]
        wait_for(lambda: client.store.follower_seq("compact", SessionKey("default", "s")) == 301)
        assert client.store.compact() == Compacted()
        assert [message.text for message in session.messages()] == texts
        assert client.verify("s").event_count == 301


def test_a_commit_stops_the_compacting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tf.connect(f"sqlite:///{tmp_path / 's.db'}", upkeep=False) as client:
        steps: list[int] = []

        def step(*, sessions_max: int) -> Compacted:
            steps.append(sessions_max)
            if len(steps) == 3:
                mine.touched()
            return Compacted(more=True)

        mine = Upkeep(client.store, None)
        mine.enabled = False
        mine._compact_at = 0.0
        monkeypatch.setattr(client.store, "compact", step)
        mine.compact_cold()
        assert steps == [1, 1, 1]
        mine.compact_cold()
        assert steps == [1, 1, 1], "somebody commits still"
