"""A backup is one moment of a store in use, checked before it has its name."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import turnfold as tf
from tests.copying import worlds
from tests.support import ROOT
from turnfold.errors import AlreadyExists, NotSupported, StoreCorrupt, StoreUnavailable
from turnfold.stores.files import FilesStore
from turnfold.stores.sqlite import SqliteStore


def writer(url: str, session_id: str, count: int) -> subprocess.Popen[str]:
    """A process that appends and prints the seq of each acknowledged message."""
    command = [sys.executable, str(ROOT / "tests/engine/writers.py"), "append", url, session_id, "w", str(count)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_while_others_write(tmp_path: Path) -> None:
    """Nothing acknowledged before it began is missing, each session is whole, and the writers are not held up by it."""
    path = tmp_path / "a.db"
    with tf.connect(f"sqlite:///{path}") as client:
        large = client.open("large")
        for number in range(40):
            large.append([tf.user(f"{number} {index} " + "x" * 2_000) for index in range(100)])
    writers = [writer(f"sqlite:///{path}?durability=normal", f"s{number}", 100_000) for number in range(2)]
    acknowledged = [0, 0]

    def listen(number: int) -> None:
        output = writers[number].stdout
        assert output is not None
        for line in output:
            acknowledged[number] = int(line)

    listeners = [threading.Thread(target=listen, args=(number,)) for number in range(2)]
    for thread in listeners:
        thread.start()
    try:
        while min(acknowledged) < 50:
            assert all(process.poll() is None for process in writers)
        moments = []
        for number in range(3):
            before = list(acknowledged)
            report = tf.backup(f"sqlite:///{path}", tmp_path / f"backup{number}.db")
            moments.append((before, list(acknowledged)))
            assert report.problems == ()
            assert report.facts["session_count"] == 3
    finally:
        for process in writers:
            process.kill()
            process.wait()
        for thread in listeners:
            thread.join()
        for process in writers:
            assert process.stdout is not None
            process.stdout.close()
    assert any(sum(after) > sum(before) for before, after in moments), "the writers stood still during every backup"
    for number, (before, _) in enumerate(moments):
        with tf.connect(f"sqlite:///{tmp_path}/backup{number}.db") as client:
            assert client.verify("large").last_seq == 4_001
            for index in range(2):
                found = client.verify(f"s{index}")
                assert found.last_seq >= before[index]
                assert found.event_count == found.last_seq
            assert client.store.check().problems == ()


def test_of_every_kind_of_content(tmp_path: Path) -> None:
    for name, target in (("sqlite", tmp_path / "copy.db"), ("files", tmp_path / "copy")):
        store = worlds.EMBEDDED[name](tmp_path)
        worlds.fill(store)
        report = tf.backup(store, target)
        assert report.facts["session_count"] == 4
        copied = SqliteStore(target) if name == "sqlite" else FilesStore(target)
        assert worlds.everything(copied) == worlds.everything(store)
        copied.close()
        store.close()


def test_one_file_for_its_user_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    worlds.fill(store)
    tf.backup(store, tmp_path / "folder" / "b.db")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["b.db"]
    assert (tmp_path / "folder" / "b.db").stat().st_mode & 0o777 == 0o600
    store.close()


def test_what_is_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    target = tmp_path / "b.db"
    target.write_bytes(b"mine")
    with pytest.raises(AlreadyExists, match="exists already"):
        tf.backup(store, target)
    assert target.read_bytes() == b"mine"
    tf.backup(store, target, replace=True)
    assert target.read_bytes().startswith(b"SQLite format 3")
    store.close()


def test_a_damaged_store_is_not_backed_up_silently(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    worlds.fill(store)
    with sqlite3.connect(tmp_path / "a.db", isolation_level=None) as connection:
        connection.execute("UPDATE counter SET last_seq = last_seq + 1 WHERE sn = 1")
    connection.close()
    target = tmp_path / "b.db"
    target.write_bytes(b"the last good one")
    with pytest.raises(StoreCorrupt, match="not kept"):
        tf.backup(store, target, replace=True)
    assert target.read_bytes() == b"the last good one"
    assert sorted(path.name for path in tmp_path.glob("b.db*")) == ["b.db"]
    store.close()


def test_where_it_cannot_be_written(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="file"):
        tf.backup(store, tmp_path / "file" / "b.db")
    store.close()


def test_of_an_encrypted_store_is_that_of_the_store_in_it(tmp_path: Path) -> None:
    keyring = tf.new_keyring(str(tmp_path / "keys"))
    keyring.close()
    url = f"encrypted+sqlite:///{tmp_path}/a.db"
    with tf.connect(url, keyring=str(tmp_path / "keys")) as client:
        client.open("s").append(tf.user("a secret"))
        with pytest.raises(NotSupported) as caught:
            tf.backup(client.store, tmp_path / "b.db")
        assert "without encrypted+" in (caught.value.hint or "")
    tf.backup(url.removeprefix("encrypted+"), tmp_path / "b.db")
    assert b"a secret" not in (tmp_path / "b.db").read_bytes()
    with tf.connect(f"encrypted+sqlite:///{tmp_path}/b.db", keyring=str(tmp_path / "keys")) as client:
        assert [message.text for message in client.open("s").messages()] == ["a secret"]


def test_a_store_without_files_says_what_to_use(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="memory") as caught:
        tf.backup("memory://", tmp_path / "b.db")
    assert "turnfold store copy" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_a_second_backup_of_files_brings_the_first_up_to_date(tmp_path: Path) -> None:
    with tf.connect(f"files:///{tmp_path}/a") as client:
        client.open("s").append(tf.user("one"))
        tf.backup(client.store, tmp_path / "b")
        client.open("s").append(tf.user("two"))
        tf.backup(client.store, tmp_path / "b")
    with tf.connect(f"files:///{tmp_path}/b") as client:
        assert [message.text for message in client.open("s").messages()] == ["one", "two"]
