"""A cluster that changes under its writers: slots move, nodes die and come back; nothing is lost, doubled or out of order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from redis.crc import key_slot

from tests.redis_servers import open_redis
from turnfold.errors import StoreUnavailable, TurnfoldError
from turnfold.model.query import EventQuery, SessionQuery
from turnfold.model.session import SessionKey
from turnfold.stores.redis import RedisStore
from turnfold.stores.redis.address import parse_address
from turnfold.stores.redis.links import Links
from turnfold.testing.contract import build
from turnfold.testing.faults import Place
from turnfold.testing.faults.cases.many import ManyWriterCases
from turnfold.testing.faults.place import CannotBreak
from turnfold.testing.servers.redis import RedisCluster, RedisServer, executable

KEYS = [SessionKey("default", f"s{index}") for index in range(6)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    if executable() is None:
        pytest.skip("no redis-server is installed")
    with RedisCluster(tmp_path) as started:
        yield started


@pytest.fixture
def store(cluster: RedisCluster) -> Iterator[RedisStore]:
    opened = open_redis(cluster.url)
    for key in KEYS:
        opened.commit(build.commit(key, "first", genesis=build.genesis(owner="alice")))
    yield opened
    opened.close()


class Writers:
    """Threads that append to all sessions, each to its own, and note what was acknowledged."""

    def __init__(self, store: RedisStore) -> None:
        self.acknowledged: dict[SessionKey, list[str]] = {key: [] for key in KEYS}
        self.errors: list[Exception] = []
        self._store = store
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(key,)) for key in KEYS]

    def _write(self, key: SessionKey) -> None:
        number = 0
        while not self._done.is_set():
            text = f"{key.session_id} {number}"
            try:
                self._store.commit(build.commit(key, build.event(text, id=text)))
            except TurnfoldError as error:
                self.errors.append(error)
                return
            self.acknowledged[key].append(text)
            number += 1

    def wait_for_more(self, count: int, timeout_s: float = 30) -> None:
        wanted = {key: len(texts) + count for key, texts in self.acknowledged.items()}
        end = time.monotonic() + timeout_s
        while any(len(self.acknowledged[key]) < number for key, number in wanted.items()):
            assert not self.errors, self.errors
            assert time.monotonic() < end, "the writers do not get on"
            time.sleep(0.01)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()
        assert self.errors == []
        for key, texts in self.acknowledged.items():
            events = self._store.read_events(EventQuery(key=key, after=2, limit=10_000)).events
            assert [event.id for event in events] == texts
            assert [event.seq for event in events] == list(range(3, 3 + len(texts)))
        rows = self._store.list_sessions(SessionQuery(tenant="default", owner="alice"))[0]
        assert {row.id for row in rows} == {key.session_id for key in KEYS}
        assert self._store.check().problems == ()


@contextmanager
def links_to(node: RedisServer) -> Iterator[Callable[..., Any]]:
    links = Links(parse_address(node.url))
    place = ("127.0.0.1", node.port)

    def ask(*words: object) -> Any:
        answer = links.ask(place, *(word if isinstance(word, bytes) else str(word).encode() for word in words))
        assert not isinstance(answer, Exception), (words, answer)
        return answer

    try:
        yield ask
    finally:
        links.close()


def move_slot(slot: int, source: RedisServer, target: RedisServer) -> None:
    """Move a slot key by key, as a cluster's administrator does."""
    with links_to(source) as at_source, links_to(target) as at_target:
        source_id, target_id = at_source("CLUSTER", "MYID"), at_target("CLUSTER", "MYID")
        at_target("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        at_source("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while names := at_source("CLUSTER", "GETKEYSINSLOT", slot, 2):
            at_source("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *names)
            time.sleep(0.02)
        for ask in (at_target, at_source):
            ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)


def owner_of(cluster: RedisCluster, slot: int) -> int:
    """The node that has a slot, by its number."""
    with links_to(cluster.nodes[0]) as ask:
        slots = ask("CLUSTER", "SLOTS")
        port = next(master[1] for first, last, master, *_ in slots if first <= slot <= last)
    return next(index for index, node in enumerate(cluster.nodes) if node.port == port)


def test_slots_move_under_the_writers(cluster: RedisCluster, store: RedisStore) -> None:
    names = store._room.names  # asks where a session is
    with Writers(store) as writers:
        for key in KEYS[:3]:
            writers.wait_for_more(5)
            slot = key_slot(names.session(key)[0])
            source = owner_of(cluster, slot)
            move_slot(slot, cluster.nodes[source], cluster.nodes[(source + 1) % 3])
        writers.wait_for_more(5)


def test_nodes_die_and_come_back(cluster: RedisCluster, store: RedisStore) -> None:
    with Writers(store) as writers:
        for node in cluster.nodes:
            writers.wait_for_more(5)
            node.kill()
            time.sleep(0.1)
            node.start()
        writers.wait_for_more(5)


def test_all_of_it_restarts(cluster: RedisCluster, store: RedisStore) -> None:
    with Writers(store) as writers:
        writers.wait_for_more(5)
        cluster.kill()
        cluster.start()
        writers.wait_for_more(5)


def test_a_follower_hears_of_commits_on_every_node(cluster: RedisCluster, store: RedisStore) -> None:
    other = open_redis(cluster.url)
    woken = threading.Event()
    watch = other.watch(woken.set)
    waits: list[float] = []
    try:
        for key in KEYS:
            woken.clear()
            store.commit(build.commit(key, "x"))
            began = time.monotonic()
            assert woken.wait(1)
            waits.append(time.monotonic() - began)
    finally:
        watch.close()
        other.close()
    assert sorted(waits)[len(waits) // 2] < 0.1


def test_a_watch_outlives_the_server(tmp_path: Path) -> None:
    if executable() is None:
        pytest.skip("no redis-server is installed")
    with RedisServer(tmp_path) as server:
        store = RedisStore(server.url)
        store.commit(build.commit(KEYS[0], "first", genesis=build.genesis()))
        woken = threading.Event()
        watch = store.watch(woken.set)
        server.kill()
        woken.clear()
        server.start()
        assert woken.wait(10), "no wake-up for what was missed meanwhile"
        woken.clear()
        store.commit(build.commit(KEYS[0], "x"))
        assert woken.wait(1)
        watch.close()
        store.close()


def test_one_server_of_a_cluster_by_the_wrong_url(cluster: RedisCluster) -> None:
    def write_everywhere() -> None:
        for node in cluster.nodes:
            with closing(open_redis(node.url)) as store:
                for key in KEYS:
                    store.commit(build.commit(key, "x", genesis=build.genesis()))

    with pytest.raises(StoreUnavailable, match="node of a cluster") as caught:
        write_everywhere()
    assert "redis+cluster://" in caught.value.hint


def test_a_full_server_refuses_by_name_and_loses_nothing(tmp_path: Path) -> None:
    if executable() is None:
        pytest.skip("no redis-server is installed")
    with RedisServer(tmp_path, {"maxmemory": "6mb", "maxmemory-policy": "noeviction"}) as server, closing(RedisStore(server.url)) as store:
        store.commit(build.commit(KEYS[0], "first", genesis=build.genesis()))
        large = [build.commit(KEYS[0], "x" * 200_000) for _ in range(100)]
        results = [store.commit_many([commit])[0] for commit in large]
        written = 1 + sum(not isinstance(result, Exception) for result in results)
        assert 1 < written < 100
        assert "out of memory" in str(results[-1])
        assert store.get_session(KEYS[0]).info.last_seq == written + 1
        assert len(store.read_events(EventQuery(key=KEYS[0])).events) == written + 1
        assert store.check().problems == ()
        server.ask("CONFIG SET maxmemory 1")
        with pytest.raises(StoreUnavailable, match="out of memory"):
            store.commit(build.commit(KEYS[1], "x", genesis=build.genesis()))
        store.delete_session(KEYS[0])  # what makes room is allowed
        server.ask("CONFIG SET maxmemory 6mb")
        store.commit(build.commit(KEYS[1], "room again", genesis=build.genesis()))


class ClusterPlace(Place):
    """Three masters that write every commit to their disks before they answer; they die and come back together."""

    name = "redis cluster"
    _cluster: RedisCluster

    def start(self) -> None:
        if executable() is None:
            raise CannotBreak("no redis-server is installed")
        self._cluster = RedisCluster(self.folder / "cluster").start()

    def stop(self) -> None:
        self._cluster.kill()

    @property
    def url(self) -> str:
        return self._cluster.url

    @property
    def server(self) -> Any:
        return self._cluster


class TestManyProcessesOnACluster(ManyWriterCases):
    """Eight processes, one session, all nodes killed and restarted meanwhile."""

    def make_place(self, folder: Path) -> Place:
        return ClusterPlace(folder)
