"""A process that dies while it migrates: the next one finds whole migrations, goes on, and everything is there."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.crash.killing import fork, reap
from tests.migration import golden, versions
from turnfold.stores.registry import open_store
from turnfold.stores.sqlite import SqliteStore, database, schema

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]


def test_killed_at_every_statement(tmp_path: Path) -> None:
    for number in itertools.count(1):
        folder = tmp_path / str(number)
        folder.mkdir()
        url = golden.old_store("sqlite", folder)

        def work(_: int, number: int = number, url: str = url) -> None:
            count = itertools.count(1)
            connect = database._connect

            def armed(path: str) -> sqlite3.Connection:
                connection = connect(path)
                connection.set_trace_callback(lambda _: os.kill(os.getpid(), signal.SIGKILL) if next(count) == number else None)
                return connection

            database._connect = armed
            store = open_store(url)
            store.migrate(post=True)
            store.close()

        status = reap(*fork(work))[1]
        store = SqliteStore(folder / "sessions.db")
        report = store.migrate(post=True)
        assert report.after == report.known == len(schema.MIGRATIONS)
        assert versions.read(store) == golden.old_content("sqlite")
        assert store.check().problems == ()
        store.close()
        assert golden.dump_schema(folder / "sessions.db") == golden.SCHEMA.read_text(encoding="utf-8")
        if status == 0:
            assert number > 10, "the hook saw no statements"
            return
        assert status == -signal.SIGKILL
