"""A process is killed while it compacts: everything is there, in blocks or not, and the next one goes on."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.contract.compacted import compact_all, make_blocks_small, make_everything_cold, make_segments_small
from tests.crash.killing import ACK, WAYS, Calls, Kill, fork, reap
from turnfold.codec.residual import part_ref
from turnfold.model.event import Event, NewEvent
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store
from turnfold.stores.files import FilesStore
from turnfold.stores.sqlite import SqliteStore, database
from turnfold.testing.contract import build

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

KEY = SessionKey("default", "s")
PART = b"a part that is written again and again " * 1_000


@pytest.fixture(autouse=True)
def _cold(monkeypatch: pytest.MonkeyPatch) -> None:
    make_everything_cold(monkeypatch)
    make_blocks_small(monkeypatch)
    make_segments_small(monkeypatch)


def fill(store: Store) -> None:
    store.commit(build.commit(KEY, "first", "second", "third", genesis=build.genesis(), parts=((part_ref(PART), PART),)))
    store.commit(build.commit(KEY, NewEvent(type="note", data=1, source=b"a kept line", meta={"a": 1}), "fifth", "sixth", "seventh"))


def log(store: Store) -> list[Event]:
    return store.read_events(EventQuery(key=KEY, limit=1_000, with_source=True)).events


def survive(store: Store, before: list[Event], acknowledged: bytes) -> None:
    """Everything is there, once; compacting and erasing go on."""
    assert store.check().problems == ()
    after = log(store)
    assert after[: len(before)] == before
    assert len(after) - len(before) in {len(acknowledged), len(acknowledged) + 1}
    compact_all(store)
    assert log(store) == after
    assert store.read_part(KEY, part_ref(PART)) == PART
    store.commit(build.redaction(KEY, after[2]))
    assert log(store)[2].redacted
    assert store.check().problems == ()
    store.close()


def test_sqlite_killed_at_every_statement(tmp_path: Path) -> None:
    origin = tmp_path / "origin.db"
    store: Store = SqliteStore(origin, durability="normal")
    fill(store)
    before = log(store)
    store.close()
    for number in itertools.count(1):
        path = tmp_path / f"{number}.db"
        shutil.copy(origin, path)

        def work(fd: int, number: int = number, path: Path = path) -> None:
            count = itertools.count(1)
            connect = database._connect

            def armed(path: str) -> sqlite3.Connection:
                connection = connect(path)
                connection.set_trace_callback(lambda _: os.kill(os.getpid(), signal.SIGKILL) if next(count) == number else None)
                return connection

            database._connect = armed
            mine = SqliteStore(path, durability="normal")
            compact_all(mine)
            mine.commit(build.commit(KEY, "and on"))
            os.write(fd, ACK)
            compact_all(mine)
            mine.close()

        acknowledged, status = reap(*fork(work))
        survive(SqliteStore(path, durability="normal"), before, acknowledged)
        if status == 0:
            assert number > 40, "the hook saw no statements"
            return
        assert status == -signal.SIGKILL


@pytest.mark.parametrize("way", WAYS)
def test_files_killed_at_every_system_call(tmp_path: Path, way: str) -> None:
    origin = tmp_path / "origin"
    store: Store = FilesStore(origin)
    fill(store)
    before = log(store)
    store.close()
    for number in itertools.count(1):
        path = tmp_path / str(number)
        shutil.copytree(origin, path)

        def work(fd: int, number: int = number, path: Path = path) -> None:
            calls = Calls(Kill(number, way))
            mine = FilesStore(path)
            compact_all(mine)
            mine.commit(build.commit(KEY, "and on"))
            calls.acknowledge(fd)
            compact_all(mine)
            mine.close()

        acknowledged, status = reap(*fork(work))
        survive(FilesStore(path), before, acknowledged)
        if status == 0:
            assert number > 10, "the hook saw no calls"
            return
        assert status == -signal.SIGKILL
