"""Answers that are lost, late or errors: what was written is reported as written, and nothing is written twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from turnfold.errors import LeaseLost, StoreUnavailable
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.stores.s3 import S3Store
from turnfold.testing.contract import build
from turnfold.testing.faults.http_proxy import Answer, HttpProxy

KEY = SessionKey("default", "s")
LOST = [Answer(0, after=True), Answer(409, after=True), Answer(412, after=True), Answer(500, after=True), Answer(503, after=True)]
REFUSED = [Answer(0, after=False), Answer(409, after=False), Answer(429, after=False), Answer(500, after=False), Answer(503, after=False)]


@pytest.fixture
def store(proxied_url: str) -> Iterator[S3Store]:
    store = S3Store(proxied_url)
    store.commit(build.commit(KEY, "first", genesis=build.genesis()))
    yield store
    store.close()


def texts(store: S3Store) -> list[str]:
    events = store.read_events(EventQuery(key=KEY, types=frozenset({"message"}), limit=1_000)).events
    assert [event.seq for event in events] == list(range(2, 2 + len(events)))
    return [event.data["parts"][0]["content"] for event in events]


@pytest.mark.parametrize("answer", LOST + REFUSED, ids=lambda answer: f"{answer.status}-{'after' if answer.after else 'before'}")
def test_an_append_is_there_once(store: S3Store, proxy: HttpProxy, answer: Answer) -> None:
    proxy.fail_next(answer)
    done = store.commit(build.commit(KEY, "second"))
    assert proxy.struck_count == 1
    assert (done.first_seq, done.repeated) == (3, False)
    assert texts(store) == ["first", "second"]
    assert store.commit(build.commit(KEY, "third", expected_seq=3)).first_seq == 4


@pytest.mark.parametrize("answer", LOST, ids=lambda answer: str(answer.status))
def test_a_creation_is_there_once(store: S3Store, proxy: HttpProxy, answer: Answer) -> None:
    key = SessionKey("default", "new")
    store.get_session(KEY)
    proxy.fail_next(answer)
    done = store.commit(build.commit(key, "x", genesis=build.genesis()))
    assert (done.created, done.first_seq) == (True, 2)
    assert store.get_session(key).info.last_seq == 2


def test_a_lost_answer_with_another_writer_on_top(store: S3Store, proxy: HttpProxy, url: str) -> None:
    """The own write is found below the other's, by its token."""
    other = S3Store(url)
    other.get_session(KEY)
    wrote: list[int] = []

    def choose(method: str, _path: str) -> Answer | None:
        if method == "PUT" and not wrote:
            wrote.append(0)
            return Answer(0, after=True)
        if method == "GET" and wrote == [0]:
            wrote[0] = other.commit(build.commit(KEY, "on top")).first_seq
        return None

    proxy.choose = choose
    done = store.commit(build.commit(KEY, "lost"))
    assert (done.first_seq, done.repeated, wrote) == (3, False, [4])
    assert texts(store) == ["first", "lost", "on top"]
    other.close()


def test_a_conflict_is_met_by_going_on_from_the_other(store: S3Store, proxy: HttpProxy, url: str) -> None:
    other = S3Store(url)
    for index in range(5):
        other.commit(build.commit(KEY, f"other {index}"))
        assert store.commit(build.commit(KEY, f"own {index}")).first_seq == 4 + 2 * index
    assert len(texts(store)) == 11
    other.close()


def test_a_server_that_never_answers_is_unavailable(store: S3Store, proxy: HttpProxy) -> None:
    proxy.choose = lambda _method, _path: Answer(503, after=False)
    with pytest.raises(StoreUnavailable) as caught:
        store.commit(build.commit(KEY, "lost"))
    assert caught.value.retryable
    assert "503 SlowDown" in caught.value.message
    proxy.choose = lambda _method, _path: None
    assert store.commit(build.commit(KEY, "second")).first_seq == 3


@pytest.mark.parametrize("answer", LOST, ids=lambda answer: str(answer.status))
def test_a_lease_is_won_once(store: S3Store, proxy: HttpProxy, answer: Answer) -> None:
    proxy.fail_next(answer)
    lease = store.acquire_lease(KEY, "one", 30)
    assert lease.fence == 1
    with pytest.raises(LeaseLost):
        store.acquire_lease(KEY, "two", 30)
    proxy.fail_next(answer)
    assert store.renew_lease(lease, 30).fence == 1
    assert store.commit(build.commit(KEY, "second", lease=1)).first_seq == 3


@pytest.mark.parametrize("answer", LOST, ids=lambda answer: str(answer.status))
def test_a_cursor_moves_once(store: S3Store, proxy: HttpProxy, answer: Answer) -> None:
    incarnation = store.get_session(KEY).info.incarnation
    proxy.fail_next(answer)
    assert store.advance("f", KEY, incarnation=incarnation, from_seq=0, to_seq=2)
    assert store.follower_seq("f", KEY) == 2
