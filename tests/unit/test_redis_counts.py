"""What an operation costs on a Redis: exchanges with the server, counted where they happen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.redis_servers import key_space, open_redis, redis_url_or_stop, with_options
from turnfold.model.event import NewEvent
from turnfold.model.message import assistant
from turnfold.model.query import EventQuery, SessionQuery
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.model.usage import Usage
from turnfold.stores.redis import RedisStore
from turnfold.stores.redis.links import _Node
from turnfold.testing.contract import build

KEY = SessionKey("default", "s1")


class Counter:
    """Counts exchanges: each is one write to a socket and the answers to it."""

    def __init__(self) -> None:
        self.exchanges = 0

    def __call__(self) -> int:
        """Return the exchanges since the last call."""
        count, self.exchanges = self.exchanges, 0
        return count


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counted = Counter()
    exchange = _Node.exchange

    def counting(node: _Node, data: bytes, count: int) -> list[object]:
        counted.exchanges += 1
        return exchange(node, data, count)

    monkeypatch.setattr(_Node, "exchange", counting)
    return counted


@pytest.fixture
def store() -> Iterator[RedisStore]:
    url = redis_url_or_stop()
    with key_space(url) as prefix:
        opened = open_redis(with_options(url, prefix=prefix))
        opened.commit(build.commit(KEY, "first", genesis=build.genesis(owner="alice", agent="a")))
        yield opened
        opened.close()


def test_an_append_is_one_exchange(store: RedisStore, counter: Counter) -> None:
    for _ in range(5):
        store.commit(build.commit(KEY, "more"))
    assert counter() == 5


@pytest.mark.parametrize(
    "items",
    [
        ("one", "two", "three", "four"),
        (assistant("answer", usage=Usage(3, 2, model="m")),),
        (build.state_event(step=1, done=False),),
        (NewEvent(type="tag", data={"added": ["a"], "removed": ["b"]}),),
        (NewEvent(type="message", data=assistant("kept"), source=b"a kept line"),),
    ],
    ids=["turn", "usage", "state", "tags", "source"],
)
def test_so_is_every_commit_that_only_adds(store: RedisStore, counter: Counter, items: tuple[build.Item, ...]) -> None:
    commit = build.commit(KEY, *items)
    counter()
    store.commit(commit)
    assert counter() == 1


def test_conditions_cost_nothing(store: RedisStore, counter: Counter) -> None:
    lease = store.acquire_lease(KEY, "worker", 30)
    counter()
    store.commit(build.commit(KEY, "x", expected_seq=2, lease=lease.fence, owner="alice", parts=(("sha256:00", b"x"),)))
    assert counter() == 1


def test_many_commits_are_one_exchange(store: RedisStore, counter: Counter) -> None:
    commits = [build.commit(KEY, f"{index}") for index in range(50)]
    counter()
    assert not any(isinstance(one, Exception) for one in store.commit_many(commits))
    assert counter() == 1


def test_rare_commits_are_few_exchanges(store: RedisStore, counter: Counter) -> None:
    store.commit(build.commit(KEY, build.status_event("suspended"), lifecycle=True))
    store.commit(build.commit(KEY, build.status_event("active"), lifecycle=True))
    assert counter() == 4  # each reads, then writes
    store.commit(build.commit(KEY, "run", runs=(Run(id="r", session_id="s1"),)))
    assert counter() == 2
    store.commit(build.commit(KEY, build.branch_event("b", "main", 1)))
    assert counter() == 2


def test_a_refused_append_costs_a_look(store: RedisStore, counter: Counter) -> None:
    commit = build.commit(KEY, "once")
    store.commit(commit)
    counter()
    assert store.commit(commit).repeated
    assert counter() == 3  # refused, looked at, compared with what is stored


def test_reads_are_one_exchange(store: RedisStore, counter: Counter) -> None:
    store.commit(build.commit(KEY, *(f"{index}" for index in range(10_000))))
    counter()
    page = store.read_events(EventQuery(key=KEY, limit=50, descending=True))
    assert (len(page.events), counter()) == (50, 1)
    assert (len(store.read_events(EventQuery(key=KEY, after=5_000, limit=100)).events), counter()) == (100, 1)
    store.get_session(KEY)
    assert counter() == 1
    store.last_seqs([KEY])
    assert counter() == 1


def test_a_branch_is_read_without_what_others_wrote(store: RedisStore, counter: Counter) -> None:
    store.commit(build.commit(KEY, *(f"{index}" for index in range(1_000))))
    store.commit(build.commit(KEY, build.branch_event("b", "main", 900)))
    store.commit(build.commit(KEY, "on b", branch="b"))
    for _ in range(3):
        store.commit(build.commit(KEY, *(f"main {index}" for index in range(1_000)), branch="main"))
    store.commit(build.commit(KEY, "on b again", branch="b"))
    counter()
    page = store.read_events(EventQuery(key=KEY, branch="b", limit=10, descending=True))
    assert [event.seq for event in page.events[:3]] == [4_005, 1_004, 900]
    assert counter() <= 4


def test_a_list_costs_the_same_whatever_the_number_of_sessions(store: RedisStore, counter: Counter) -> None:
    for index in range(200):
        store.commit(build.commit(SessionKey("default", f"t{index}"), genesis=build.genesis(owner="bob", agent="a")))
    counter()
    rows, _ = store.list_sessions(SessionQuery(tenant="default", owner="bob", agent="a", limit=100))
    assert len(rows) == 100
    assert counter() <= 8


def test_a_moved_session_costs_more_only_now_and_then(store: RedisStore, counter: Counter) -> None:
    at_us = build.AT_US
    spent = []
    for index in range(20):
        event = build.event("later", at_us=at_us + index * 1_000_000)
        counter()
        store.commit(build.commit(KEY, event))
        spent.append(counter())
    assert spent.count(1) >= 15
    assert max(spent) <= 4
