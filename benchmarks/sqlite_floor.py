"""The SQLite store at its port against the least SQLite work for the same durable bytes, series by series in one run.

    python benchmarks/sqlite_floor.py FOLDER [--rounds 5] [--only append,group]

FOLDER decides what is measured: on a disk the durable cost, on a tmpfs (/dev/shm) the software alone. Prints min, median and max of the
rounds' medians, ours and the floor's, and the ratio of the medians.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue

from turnfold.model.commit import Commit
from turnfold.model.message import user
from turnfold.model.query import EventQuery, SessionQuery
from turnfold.model.session import SessionKey
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.contract import build

KEY = SessionKey("default", "s0")
TEXT = "x" * 1_100
WRITERS = 16
FLOOR_SCHEMA = """
CREATE TABLE session(id INTEGER PRIMARY KEY, sid TEXT UNIQUE, user TEXT, agent TEXT, updated INTEGER);
CREATE INDEX session_ua ON session(user, agent, updated DESC);
CREATE TABLE event(s INTEGER, seq INTEGER, data BLOB, PRIMARY KEY(s, seq));
"""
Series = Callable[[Path], float]


class Floor:
    """The hand-written least."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "floor.db"
        self.connection = self.connect()
        self.connection.executescript(FLOOR_SCHEMA)

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=30)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection


def commits(count: int, *, sessions: int = 1, each: int = 1) -> list[Commit]:
    keys = [SessionKey("default", f"s{index}") for index in range(sessions)]
    return [build.commit(keys[index % sessions], *[user(TEXT)] * each) for index in range(count)]


def open_store(folder: Path, sessions: int = 1) -> SqliteStore:
    store = SqliteStore(folder / "ours.db")
    for index in range(sessions):
        store.commit(build.commit(SessionKey("default", f"s{index}"), genesis=build.genesis(agent="agent", owner="user")))
    return store


def median_us(work: Callable[[int], object], count: int) -> float:
    times = []
    for index in range(count):
        begin = time.perf_counter_ns()
        work(index)
        times.append(time.perf_counter_ns() - begin)
    return statistics.median(times) / 1_000


def rate(work: Sequence[Callable[[], object]], count: int) -> float:
    threads = [threading.Thread(target=item) for item in work]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count / (time.perf_counter() - begin)


# ---- one writer --------------------------------------------------------------------------------------------------------------------------
def append_ours(folder: Path, count: int = 600) -> float:
    store, work = open_store(folder), commits(count)
    out = median_us(lambda index: store.commit(work[index]), count)
    store.close()
    return out


def append_floor(folder: Path, count: int = 600) -> float:
    execute = Floor(folder).connection.execute
    data = [commit.events[0].data_raw for commit in commits(count)]
    return median_us(lambda index: execute("INSERT INTO event VALUES(?, ?, ?)", (1, index, data[index])), count)


def turn_ours(folder: Path, count: int = 300) -> float:
    store, work = open_store(folder), commits(count, each=4)
    out = median_us(lambda index: store.commit(work[index]), count)
    store.close()
    return out


def turn_floor(folder: Path, count: int = 300) -> float:
    connection = Floor(folder).connection
    data = commits(1)[0].events[0].data_raw

    def turn(index: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO event VALUES(?, ?, ?)", [(1, index * 4 + part, data) for part in range(4)])
        connection.execute("COMMIT")

    return median_us(turn, count)


# ---- many writers ------------------------------------------------------------------------------------------------------------------------
def threads_ours(folder: Path, sessions: int, each: int = 400) -> float:
    store = open_store(folder, sessions)
    keys = [SessionKey("default", f"s{index % sessions}") for index in range(WRITERS)]
    work = [[build.commit(key, user(TEXT)) for _ in range(each)] for key in keys]

    def writer(mine: list[Commit]) -> None:
        for commit in mine:
            store.commit(commit)

    out = rate([lambda mine=mine: writer(mine) for mine in work], WRITERS * each)  # type: ignore[misc]
    store.close()
    return out


def funnel_floor(folder: Path, sessions: int, each: int = 400) -> float:
    """One writer thread, one connection, a queue: what waits shares a transaction."""
    connection = Floor(folder).connection
    queue: SimpleQueue[tuple[int, bytes, threading.Lock] | None] = SimpleQueue()
    data = commits(1)[0].events[0].data_raw

    def serve() -> None:
        seqs = [0] * WRITERS
        while (job := queue.get()) is not None:
            batch = [job]
            while not queue.empty() and len(batch) < 256:
                more = queue.get()
                if more is not None:
                    batch.append(more)
            connection.execute("BEGIN IMMEDIATE")
            for session, body, _ in batch:
                connection.execute("INSERT INTO event VALUES(?, ?, ?)", (session, seqs[session], body))
                seqs[session] += 1
            connection.execute("COMMIT")
            for _, _, gate in batch:
                gate.release()

    def writer(session: int) -> None:
        for _ in range(each):
            gate = threading.Lock()
            gate.acquire()
            queue.put((session, data, gate))
            gate.acquire()

    server = threading.Thread(target=serve)
    server.start()
    out = rate([lambda session=index % sessions: writer(session) for index in range(WRITERS)], WRITERS * each)  # type: ignore[misc]
    queue.put(None)
    server.join()
    return out


def group_ours(folder: Path, group: int = WRITERS, count: int = 8_000) -> float:
    """What the async bridge does: as many commits as wait, in one call."""
    store, work = open_store(folder, WRITERS), commits(count, sessions=WRITERS)
    begin = time.perf_counter()
    for at in range(0, count, group):
        store.commit_many(work[at : at + group])
    out = count / (time.perf_counter() - begin)
    store.close()
    return out


def group_floor(folder: Path, group: int = WRITERS, count: int = 8_000) -> float:
    connection = Floor(folder).connection
    data = commits(1)[0].events[0].data_raw
    begin = time.perf_counter()
    for at in range(0, count, group):
        connection.execute("BEGIN IMMEDIATE")
        for index in range(at, at + group):
            connection.execute("INSERT INTO event VALUES(?, ?, ?)", (index % WRITERS, index // WRITERS, data))
        connection.execute("COMMIT")
    return count / (time.perf_counter() - begin)


def _process_ours(folder: Path, each: int, gate: multiprocessing.Queue[int]) -> None:  # pragma: no cover - runs elsewhere
    store, work = SqliteStore(folder / "ours.db"), commits(each)
    gate.get()
    for commit in work:
        store.commit(commit)
    store.close()


def _process_floor(folder: Path, each: int, gate: multiprocessing.Queue[int]) -> None:  # pragma: no cover - runs elsewhere
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None, timeout=30)
    connection.execute("PRAGMA synchronous = FULL")
    data = commits(1)[0].events[0].data_raw
    gate.get()
    for _ in range(each):
        connection.execute("INSERT INTO event SELECT 1, ifnull(max(seq), -1) + 1, ? FROM event WHERE s = 1", (data,))


def _processes(target: Callable[..., None], folder: Path, count: int = 4, each: int = 600) -> float:
    context = multiprocessing.get_context("spawn")
    gate: multiprocessing.Queue[int] = context.Queue()
    processes = [context.Process(target=target, args=(folder, each, gate)) for _ in range(count)]
    for process in processes:
        process.start()
    time.sleep(2)  # imports
    begin = time.perf_counter()
    for _ in processes:
        gate.put(1)
    for process in processes:
        process.join()
    return count * each / (time.perf_counter() - begin)


def processes_ours(folder: Path) -> float:
    open_store(folder).close()
    return _processes(_process_ours, folder)


def processes_floor(folder: Path) -> float:
    Floor(folder)
    return _processes(_process_floor, folder)


# ---- reading -----------------------------------------------------------------------------------------------------------------------------
def _filled(folder: Path, count: int) -> SqliteStore:
    store = open_store(folder)
    for at in range(0, count, 1_000):
        store.commit(build.commit(KEY, *[user(TEXT) for _ in range(min(1_000, count - at))]))
    return store


def _filled_floor(folder: Path, count: int) -> sqlite3.Connection:
    connection = Floor(folder).connection
    data = commits(1)[0].events[0].data_raw
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO event VALUES(1, ?, ?)", [(seq, data) for seq in range(count)])
    connection.execute("COMMIT")
    return connection


def load_ours(folder: Path, count: int = 10_000) -> float:
    store = _filled(folder, count)
    query = EventQuery(key=KEY, limit=count)
    return median_us(lambda _: store.read_events(query), 5) / 1_000


def load_floor(folder: Path, count: int = 10_000) -> float:
    connection = _filled_floor(folder, count)
    return median_us(lambda _: connection.execute("SELECT data FROM event WHERE s = 1 ORDER BY seq").fetchall(), 5) / 1_000


def tail_ours(folder: Path) -> float:
    store = _filled(folder, 10_000)
    query = EventQuery(key=KEY, limit=50, descending=True)
    return median_us(lambda _: store.read_events(query), 200)


def tail_floor(folder: Path) -> float:
    connection = _filled_floor(folder, 10_000)
    return median_us(lambda _: connection.execute("SELECT data FROM event WHERE s = 1 ORDER BY seq DESC LIMIT 50").fetchall(), 200)


def list_ours(folder: Path, count: int = 10_000) -> float:
    store = SqliteStore(folder / "ours.db")
    batch = [
        build.commit(
            SessionKey("default", f"s{index}"),
            genesis=build.genesis(owner=f"user{index % 10}", agent=f"agent{index % 5}", title="A title", metadata={"n": index}),
        )
        for index in range(count)
    ]
    for at in range(0, count, 500):
        store.commit_many(batch[at : at + 500])
    query = SessionQuery(tenant="default", owner="user3", agent="agent3", limit=100)
    return median_us(lambda _: store.list_sessions(query), 100)


def list_floor(folder: Path, count: int = 10_000) -> float:
    connection = Floor(folder).connection
    connection.execute("BEGIN")
    rows = [(f"s{index}", f"user{index % 10}", f"agent{index % 5}", index) for index in range(count)]
    connection.executemany("INSERT INTO session(sid, user, agent, updated) VALUES(?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
    sql = "SELECT sid FROM session WHERE user = ? AND agent = ? ORDER BY updated DESC LIMIT 100"
    return median_us(lambda _: connection.execute(sql, ("user3", "agent3")).fetchall(), 100)


def fork_ours(folder: Path) -> float:
    store = _filled(folder, 10_000)
    work = [build.commit(KEY, build.branch_event(f"b{index}", "main", 5_000)) for index in range(200)]
    return median_us(lambda index: store.commit(work[index]), 200)


def fork_floor(folder: Path) -> float:
    connection = _filled_floor(folder, 10_000)
    sql = "INSERT INTO session(sid, user, agent, updated) VALUES(?, 'u', 'a', 1)"
    return median_us(lambda index: connection.execute(sql, (f"f{index}",)), 200)


# ---- running -----------------------------------------------------------------------------------------------------------------------------
SERIES: dict[str, tuple[str, Series, Series]] = {
    "append": ("append, us", append_ours, append_floor),
    "turn": ("4 items in one commit, us", turn_ours, turn_floor),
    "threads": ("16 threads, 16 sessions, /s", lambda f: threads_ours(f, WRITERS), lambda f: funnel_floor(f, WRITERS)),
    "hot": ("16 threads, one session, /s", lambda f: threads_ours(f, 1), lambda f: funnel_floor(f, 1)),
    "group": ("commit_many of 16, /s", group_ours, group_floor),
    "processes": ("4 processes, one session, /s", processes_ours, processes_floor),
    "load": ("10,000 events, ms", load_ours, load_floor),
    "tail": ("last 50 of 10,000, us", tail_ours, tail_floor),
    "list": ("100 of 10,000 sessions, us", list_ours, list_floor),
    "fork": ("fork, us", fork_ours, fork_floor),
}


def run(series: Series, folder: Path) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        return series(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    folder = arguments.folder / f"turnfold-floor-{os.getpid()}"
    for name, (title, ours, floor) in SERIES.items():
        if arguments.only and name not in arguments.only.split(","):
            continue
        found: list[list[float]] = [[], []]
        for _ in range(arguments.rounds):
            for values, one in zip(found, (floor, ours), strict=True):
                values.append(run(one, folder))
        least, mine = (statistics.median(values) for values in found)
        spans = [f"{min(values):10,.1f} {statistics.median(values):10,.1f} {max(values):10,.1f}" for values in found]
        print(f"{title:30} floor {spans[0]}   ours {spans[1]}   ratio {mine / least:5.2f}", flush=True)


if __name__ == "__main__":
    main()
