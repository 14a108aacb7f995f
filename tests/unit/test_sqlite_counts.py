"""What an append costs, in counts that no machine's mood changes: statements, syncs, system calls, bytes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import turnfold as tf
from turnfold.model.commit import Commit
from turnfold.model.message import assistant
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.model.usage import Usage
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.contract import build

KEY = SessionKey("default", "s")
TEXT = "x" * 1_100
FRAME_BYTES = 4_096 + 24
APPENDS = 200
WRITTEN = {"fork": 3, "checkpoint": 3, "restore": 6}
"""Statements that write: the events, the session's counters, an entry of the head for each name."""

CHILD = """
import os, sys
from turnfold.model.session import SessionKey
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.contract import build
store = SqliteStore(sys.argv[1])
key = SessionKey("default", "s")
store.commit(build.commit(key, genesis=build.genesis()))
commits = [build.commit(key, "x" * 1_100) for _ in range(int(sys.argv[2]) + 5)]
for commit in commits[:5]:
    store.commit(commit)
os.write(2, b"BEGIN-MARK")
for commit in commits[5:]:
    store.commit(commit)
os.write(2, b"END-MARK")
os._exit(0)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "s.db")
    made.commit(build.commit(KEY, genesis=build.genesis()))
    yield made
    made.close()


def statements(store: SqliteStore, *commits: Commit) -> list[str]:
    """The first words of the statements that these commits run."""
    seen: list[str] = []
    writer = store._writer
    assert writer is not None
    writer.connection.set_trace_callback(lambda sql: seen.append(sql.split()[0]))
    try:
        if len(commits) == 1:
            store.commit(commits[0])
        else:
            store.commit_many(commits)
    finally:
        writer.connection.set_trace_callback(None)
    return seen


def test_a_plain_append_is_four_statements_and_reads_nothing(store: SqliteStore) -> None:
    for _ in range(3):
        store.commit(build.commit(KEY, TEXT))
    assert statements(store, build.commit(KEY, TEXT)) == ["BEGIN", "INSERT", "UPDATE", "COMMIT"]


def test_a_conditional_append_reads_nothing_either(store: SqliteStore) -> None:
    last_seq = store.commit(build.commit(KEY, TEXT)).last_seq
    assert statements(store, build.commit(KEY, TEXT, expected_seq=last_seq)) == ["BEGIN", "INSERT", "UPDATE", "COMMIT"]


def test_a_refused_append_begins_and_ends_one_transaction(store: SqliteStore) -> None:
    seen: list[str] = []
    writer = store._writer
    assert writer is not None
    writer.connection.set_trace_callback(lambda sql: seen.append(sql.split()[0]))
    outcome = store.commit_many([build.commit(KEY, TEXT, expected_seq=99)])[0]
    assert isinstance(outcome, Exception)
    assert (seen[0], seen[-1]) == ("BEGIN", "COMMIT")
    assert set(seen[1:-1]) == {"SELECT"}


def test_a_group_shares_one_transaction(store: SqliteStore) -> None:
    store.commit(build.commit(KEY, TEXT))
    seen = statements(store, *(build.commit(KEY, TEXT) for _ in range(10)))
    assert seen == ["BEGIN", "INSERT", "INSERT", "UPDATE", "COMMIT"]  # eight rows and two, and the one session's counters once


def test_several_events_of_one_commit_move_the_counters_once(store: SqliteStore) -> None:
    store.commit(build.commit(KEY, TEXT))
    assert Counter(statements(store, build.commit(KEY, *[TEXT] * 4))) == {"BEGIN": 1, "INSERT": 1, "UPDATE": 1, "COMMIT": 1}


@pytest.mark.parametrize("length", [10, 3_000])
def test_forks_checkpoints_and_restores_cost_the_same_at_any_length(tmp_path: Path, length: int) -> None:
    with tf.connect(f"sqlite:///{tmp_path}/s.db", upkeep=False) as client:
        session = client.open("s")
        session.append([assistant(TEXT) for _ in range(length)])
        mark = session.checkpoint("first")
        store = client.store
        assert isinstance(store, SqliteStore)
        writer = store._writer
        assert writer is not None
        calls: dict[str, Callable[[], object]] = {
            "fork": lambda: session.fork("f"),
            "checkpoint": lambda: session.checkpoint("second"),
            "restore": lambda: session.restore(mark),
        }
        counts: dict[str, Counter[str]] = {}
        for name, call in calls.items():
            seen: list[str] = []
            writer.connection.set_trace_callback(lambda sql, seen=seen: seen.append(sql.split()[0]))  # type: ignore[misc]
            call()
            writer.connection.set_trace_callback(None)
            counts[name] = Counter(seen)
        assert all(count["BEGIN"] == count["COMMIT"] == 1 for count in counts.values())
        written = {name: count["INSERT"] + count["UPDATE"] + count["DELETE"] for name, count in counts.items()}
        assert written == WRITTEN, counts


def test_usage_costs_two_statements_more(store: SqliteStore) -> None:
    store.commit(build.commit(KEY, TEXT))
    message = assistant(TEXT, usage=Usage(3, 2, model="m"))
    assert Counter(statements(store, build.commit(KEY, message))) == {"BEGIN": 1, "INSERT": 2, "UPDATE": 2, "COMMIT": 1}


def test_reads_stay_out_of_the_writers_way(store: SqliteStore) -> None:
    seen: list[str] = []
    writer = store._writer
    assert writer is not None
    writer.connection.set_trace_callback(seen.append)
    store.read_events(EventQuery(key=KEY))
    store.get_session(KEY)
    assert seen == []


def test_an_append_writes_at_most_16_kb(store: SqliteStore) -> None:
    wal = Path(f"{store.path}-wal")
    for _ in range(5):
        store.commit(build.commit(KEY, TEXT))
    before = wal.stat().st_size
    for _ in range(APPENDS):
        store.commit(build.commit(KEY, TEXT))
    frames = (wal.stat().st_size - before) / FRAME_BYTES / APPENDS
    assert frames * FRAME_BYTES <= 16 * 1_024, f"{frames} pages per append"


def test_the_file_is_at_most_1_4_times_the_raw_json(tmp_path: Path) -> None:
    path = tmp_path / "size.db"
    store = SqliteStore(path)
    store.commit(build.commit(KEY, genesis=build.genesis()))
    commits = [build.commit(KEY, TEXT) for _ in range(1_000)]
    store.commit_many(commits)
    store.close()
    assert path.stat().st_size <= 1.40 * sum(len(commit.events[0].data_raw) for commit in commits)


def test_an_append_is_one_sync_and_at_most_16_system_calls(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    command = [strace, "-f", "-o", str(trace), sys.executable, "-c", CHILD, str(tmp_path / "s.db"), str(APPENDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "END-MARK" not in done.stderr:
        pytest.skip(f"strace cannot trace here: {done.stderr[-200:]}")
    lines = trace.read_text().splitlines()
    first, last = (next(at for at, line in enumerate(lines) if mark in line) for mark in ("BEGIN-MARK", "END-MARK"))
    calls = Counter(match[1] for line in lines[first + 1 : last] if (match := re.match(r"\d+\s+(\w+)\(", line)))
    assert calls["fdatasync"] + calls["fsync"] == APPENDS
    assert sum(calls.values()) <= 16 * APPENDS, calls
