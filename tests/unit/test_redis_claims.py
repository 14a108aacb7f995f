"""What spans sessions on a Redis: whatever a process leaves behind when it dies in between, nothing is lost, and nothing is there twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.redis_servers import key_space, open_redis, redis_url_or_stop, with_options
from turnfold.core.redaction import redact_of
from turnfold.core.search import index_rows
from turnfold.errors import LimitExceeded, SequenceConflict, StoreUnavailable
from turnfold.model.query import EventQuery, SearchQuery, SessionQuery
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.stores.redis import RedisStore
from turnfold.stores.redis.also import SETTLE_AFTER_US
from turnfold.stores.redis.claims import Claims
from turnfold.stores.redis.links import _Node, command
from turnfold.stores.redis.scripts import STALE_US
from turnfold.stores.redis.writing import Room
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import build
from turnfold.testing.servers.redis import RedisServer, executable

KEY, SCOPE = SessionKey("default", "s1"), SessionKey("default", "~state/owner/alice")


class Died(BaseException):
    """The process ends here."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def url() -> Iterator[str]:
    server = redis_url_or_stop()
    with key_space(server) as prefix:
        yield with_options(server, prefix=prefix)


@pytest.fixture
def store(url: str, clock: FakeClock) -> Iterator[RedisStore]:
    opened = open_redis(url, clock=clock)
    yield opened
    opened.close()


def ids(store: RedisStore, **fields: Any) -> list[str]:
    rows, _ = store.list_sessions(SessionQuery(tenant="default", **fields))
    return [row.id for row in rows]


def die_at(monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> None:
    def dying(*_: Any, **__: Any) -> None:
        raise Died

    monkeypatch.setattr(owner, method, dying)


def test_death_before_the_creation_leaves_nothing_to_see(store: RedisStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list entry and the reservation are there, the session is not."""
    genesis = build.genesis(owner="alice", owner_sessions_max=1)
    with monkeypatch.context() as patch:
        die_at(patch, Room, "apply")
        with pytest.raises(Died):
            store.commit(build.commit(KEY, "x", genesis=genesis))
    assert ids(store) == ids(store, owner="alice") == []
    assert store.changed_sessions("f", 10) == []
    assert store.check().problems == ()
    other = build.commit(SessionKey("default", "s2"), "x", genesis=build.genesis(owner="alice", owner_sessions_max=1))
    clock.advance(STALE_US + 1)  # nobody can create it any more: its place is free
    store.commit(other)
    assert ids(store) == ["s2"]
    with pytest.raises(LimitExceeded):
        store.commit(build.commit(KEY, "x", genesis=build.genesis(owner="alice", owner_sessions_max=1)))


def test_death_between_claim_and_append_leaves_the_old_place(store: RedisStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit(build.commit(KEY, "x", genesis=build.genesis(owner="alice")))
    store.commit(build.commit(SessionKey("default", "s2"), build.event("y", at_us=build.AT_US + 10_000_000), genesis=build.genesis()))
    later = build.commit(KEY, build.event("later", at_us=build.AT_US + 3_600_000_000))
    with monkeypatch.context() as patch:
        write = Claims.write

        def write_and_die(claims: Claims, *arguments: Any) -> None:
            write(claims, *arguments)
            raise Died

        patch.setattr(Claims, "write", write_and_die)
        with pytest.raises(Died):
            store.commit(later)
    assert ids(store) == ["s2", "s1"]
    assert store.commit(later).repeated is False
    assert ids(store) == ["s1", "s2"]
    assert store.check().problems == ()


def test_death_after_the_append_leaves_an_old_entry_that_nobody_sees(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit(build.commit(KEY, "x", genesis=build.genesis()))
    later = build.commit(KEY, build.event("later", at_us=build.AT_US + 3_600_000_000))
    with monkeypatch.context() as patch:
        die_at(patch, Claims, "take_back")
        with pytest.raises(Died):
            store.commit(later)
    assert ids(store) == ["s1"]
    assert store.commit(later).repeated


def test_a_change_is_found_although_the_follower_forgot_the_session(store: RedisStore, clock: FakeClock) -> None:
    store.commit(build.commit(KEY, "x", genesis=build.genesis()))
    (changed,) = store.changed_sessions("f", 10)
    assert store.advance("f", KEY, incarnation=changed.incarnation, from_seq=0, to_seq=changed.last_seq)
    clock.advance(10 * STALE_US)
    assert store.changed_sessions("f", 10) == []  # its watermark is past the session now
    store.commit(build.commit(KEY, "again"))
    assert [item.last_seq for item in store.changed_sessions("f", 10)] == [3]


def test_a_late_session_is_not_forgotten(store: RedisStore, clock: FakeClock) -> None:
    keys = [SessionKey("default", f"s{index}") for index in range(5)]
    for key in keys:
        store.commit(build.commit(key, "x", genesis=build.genesis()))
    clock.advance(10 * STALE_US)
    for _ in range(3):
        assert {item.key for item in store.changed_sessions("f", 10)} == set(keys)
        assert len(store.changed_sessions("f", 2)) == 2


def test_what_a_dead_process_carried_is_done_by_another(
    url: str, store: RedisStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit(build.commit(KEY, "x", genesis=build.genesis()))
    also = build.commit(SCOPE, build.state_event(theme="dark"), genesis=build.genesis(kind="scope"))
    with monkeypatch.context() as patch:
        die_at(patch, RedisStore, "_append_call")  # the first thing that the other log's commit does
        with pytest.raises(Died):
            store.commit(build.commit(KEY, build.state_event(step=1), also=(also,)))
    assert store.last_seqs([KEY, SCOPE])[KEY][1] == 3
    assert SCOPE not in store.last_seqs([SCOPE])
    clock.advance(SETTLE_AFTER_US + 1)
    other = open_redis(url, clock=clock)
    other.changed_sessions("search", 10)  # what every client asks now and then
    entry = other.get_session(SCOPE).entry("state", "theme", "main")
    assert entry is not None
    other.changed_sessions("search", 10)
    assert other.get_session(SCOPE).info.last_seq == 2
    other.close()


def test_what_a_session_carries_is_done_before_it_is_deleted(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit(build.commit(KEY, "x", genesis=build.genesis()))
    also = build.commit(SCOPE, build.state_event(theme="dark"), genesis=build.genesis(kind="scope"))
    with monkeypatch.context() as patch:
        die_at(patch, RedisStore, "_append_call")
        with pytest.raises(Died):
            store.commit(build.commit(KEY, build.state_event(step=1), also=(also,)))
    store.delete_session(KEY)
    assert store.get_session(SCOPE).info.last_seq == 2


def test_refused_also_is_told(store: RedisStore) -> None:
    store.commit(build.commit(KEY, "x", genesis=build.genesis()))
    store.commit(build.commit(SCOPE, genesis=build.genesis(kind="scope")))
    also = build.commit(SCOPE, build.state_event(theme="dark"), expected_seq=9)
    with pytest.raises(SequenceConflict):
        store.commit(build.commit(KEY, build.state_event(step=1), also=(also,)))
    assert store.check().problems == ()


def test_rare_commits_get_their_turn_while_others_append(store: RedisStore) -> None:
    store.commit(build.commit(KEY, "x", genesis=build.genesis()))
    done = threading.Event()
    count = [0] * 4

    def append(index: int) -> None:
        while not done.is_set():
            store.commit(build.commit(KEY, "x"))
            count[index] += 1

    threads = [threading.Thread(target=append, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(20):
            store.commit(build.commit(KEY, "run", runs=(Run(id=f"r{number:02}", session_id="s1"),)))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert len(store.list_runs(KEY)) == 20
    assert store.get_session(KEY).info.last_seq == 22 + sum(count)


def test_erased_words_are_in_no_key(store: RedisStore) -> None:
    """Neither the payload nor the index rows keep a redacted text."""
    store.commit(build.commit(KEY, "the xyzzysecret word", "another xyzzyplain word", genesis=build.genesis()))
    page = store.read_events(EventQuery(key=KEY))
    assert store.advance("search", KEY, incarnation=page.incarnation, from_seq=0, to_seq=3, rows=index_rows(page.events))
    assert len(store.search(SearchQuery(tenant="default", terms=("word",)))) == 2
    store.commit(build.commit(KEY, redacts=(redact_of(page.events[1], ()),), lifecycle=True))
    assert [row.seq for row in store.search(SearchQuery(tenant="default", terms=("word",)))] == [3]
    kept = b"".join(dump(store))
    assert b"xyzzyplain" in kept
    assert b"xyzzysecret" not in kept


def dump(store: RedisStore) -> Iterator[bytes]:
    """Every value of a session's keys, as one can read it."""
    room = store._room  # looks at what the store keeps
    for name in room.names.session(KEY):
        kind = room.links.one(command(b"TYPE", name))
        if kind == b"list":
            yield from room.links.one(command(b"LRANGE", name, b"0", b"-1"))
        elif kind == b"hash":
            yield from room.links.one(command(b"HGETALL", name))
        elif kind == b"string":
            yield room.links.one(command(b"GET", name))


@pytest.mark.parametrize("step", ["creation", "rare commit", "append"])
def test_lost_answer_leaves_the_session_in_its_lists(store: RedisStore, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """The server does it, the connection breaks before the answer; what is sent again must not take back what the first one relies on."""
    if step != "creation":
        store.commit(build.commit(KEY, "x", genesis=build.genesis(owner="alice", owner_sessions_max=1)))
    later = build.event("later", at_us=build.AT_US + 3_600_000_000)
    commits = {
        "creation": build.commit(KEY, later, genesis=build.genesis(owner="alice", owner_sessions_max=1)),
        "rare commit": build.commit(KEY, later, runs=(Run(id="r", session_id="s1"),)),
        "append": build.commit(KEY, later),
    }
    exchange, needle = _Node.exchange, (b"RPUSH" if step != "append" else b"later")
    lost: list[bytes] = []

    def losing(node: _Node, data: bytes, count: int) -> list[Any]:
        answers = exchange(node, data, count)
        written = step != "append" or not (isinstance(answers[0], bytes) and b"alice" in answers[0])
        if needle in data and not lost and written and not isinstance(answers[0], Exception):
            lost.append(data)
            raise ConnectionError("cut after the server had done it")
        return answers

    with monkeypatch.context() as patch:
        patch.setattr(_Node, "exchange", losing)
        done = store.commit(commits[step])
    assert lost
    assert done.repeated
    assert ids(store) == ids(store, owner="alice") == ["s1"]
    assert store.check().problems == ()
    with pytest.raises(LimitExceeded):
        store.commit(build.commit(SessionKey("default", "s2"), "x", genesis=build.genesis(owner="alice", owner_sessions_max=1)))


def test_entries_that_no_session_confirms_are_removed_in_time(store: RedisStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        die_at(patch, Room, "apply")
        with pytest.raises(Died):
            store.commit(build.commit(KEY, "x", genesis=build.genesis()))
    room = store._room  # looks at what the store keeps
    look = command(b"ZCARD", room.names.listing("default", "session"))
    assert ids(store) == []
    assert room.links.one(look) == 1
    clock.advance(STALE_US + 1)
    assert ids(store) == []
    assert room.links.one(look) == 0


def test_a_server_that_is_away_is_told_to_all_at_once(tmp_path: Path) -> None:
    """Sixteen threads wait together, not one after the other."""
    if executable() is None:
        pytest.skip("no redis-server is installed")
    with RedisServer(tmp_path) as server:
        store = RedisStore(f"{server.url}?wait_s=1")
        store.commit(build.commit(KEY, "x", genesis=build.genesis()))
        server.kill()
        began = time.monotonic()
        errors: list[Exception] = []

        def append() -> None:
            try:
                store.commit(build.commit(KEY, "x"))
            except StoreUnavailable as error:
                errors.append(error)

        threads = [threading.Thread(target=append) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(errors) == 16
        assert time.monotonic() - began < 6
        store.close()
