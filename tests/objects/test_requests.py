"""What a commit and a resume cost in requests, counted exactly by a proxy before the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import turnfold as tf
from turnfold.limits import IDEMPOTENCY_EVENTS, OBJECT_TAIL_BYTES_MAX, READ_CHUNK_EVENTS
from turnfold.model.commit import Commit
from turnfold.model.query import EventQuery, SessionQuery
from turnfold.model.session import SessionKey
from turnfold.stores.s3 import S3Store
from turnfold.testing.contract import build
from turnfold.testing.faults.http_proxy import HttpProxy

KEY = SessionKey("default", "s")


@pytest.fixture
def store(proxied_url: str) -> Iterator[S3Store]:
    store = S3Store(proxied_url)
    yield store
    store.close()


@contextmanager
def counted(proxy: HttpProxy) -> Iterator[dict[str, int]]:
    """The requests that are made inside, by method, filled in at the end."""
    before = proxy.requests.copy()
    made: dict[str, int] = {}
    yield made
    made.update(proxy.requests - before)


def messages(count: int, size: int = 100) -> Commit:
    return build.commit(KEY, *(f"{index} " + "x" * size for index in range(count)))


def test_a_small_commit_is_one_request(store: S3Store, proxy: HttpProxy) -> None:
    with counted(proxy) as made:
        store.commit(build.commit(KEY, "first", genesis=build.genesis()))
    assert made == {"GET": 1, "PUT": 1}
    for index in range(20):
        with counted(proxy) as made:
            store.commit(build.commit(KEY, f"message {index}"))
        assert made == {"PUT": 1}


def test_no_commit_of_a_long_session_costs_more_than_two(store: S3Store, proxy: HttpProxy) -> None:
    store.commit(build.commit(KEY, genesis=build.genesis()))
    costs: list[int] = []
    for index in range(400):
        with counted(proxy) as made:
            store.commit(build.commit(KEY, f"{index} " + "x" * 1_500, build.state_event(**{f"key{index}": "y" * 200})))
        assert made.keys() == {"PUT"}
        costs.append(made["PUT"])
    assert set(costs) == {1, 2}
    assert sum(costs) - len(costs) < 400 * 2_500 / OBJECT_TAIL_BYTES_MAX + 10, "an overflow per tail, and few of the rows"


def test_a_refused_commit_asks_once(store: S3Store, proxy: HttpProxy) -> None:
    store.commit(build.commit(KEY, "first", genesis=build.genesis()))
    with counted(proxy) as made, pytest.raises(Exception, match="expected the session at seq 9"):
        store.commit(build.commit(KEY, "late", expected_seq=9))
    assert made == {"GET": 1}
    commit = build.commit(KEY, "again")
    store.commit(commit)
    with counted(proxy) as made:
        assert store.commit(commit).repeated
    assert made == {"GET": 1}


def test_many_commits_to_one_session_are_one_write(store: S3Store, proxy: HttpProxy) -> None:
    store.commit(build.commit(KEY, genesis=build.genesis()))
    with counted(proxy) as made:
        done = store.commit_many([build.commit(KEY, f"{index}") for index in range(200)])
    assert [item.first_seq for item in done if not isinstance(item, Exception)] == list(range(2, 202))
    assert made == {"PUT": 1}


def test_a_resume_of_ten_thousand_events(proxied_url: str, proxy: HttpProxy) -> None:
    """The budget is 30 requests, whoever wrote the session and however; here in 100 commits, as a tool does it."""
    writer = S3Store(proxied_url)
    writer.commit(build.commit(KEY, genesis=build.genesis()))
    for _ in range(100):
        writer.commit(messages(100))
    writer.close()
    with tf.connect(proxied_url) as client:
        with counted(proxy) as made:
            session = client.open("s", create=False)
            found = sum(1 for _ in session.messages())
        assert found == 10_000
        assert set(made) == {"GET"}
        assert 0 < made["GET"] <= 5, "the manifest when it is opened and for each page, and the segments; 30 are allowed"


def test_pages_of_a_store(store: S3Store, proxy: HttpProxy, proxied_url: str) -> None:
    store.commit(build.commit(KEY, genesis=build.genesis()))
    for _ in range(20):
        store.commit(messages(500))
    other = S3Store(proxied_url)
    with counted(proxy) as made:
        after = count = 0
        while True:
            page = other.read_events(EventQuery(key=KEY, after=after, limit=READ_CHUNK_EVENTS))
            count += len(page.events)
            after = page.through_seq
            if not page.more:
                break
    assert count == 10_001
    assert made["GET"] <= 30
    with counted(proxy) as made:
        newest = other.read_events(EventQuery(key=KEY, limit=50, descending=True))
    assert len(newest.events) == 50
    assert made == {"GET": 1}
    other.close()


def test_a_list_reads_what_has_changed(store: S3Store, proxy: HttpProxy, proxied_url: str) -> None:
    for index in range(60):
        store.commit(build.commit(SessionKey("default", f"s{index:02}"), genesis=build.genesis(title=f"{index}")))
    with counted(proxy) as made:
        rows, _ = store.list_sessions(SessionQuery(tenant="default", limit=100))
    assert len(rows) == 60
    assert made == {"GET": 62, "PUT": 1}  # the cache (none yet), one list, the manifests; and they are left for the next process
    with counted(proxy) as made:
        store.list_sessions(SessionQuery(tenant="default"))
    assert made == {"GET": 1}
    store.commit(build.commit(SessionKey("default", "s07"), "x"))
    other = S3Store(proxied_url)
    with counted(proxy) as made:
        rows, _ = other.list_sessions(SessionQuery(tenant="default", limit=100))
    assert {row.id: row.last_seq for row in rows}["s07"] == 2
    assert made == {"GET": 3}  # the cache, the list, the one that changed
    other.close()


def test_a_list_by_prefix_reads_what_begins_so(store: S3Store, proxy: HttpProxy) -> None:
    long = "a/" + "ä" * 100
    for name in ("b", "a:1", long, long[:40], "c"):
        store.commit(build.commit(SessionKey("default", name), genesis=build.genesis()))
    expected: dict[str, set[str]] = {"a": {"a:1", long, long[:40]}, "a:": {"a:1"}, long[:60]: {long}, "x": set()}
    for prefix, names in expected.items():
        with counted(proxy) as made:
            rows, _ = store.list_sessions(SessionQuery(tenant="default", id_prefix=prefix))
        assert {row.id for row in rows} == names
        assert made["GET"] <= 1 + 3


def test_what_is_followed_costs_few_requests(store: S3Store, proxy: HttpProxy) -> None:
    keys = [SessionKey("default", f"s{index:03}") for index in range(40)]
    store.commit_many([build.commit(key, genesis=build.genesis()) for key in keys])
    store.last_seqs(keys)
    with counted(proxy) as made:
        assert len(store.last_seqs(keys)) == 40
    assert made == {"GET": 1}
    with counted(proxy) as made:
        assert len(store.last_seqs(keys[:3])) == 3
    assert made == {"GET": 3}


def test_ids_are_remembered_within_the_window_and_repeats_found_beyond(proxied_url: str) -> None:
    store = S3Store(proxied_url)
    store.commit(build.commit(KEY, genesis=build.genesis()))
    large = messages(IDEMPOTENCY_EVENTS * 2)
    store.commit(large)
    store.commit(messages(50))
    other = S3Store(proxied_url)
    again = other.commit(large)  # its first ids are out of the window, its last ones are not
    assert (again.repeated, again.first_seq, again.seqs) == (True, 2, None)
    store.close()
    other.close()
