"""A writer is killed at any moment: every reopen succeeds, and what was acknowledged is there exactly once."""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnfold.codec.seal import event_digest
from turnfold.core.fold import fold_head
from turnfold.errors import SessionNotFound
from turnfold.model.event import Event
from turnfold.model.query import EventQuery, SessionQuery
from turnfold.model.session import SessionKey
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.contract import build

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

CHILD = Path(__file__).with_name("sqlite_child.py")
KILLS = 120
KILLS_PER_FILE = 12
WAIT_S = 30.0

Ack = tuple[str, int, int, list[str]]


class Nursery:
    """The process that forks writers, and the reading end of what they say."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.fd = self.process.stdout.fileno()
        self.rest = b""

    def begin(self, path: Path, mode: str, number: int) -> int:
        """Fork a writer; return its process id."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{path} {mode} {number}\n".encode())
        self.process.stdin.flush()
        word, pid = self.line(WAIT_S).split()
        assert word == "pid"
        return int(pid)

    def line(self, wait_s: float) -> str:
        """The next line; empty if none comes in time."""
        end = time.monotonic() + wait_s
        while b"\n" not in self.rest:
            left_s = end - time.monotonic()
            if left_s <= 0 or not select.select([self.fd], [], [], left_s)[0]:
                return ""
            self.rest += os.read(self.fd, 65_536)
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode()

    def to_the_end(self, lines: list[str]) -> list[Ack]:
        """Read on until the writer is dead; return what was acknowledged."""
        while not lines or lines[-1] != "dead":
            line = self.line(WAIT_S)
            assert line, "the writer neither wrote nor died"
            lines.append(line)
        return [ack_of(line) for line in lines if line.startswith("ack ")]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def ack_of(line: str) -> Ack:
    _, session_id, first, last, ids = line.split()
    return session_id, int(first), int(last), ids.split(",")


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def read_log(store: SqliteStore, key: SessionKey) -> list[Event]:
    events: list[Event] = []
    while True:
        page = store.read_events(EventQuery(key=key, after=events[-1].seq if events else 0, limit=5_000, with_source=True))
        events += page.events
        if not page.more:
            return events


def verify(path: Path, acks: list[Ack]) -> int:
    """Reopen, compare with what was acknowledged, check every session; return the number of events."""
    store = SqliteStore(path)
    try:
        assert store.check().problems == ()
        logs: dict[str, list[Event]] = {}
        for info in store.list_sessions(SessionQuery(tenant="default", limit=100))[0]:
            key = SessionKey("default", info.id)
            log = logs[info.id] = read_log(store, key)
            assert [event.seq for event in log] == list(range(1, info.last_seq + 1))
            assert len({event.id for event in log}) == len(log)
            assert all(event.redacted or event.digest == event_digest(event) for event in log)
            head = store.get_session(key)
            assert head == fold_head(info.id, log, incarnation=info.incarnation)
        for session_id, first, last, ids in acks:
            if session_id == "gone":
                continue
            assert [event.id for event in logs[session_id][first - 1 : last]] == ids
        store.commit(build.commit(SessionKey("default", "after"), "it writes again", genesis=build.genesis()))
        return sum(map(len, logs.values()))
    finally:
        store.close()


def test_killed_at_random_moments(nursery: Nursery, tmp_path: Path) -> None:
    chance = random.Random()
    acks: list[Ack] = []
    path = tmp_path / "0.db"
    for kill in range(KILLS):
        if kill % KILLS_PER_FILE == 0:
            acks, path = [], tmp_path / f"{kill}.db"
        pid = nursery.begin(path, "write", chance.randrange(1 << 30))
        lines = [nursery.line(WAIT_S) for _ in range(chance.choice((0, 0, 1, 3, 10, 40)))]
        time.sleep(chance.random() * 0.01)
        os.kill(pid, signal.SIGKILL)
        acks += nursery.to_the_end(lines)
        verify(path, acks)


def test_killed_at_every_statement(nursery: Nursery, tmp_path: Path) -> None:
    statement = 0
    while True:
        statement += 1
        path = tmp_path / f"{statement}.db"
        nursery.begin(path, "statement", statement)
        lines: list[str] = []
        acks = nursery.to_the_end(lines)
        verify(path, acks)
        if "done" in lines:
            break
        for file in tmp_path.glob(f"{statement}.db*"):
            file.unlink()
    assert statement > 100, "the hook does not see the statements"
    with SqliteStoreOpen(path) as store, pytest.raises(SessionNotFound):
        store.get_session(SessionKey("default", "gone"))


class SqliteStoreOpen:
    """A store for a with statement."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path)

    def __enter__(self) -> SqliteStore:
        return self.store

    def __exit__(self, *_: object) -> None:
        self.store.close()


@pytest.mark.parametrize("syscall", ["pwrite64", "fdatasync"])
def test_killed_at_writes(tmp_path: Path, syscall: str) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    number, survived = 1, False
    while not survived:
        path = tmp_path / f"{number}.db"
        inject = f"{syscall}:signal=KILL:when={number}"
        command = [strace, "-f", "-qq", "-e", f"trace={syscall}", "-e", f"inject={inject}", "-o", "/dev/null", sys.executable, str(CHILD)]
        done = subprocess.run(command, input=f"{path} statement 0\n".encode(), capture_output=True, timeout=60, check=False)
        lines = done.stdout.decode().splitlines()
        if not any(line.startswith("pid") for line in lines):
            pytest.skip(f"strace cannot trace here: {done.stderr.decode().strip()[-200:]}")
        verify(path, [ack_of(line) for line in lines if line.startswith("ack ")])
        survived = "done" in lines
        number += 2 if syscall == "fdatasync" else 11
    assert number > 10, "the injection does not hit"


def test_torn_copies_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "whole.db"
    store = SqliteStore(path)
    key = SessionKey("default", "s")
    store.commit(build.commit(key, genesis=build.genesis()))
    sizes: list[tuple[int, Ack]] = []
    wal = Path(f"{path}-wal")
    for turn in range(40):
        commit = build.commit(key, f"{turn} " + "x" * (turn * 97))
        done = store.commit(commit)
        sizes.append((wal.stat().st_size, ("s", done.first_seq, done.last_seq, [commit.events[0].id])))
    database, log = path.read_bytes(), wal.read_bytes()
    store.close()
    chance = random.Random(7)
    for cut in sorted(chance.randrange(sizes[0][0], len(log)) for _ in range(40)):
        torn = tmp_path / f"cut{cut}.db"
        torn.write_bytes(database)
        garbage = chance.randbytes(chance.choice((0, 100, 5_000)))
        Path(f"{torn}-wal").write_bytes(log[:cut] + garbage)
        verify(torn, [ack for size, ack in sizes if size <= cut])


@pytest.mark.parametrize(("processes", "each"), [(2, 100), (4, 100)])
def test_processes_share_a_session(tmp_path: Path, processes: int, each: int) -> None:
    path = tmp_path / "shared.db"
    nurseries = [Nursery() for _ in range(processes)]
    try:
        for item in nurseries:
            item.begin(path, "append", each)
        acks = [ack for item in nurseries for ack in item.to_the_end([])]
    finally:
        for item in nurseries:
            item.close()
    assert len(acks) == processes * each
    assert sorted(seq for _, first, last, _ in acks for seq in range(first, last + 1)) == list(range(2, processes * each + 2))
    assert verify(path, acks) == processes * each + 1


def test_a_killed_holder_lets_go(nursery: Nursery, tmp_path: Path) -> None:
    path = tmp_path / "held.db"
    pid = nursery.begin(path, "write", 1)
    lines = [nursery.line(WAIT_S) for _ in range(5)]
    os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    verify(path, nursery.to_the_end(lines))
