"""Acceptance scenarios 1-5 (other-systems §6) and B2, B23, B24, B30 (agent-session-manager §33) on every embedded store."""

from __future__ import annotations

import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import turnfold as tf
from tests.engine.conftest import url_of

WRITERS = Path(__file__).with_name("writers.py")
SRC = Path(tf.__file__).parent.parent


def start(*arguments: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    command = [sys.executable, str(WRITERS), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def first_line(process: subprocess.Popen[str]) -> str:
    """Read one line and not a byte more: ``communicate`` would not see what a reader has buffered."""
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(process.stdout.fileno(), 1)
        assert byte, "the process ended without a line"
        line += byte
    return line.decode().strip()


def finish(process: subprocess.Popen[str]) -> list[str]:
    out, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint
    return out.split()


@pytest.fixture(params=["sqlite", "files"])
def disk_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, tmp_path)


def written_bytes() -> int:
    text = Path("/proc/self/io").read_text(encoding="ascii")
    return int(text.split("wchar: ")[1].split()[0])


@pytest.mark.slow
def test_scenario_1_an_append_costs_the_same_at_any_length(disk_url: str) -> None:
    def cost(session: tf.Session) -> tuple[float, int]:
        took: list[float] = []
        before = written_bytes()
        for number in range(30):
            begin = time.perf_counter()
            session.append(tf.user(f"{number} " + "x" * 1_000))
            took.append(time.perf_counter() - begin)
        return statistics.median(took), (written_bytes() - before) // 30

    with tf.connect(disk_url, upkeep=False) as client:
        session = client.open("s")
        session.append([tf.user("x" * 1_000) for _ in range(10)])
        early_s, early_bytes = cost(session)
        for _ in range(10):
            session.append([tf.user("x" * 1_000) for _ in range(1_000)])
        late_s, late_bytes = cost(session)
    assert late_bytes <= 4 * 4_096 + 1_200, "bytes written grow with history"
    assert late_bytes <= 1.5 * early_bytes
    assert late_s <= 4 * early_s, "a bound for noisy machines; the benchmark G3 measures the real one"


def test_scenario_2_two_processes_lose_nothing(disk_url: str) -> None:
    processes = [start("append", disk_url, "s", name, "100") for name in "ab"]
    seqs = [[int(seq) for seq in finish(process)] for process in processes]
    with tf.connect(disk_url) as client:
        session = client.open("s", create=False)
        log = session.events(limit=1_000).items
        messages = session.messages()
        assert [event.seq for event in log] == list(range(1, 202))
        assert sorted(seqs[0] + seqs[1]) == list(range(2, 202))
        for name, acknowledged in zip("ab", seqs, strict=True):
            mine = [message for message in messages if message.text.startswith(name)]
            assert [message.text for message in mine] == [f"{name}:{number}" for number in range(100)]
            assert [message.seq for message in mine] == acknowledged
        client.verify("s")


def test_scenario_3_a_stale_writer_gets_a_conflict_that_says_where_the_session_is(client: tf.Client) -> None:
    session = client.open("s")
    session.append([tf.user(str(number)) for number in range(6)])
    head = session.info().last_seq
    client.open("s").append(tf.user("B"))
    with pytest.raises(tf.SequenceConflict) as caught:
        session.append(tf.user("A"), expected_seq=head)
    assert caught.value.current_seq == head + 1
    assert session.messages()[-1].text == "B"


def edit_sqlite(path: Path, seq: int, change: str) -> None:
    with sqlite3.connect(path) as db:
        assert db.execute(f"UPDATE event SET {change} WHERE pos & 0xffffffff = ?", (seq,)).rowcount == 1
    db.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("data = CAST(replace(CAST(data AS TEXT), 'two', 'TWO') AS BLOB)", "does not match its digest"),
        ("digest = x''", "has no digest"),
        ("at_us = at_us + 1", "does not match its digest"),
        ("recorded_at_us = recorded_at_us + 1", "the seal over events"),
    ],
)
def test_scenario_5_an_edited_event_is_named(tmp_path: Path, change: str, words: str) -> None:
    path = tmp_path / "store.db"
    with tf.connect(f"sqlite:///{path}") as client:
        session = client.open("s")
        session.append([tf.user("one"), tf.user("two"), tf.user("three")])
        session.close()
    edit_sqlite(path, 3, change)
    with tf.connect(f"sqlite:///{path}") as client, pytest.raises(tf.IntegrityError, match=words) as caught:
        client.verify("s")
    assert caught.value.details["seq"] in {1, 3}


def test_scenario_5_a_missing_event_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with tf.connect(f"sqlite:///{path}") as client:
        client.open("s").append([tf.user("one"), tf.user("two"), tf.user("three")])
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM event WHERE pos & 0xffffffff = 3")
    db.close()
    with tf.connect(f"sqlite:///{path}") as client, pytest.raises(tf.IntegrityError, match="event 3 is missing"):
        client.verify("s")


def test_scenario_5_a_recomputed_digest_is_rejected_with_a_key(tmp_path: Path) -> None:
    from turnfold.codec.seal import event_digest
    from turnfold.model.query import EventQuery
    from turnfold.model.session import SessionKey

    path = tmp_path / "store.db"
    url = f"sqlite:///{path}"
    with tf.connect(url, integrity_key="secret") as client:
        client.open("s").append([tf.user("one"), tf.user("two")])
        event = client.store.read_events(EventQuery(key=SessionKey("default", "s"), after=2, with_source=True)).events[0]
    forged = event_digest(event)  # what somebody without the key can compute
    with sqlite3.connect(path) as db:
        db.execute("UPDATE event SET digest = ? WHERE pos & 0xffffffff = 3", (forged,))
    db.close()
    with tf.connect(url, integrity_key="secret") as client, pytest.raises(tf.IntegrityError) as caught:
        client.verify("s")
    assert caught.value.details["seq"] == 3
    with tf.connect(url, integrity_key="secret", verify_on_read=True) as client, pytest.raises(tf.IntegrityError):
        client.open("s").messages()


def test_follower_in_another_process_sees_each_event_once(disk_url: str) -> None:
    with tf.connect(disk_url) as client:
        session = client.open("s")
        session.append(tf.user("0"))
        follower = start("follow", disk_url, "s", "2")
        assert first_line(follower) == "ready"
        writers = [start("append", disk_url, "s", name, "40") for name in "ab"]
        for number in range(20):
            session.append(tf.user(f"here {number}"))
        for writer in writers:
            finish(writer)
        assert [int(seq) for seq in finish(follower)] == list(range(1, 103))


def test_b2_no_step_that_the_table_has_not(client: tf.Client) -> None:
    pending = client.open("p", activate=False, persist=True)
    steps: list[Callable[[], object]] = [pending.close, pending.suspend, lambda: pending.append(tf.user("x"))]
    for step in steps:
        with pytest.raises(tf.InvalidTransition):
            step()
    done = client.open("d")
    done.append(tf.user("x"))
    done.close()
    with pytest.raises(tf.SessionClosed):
        done.append(tf.NewEvent(type="run.started", data={}))
    with pytest.raises(tf.InvalidTransition):
        done.activate()


def test_b23_one_event_id_in_two_sessions(client: tf.Client) -> None:
    for name in ("x", "y"):
        client.open(name).append(tf.NewEvent(type="acme.note", id="same", data={"for": name}))
    assert [client.open(name).events(types=["acme.note"]).items[0].data for name in ("x", "y")] == [{"for": "x"}, {"for": "y"}]


def test_b24_a_custom_type_keeps_its_name(client: tf.Client) -> None:
    session = client.open("s")
    session.append(tf.NewEvent(type="delta.of.mine", data={"n": 1}))
    event = session.events().items[-1]
    assert (event.type, event.data) == ("delta.of.mine", {"n": 1})


@pytest.mark.slow
def test_b30_the_last_events_cost_nothing_of_the_others(client: tf.Client) -> None:
    for other in range(4):
        client.open(f"other {other}").append([tf.user("x") for _ in range(5_500)])
    session = client.open("s")
    session.append([tf.user(str(number)) for number in range(22_000)])
    cursor = session.info().last_seq - 5

    def best_of(name: str, after: int) -> float:
        took: list[float] = []
        handle = client.open(name)
        for _ in range(50):
            begin = time.perf_counter()
            assert len(handle.events(after=after, limit=10)) == 5
            took.append(time.perf_counter() - begin)
        return min(took)

    small = client.open("small")
    small.append([tf.user("x") for _ in range(10)])
    assert best_of("s", cursor) <= 5 * best_of("small", 6) + 0.0002
