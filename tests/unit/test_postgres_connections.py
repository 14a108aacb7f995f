"""Connections that break, run out, wait too long, are interrupted or forked; and what a caller hears."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.postgres import fresh_database
from turnfold.errors import StoreUnavailable
from turnfold.model.query import EventQuery, SessionQuery
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.stores.postgres import PostgresStore
from turnfold.stores.postgres.wire import STATEMENTS_MAX, Wire
from turnfold.testing.contract import build

KEY = SessionKey("default", "s")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    yield from fresh_database("connections")


@pytest.fixture
def store(database: str) -> Iterator[PostgresStore]:
    made = PostgresStore(database)
    made.commit(build.commit(KEY, genesis=build.genesis()))
    yield made
    made.delete_session(KEY)
    made.close()


@pytest.fixture
def admin(database: str) -> Iterator[psycopg.Connection[tuple[int]]]:
    with psycopg.connect(database, autocommit=True, options="-c search_path=turnfold") as connection:
        yield connection


def cut_all(admin: psycopg.Connection[tuple[int]]) -> None:
    admin.execute(
        "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )


def seqs(store: PostgresStore) -> list[int]:
    return [event.seq for event in store.read_events(EventQuery(key=KEY, limit=1_000)).events]


def test_connections_that_were_cut_while_nobody_used_them(store: PostgresStore, admin: psycopg.Connection[tuple[int]]) -> None:
    store.list_sessions(SessionQuery(tenant="default"))
    for turn in range(3):
        cut_all(admin)
        store.commit(build.commit(KEY, f"after cut {turn}"))
        cut_all(admin)
        store.commit(build.commit(KEY, runs=(Run(id=f"r{turn}", session_id="s"),)))  # nothing to recognise it by, and not sent in vain
        cut_all(admin)
        assert seqs(store) == list(range(1, turn + 3))
    assert len(store.list_runs(KEY)) == 3


def test_connections_that_are_cut_all_the_time(store: PostgresStore, admin: psycopg.Connection[tuple[int]]) -> None:
    done = threading.Event()
    errors: list[Exception] = []

    def write(writer: int) -> None:
        for turn in range(40):
            commit = build.commit(KEY, f"{writer}:{turn}")
            while True:
                try:
                    store.commit(commit)
                except StoreUnavailable as error:  # cut twice in one commit: it says to try again with the same ids
                    errors.append(error)
                    continue
                break

    def cut() -> None:
        while not done.wait(0.03):
            cut_all(admin)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    cutter = threading.Thread(target=cut)
    for thread in (*writers, cutter):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    cutter.join()
    assert all("may or may not" in str(error) or "terminating" in str(error) for error in errors)
    assert seqs(store) == list(range(1, 122))
    texts = [event.data["parts"][0]["content"] for event in store.read_events(EventQuery(key=KEY, after=1, limit=1_000)).events]
    assert sorted(texts) == sorted(f"{writer}:{turn}" for writer in range(3) for turn in range(40))


def test_a_statement_that_takes_too_long(database: str, store: PostgresStore, admin: psycopg.Connection[tuple[int]]) -> None:
    hasty = PostgresStore(f"{database}?statement_timeout_s=0.3")
    try:
        with admin.transaction():
            admin.execute("SELECT * FROM counter FOR UPDATE")
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="timeout") as caught:
                hasty.commit(build.commit(KEY, "waits for the lock"))
            assert time.monotonic() - began < 5
            assert caught.value.retryable
        hasty.commit(build.commit(KEY, "now"))
        assert seqs(store) == [1, 2]
    finally:
        hasty.close()


def test_more_readers_than_connections_wait(database: str, store: PostgresStore) -> None:
    small = PostgresStore(f"{database}?connections_max=1")
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(len(seqs(small)))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    small.close()
    assert results == [1] * 12
    assert store.url


def test_more_readers_than_connections_for_too_long(database: str, store: PostgresStore) -> None:
    small = PostgresStore(f"{database}?connections_max=1&statement_timeout_s=0.2")
    try:
        with small._pool.lend(), pytest.raises(StoreUnavailable, match="all 1 connections"):
            seqs(small)
        assert seqs(small) == seqs(store)
    finally:
        small.close()


def test_an_interrupted_caller_leaves_the_others_alone(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit(build.commit(KEY, "first"))
    with monkeypatch.context() as patch:
        patch.setattr(Wire, "_wait", lambda _self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.commit(build.commit(KEY, "may be there"))
        with pytest.raises(KeyboardInterrupt):
            seqs(store)
    last = store.commit(build.commit(KEY, "second")).last_seq
    found = seqs(store)  # what was interrupted is there before, after or not at all: its server may be slow
    assert found == list(range(1, len(found) + 1))
    assert len(found) - last in {0, 1}


def test_a_forked_child_has_connections_of_its_own(store: PostgresStore) -> None:
    store.commit(build.commit(KEY, "parent"))
    seqs(store)
    child = os.fork()
    if child == 0:
        try:
            store.commit(build.commit(KEY, "child"))
            os._exit(0 if seqs(store) == [1, 2, 3] else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    store.commit(build.commit(KEY, "parent again"))
    assert seqs(store) == [1, 2, 3, 4]


def test_two_stores_in_one_database(database: str, store: PostgresStore) -> None:
    other = PostgresStore(f"{database}?schema=other")
    other.commit(build.commit(KEY, "x", "y", genesis=build.genesis()))
    woken = threading.Event()
    watch = other.watch(woken.set)
    watch.follow([KEY])
    try:
        assert (len(seqs(store)), len(seqs(other))) == (1, 3)
        woken.clear()
        store.commit(build.commit(KEY, "not yours"))
        assert not woken.wait(0.2)
    finally:
        watch.close()
        other.close()


def test_many_stores_make_one_schema(database: str) -> None:
    errors: list[Exception] = []

    def make() -> None:
        try:
            PostgresStore(f"{database}?schema=race").close()
        except Exception as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_server_that_is_not_there() -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
        PostgresStore("postgresql://u:secret@127.0.0.1:1/d")
    assert time.monotonic() - began < 5


def test_a_connection_with_too_many_statements_is_given_up(store: PostgresStore, admin: psycopg.Connection[tuple[int]]) -> None:
    for limit in range(1, STATEMENTS_MAX + 20):
        store.list_sessions(SessionQuery(tenant="default", limit=limit))
    kept = [wire for wire in store._pool._idle if not wire.is_broken()]
    assert kept
    assert all(len(wire._prepared or ()) < STATEMENTS_MAX for wire in kept)
