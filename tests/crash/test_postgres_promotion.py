"""A standby takes over while many write: what was acknowledged is there exactly once, and the same store goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import skip_or_fail
from turnfold.errors import StoreUnavailable
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.stores.postgres import PostgresStore
from turnfold.testing.contract import build
from turnfold.testing.servers.postgres import PostgresServer, binaries

KEY = SessionKey("default", "s")
WRITERS, APPENDS = 4, 60


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[PostgresServer]:
    if binaries() is None:
        skip_or_fail("no PostgreSQL server is installed")
    with PostgresServer(tmp_path / "primary") as server:
        yield server


def test_a_standby_takes_over_in_mid_commit(primary: PostgresServer, tmp_path: Path) -> None:
    with primary.standby(tmp_path / "standby") as standby:
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")  # acknowledged is what the standby has
        primary.execute("SELECT pg_reload_conf()")
        url = f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres?target_session_attrs=read-write"
        store = PostgresStore(url)
        store.commit(build.commit(KEY, genesis=build.genesis()))
        sent: list[list[str]] = [[] for _ in range(WRITERS)]

        def write(writer: int) -> None:
            for turn in range(APPENDS):
                commit = build.commit(KEY, f"{writer}:{turn}")
                while True:
                    try:
                        store.commit(commit)
                    except StoreUnavailable:  # it says to try again with the same ids
                        continue
                    break
                sent[writer].append(commit.events[0].id)

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
        for thread in threads:
            thread.start()
        while sum(map(len, sent)) < WRITERS * APPENDS // 3:
            time.sleep(0.001)
        primary.kill()
        standby.execute("SELECT pg_promote(true, 30)")
        standby.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        standby.execute("SELECT pg_reload_conf()")
        for thread in threads:
            thread.join()
        page = store.read_events(EventQuery(key=KEY, limit=1_000))
        assert [event.seq for event in page.events] == list(range(1, WRITERS * APPENDS + 2))
        assert sorted(event.id for event in page.events[1:]) == sorted(event_id for ids in sent for event_id in ids)
        assert store.check().problems == ()
        store.close()
