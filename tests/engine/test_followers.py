"""Followers that wait cost next to nothing, on every store: B21, and 200 of them in a process without a thread each."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import turnfold as tf
from tests.places import NAMES, PLACES, PUSHING
from tests.support import skip_or_fail
from turnfold.ports.store import Store
from turnfold.testing.faults import CannotBreak, Place, Proxy

IDLE_S = 5.0
READS_PER_S_MAX = 4.0
WAKE_S_MAX = 0.1
APPEND_S_MAX = 0.05
FOLLOWERS = 200
THREADS_MAX = 12
EVENTS = 5
READS = ("read_events", "get_session", "last_seqs", "list_sessions", "changed_sessions", "follower_seq", "read_seals")


@pytest.fixture(scope="module", params=NAMES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = PLACES[request.param](tmp_path_factory.mktemp("place"))
    try:
        place.start()
    except CannotBreak as error:
        skip_or_fail(str(error))
    yield place
    place.stop()


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    store = place.open()
    yield store
    store.close()


@pytest.fixture
def beside(place: Place, store: Store) -> Iterator[Store]:
    """What another process would have open; memory lives in one."""
    other = place.open() if place.shared else store
    yield other
    other.close()


@pytest.fixture
def session_id(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def append(store: Store, session_id: str, count: int = 1) -> None:
    with tf.Client(store, close_store=False) as client:
        session = client.open(session_id)
        for number in range(count):
            session.append(tf.user(f"{number}"))


def counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counts: Counter[str] = Counter()

    def wrap(name: str) -> Callable[..., Any]:
        real = getattr(store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return real(*args, **kwargs)

        return call

    for name in READS:
        monkeypatch.setattr(store, name, wrap(name))
    return counts


@pytest.mark.slow
def test_an_idle_follower_reads_a_few_times_a_second(store: Store, session_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    append(store, session_id)
    with tf.Client(store, close_store=False) as client:
        counts = counted(store, monkeypatch)
        assert len(list(client.open(session_id).follow(wait_s=IDLE_S))) == 2
    assert sum(counts.values()) <= READS_PER_S_MAX * IDLE_S + 3, counts


@pytest.mark.slow
def test_an_idle_follower_asks_its_server_a_few_times_a_second(place: Place, session_id: str) -> None:
    """What a store does below the port (listening, polling) counts too."""
    try:
        port = place.port
    except CannotBreak as error:
        pytest.skip(str(error))
    with Proxy(port) as proxy:
        store = place.open(place.through(proxy.port))
        append(store, session_id)
        with tf.Client(store, close_store=False) as client:
            follower = threading.Thread(target=lambda: list(client.open(session_id).follow(wait_s=IDLE_S)))
            follower.start()
            time.sleep(1)  # what begins has begun
            before = proxy.request_count
            time.sleep(IDLE_S - 1.5)
            asked = proxy.request_count - before
            follower.join()
        store.close()
    assert asked <= READS_PER_S_MAX * (IDLE_S - 1.5), f"{asked} requests"


def test_a_follower_wakes_in_time(place: Place, store: Store, beside: Store, session_id: str) -> None:
    append(beside, session_id)
    written: dict[int, float] = {}
    late: list[float] = []
    with tf.Client(store, close_store=False) as client, tf.Client(beside, close_store=False) as writer:

        def follow() -> None:
            for event in client.open(session_id).follow(after=2, wait_s=20):
                late.append(time.monotonic() - written.get(event.seq, time.monotonic()))
                if len(late) == 15:
                    return

        follower = threading.Thread(target=follow)
        follower.start()
        time.sleep(0.3)
        session = writer.open(session_id)
        for _ in range(15):
            seq = session.append(tf.user("x")).last_seq
            written[seq] = time.monotonic()
            time.sleep(0.03)
        follower.join(30)
    assert len(late) == 15
    if store.url.partition(":")[0] in PUSHING:
        assert statistics.median(late) < WAKE_S_MAX, sorted(late)
    else:
        assert max(late) < 2.5, sorted(late)


def test_an_append_does_not_wait_for_those_who_wait(store: Store, session_id: str) -> None:
    """B22: with long polls open in the same client, an append returns at once, and they return its event."""
    append(store, session_id)
    heard: list[int] = []
    with tf.Client(store, close_store=False) as client:

        def poll() -> None:
            for event in client.open(session_id).follow(after=2, wait_s=20):
                heard.append(event.seq)
                return

        polls = [threading.Thread(target=poll) for _ in range(5)]
        for thread in polls:
            thread.start()
        time.sleep(0.3)
        session = client.open(session_id)
        took_s = []
        for _ in range(9):
            begin = time.monotonic()
            session.append(tf.user("x"))
            took_s.append(time.monotonic() - begin)
        for thread in polls:
            thread.join(20)
    assert heard == [3] * 5
    assert statistics.median(took_s) < APPEND_S_MAX * (1 if store.url.partition(":")[0] in PUSHING else 10), took_s


def test_200_async_followers_share_a_few_threads(store: Store, beside: Store, session_id: str) -> None:
    append(beside, session_id)

    async def follow(client: tf.AsyncClient, number: int) -> list[int]:
        session = await client.open(f"{session_id}" if number % 2 else f"{session_id}/other")
        return [event.seq async for event in session.follow(after=2, wait_s=3) if event.seq]

    async def scenario() -> tuple[list[list[int]], int]:
        before = threading.active_count()
        async with tf.AsyncClient(store, close_store=False) as client:
            tasks = [asyncio.create_task(follow(client, number)) for number in range(FOLLOWERS)]
            await asyncio.sleep(1)
            threads = threading.active_count() - before
            await asyncio.to_thread(append, beside, session_id, EVENTS)
            await asyncio.to_thread(append, beside, f"{session_id}/other", EVENTS + 1)
            return await asyncio.gather(*tasks), threads

    seen, threads = asyncio.run(scenario())
    assert threads <= THREADS_MAX, [thread.name for thread in threading.enumerate()]
    assert seen == [list(range(3, 3 + EVENTS))] * FOLLOWERS


@pytest.mark.timeout(120)
def test_200_sync_followers_add_no_thread_each(store: Store, beside: Store, session_id: str) -> None:
    """A sync follower waits in its caller's thread; what is added to those is a few."""
    append(beside, session_id)
    seen: list[list[int]] = [[] for _ in range(FOLLOWERS)]
    with tf.Client(store, close_store=False) as client:

        def follow(number: int) -> None:
            for event in client.open(session_id).follow(after=2, wait_s=30):
                seen[number].append(event.seq)
                if len(seen[number]) == EVENTS:
                    return

        before = threading.active_count()
        threads = [threading.Thread(target=follow, args=(number,)) for number in range(FOLLOWERS)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        added = threading.active_count() - before - sum(thread.is_alive() for thread in threads)
        append(beside, session_id, EVENTS)
        for thread in threads:
            thread.join(60)
    assert added <= THREADS_MAX, [thread.name for thread in threading.enumerate()]
    assert seen == [list(range(3, 3 + EVENTS))] * FOLLOWERS
