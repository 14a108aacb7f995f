"""Files that are not as they should be: every error names the path, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from turnfold.errors import InvalidInput, SchemaTooNew, SessionNotFound, StoreClosed, StoreCorrupt, StoreUnavailable, TurnfoldError
from turnfold.model.event import Event
from turnfold.model.query import EventQuery, SearchQuery, SessionQuery
from turnfold.model.session import SessionKey
from turnfold.stores.sqlite import SqliteStore, schema
from turnfold.stores.sqlite.turnstile import Turnstile
from turnfold.testing.contract import build

KEY = SessionKey("default", "s")
FULL_BYTES = 1_500_000


def fill(path: Path, count: int = 3) -> list[str]:
    store = SqliteStore(path)
    commits = [build.commit(KEY, f"message {index}", genesis=build.genesis()) for index in range(count)]
    store.commit_many(commits)
    store.close()
    return [commit.events[0].id for commit in commits]


def ids(store: SqliteStore) -> list[str]:
    return [event.id for event in read_all(store)[1:]]


def read_all(store: SqliteStore) -> list[Event]:
    return store.read_events(EventQuery(key=KEY, limit=10_000)).events


def write_on(store: SqliteStore, written: list[str]) -> None:
    """Append until it is refused; note what was acknowledged."""
    for index in range(10_000):
        commit = build.commit(KEY, f"{index} " + "x" * 2_000, genesis=build.genesis())
        store.commit(commit)
        written.append(commit.events[0].id)


def says_where(error: TurnfoldError, path: Path) -> None:
    assert str(path) in error.message
    assert error.details["path"] == str(path)


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A tmpfs of that size; skip where it cannot be mounted."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk needs root: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_missing_folders_are_created(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "s.db"
    written = fill(path)
    with_store = SqliteStore(path)
    assert ids(with_store) == written
    with_store.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("this is no database, but it is long enough to be looked at" * 20)
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt) as caught:
        SqliteStore(path)
    says_where(caught.value, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("marked", [True, False])
def test_the_database_of_another_application(tmp_path: Path, *, marked: bool) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    if marked:
        other.execute("PRAGMA application_id = 77")
    other.execute("CREATE TABLE customers(id)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt) as caught:
        SqliteStore(path)
    says_where(caught.value, path)
    assert path.read_bytes() == before


def test_a_newer_schema(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    written = fill(path)
    version = schema.SCHEMA_VERSION
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA user_version = {version + 1}")
    raw.close()
    with pytest.raises(SchemaTooNew) as caught:
        SqliteStore(path)
    says_where(caught.value, path)
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA user_version = {version}")
    raw.close()
    store = SqliteStore(path)
    assert ids(store) == written
    store.close()


def test_a_damaged_page_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    fill(path, 200)
    data = bytearray(path.read_bytes())
    for at in range(8 * 4_096, len(data), 4_096):
        data[at : at + 64] = b"\xff" * 64
    path.write_bytes(bytes(data))
    try:
        store = SqliteStore(path)
    except StoreCorrupt as error:
        says_where(error, path)
        return
    try:
        assert store.check().problems
        with pytest.raises(StoreCorrupt) as caught:
            read_all(store)
        says_where(caught.value, path)
    finally:
        store.close()


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", FULL_BYTES) as folder:
        path = folder / "s.db"
        store = SqliteStore(path)
        written: list[str] = []
        with pytest.raises(StoreUnavailable) as caught:
            write_on(store, written)
        says_where(caught.value, path)
        assert caught.value.hint
        assert ids(store) == written
        subprocess.run(["mount", "-o", f"remount,size={FULL_BYTES * 4}", folder], check=True)
        store.commit(build.commit(KEY, "there is room again"))
        assert ids(store)[:-1] == written
        store.close()
        again = SqliteStore(path)
        assert ids(again)[:-1] == written
        assert again.check().problems == ()
        again.close()


def test_no_room_even_to_begin(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8_192) as folder:
        with pytest.raises(StoreUnavailable) as caught:
            SqliteStore(folder / "s.db")
        says_where(caught.value, folder / "s.db")


READ_ONLY_CHILD = """
import os, sys
from turnfold.errors import StoreUnavailable
from turnfold.model.session import SessionKey
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.contract import build
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    SqliteStore(sys.argv[1]).commit(build.commit(SessionKey("default", "s"), "x"))
except StoreUnavailable as error:
    print("refused", error.details["path"], bool(error.hint))
"""


@pytest.mark.parametrize("what", ["folder", "file"])
def test_read_only_places(what: str) -> None:
    folder = Path(tempfile.mkdtemp())  # not tmp_path: root's is closed to the user that the child becomes
    path = folder / "s.db"
    try:
        written = fill(path)
        path.chmod(0o444)
        folder.chmod(0o555 if what == "folder" else 0o777)
        done = subprocess.run([sys.executable, "-c", READ_ONLY_CHILD, str(path)], capture_output=True, text=True, timeout=60, check=False)
        folder.chmod(0o755)
        path.chmod(0o644)
        assert done.stdout == f"refused {path} True\n", done.stderr
        store = SqliteStore(path)
        assert ids(store) == written
        store.close()
    finally:
        shutil.rmtree(folder)


def test_a_lock_that_is_held_too_long(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = SqliteStore(path)
    store.commit(build.commit(KEY, "first", genesis=build.genesis()))
    writer = store._writer
    assert writer is not None
    writer.turnstile.close()
    writer.turnstile = Turnstile(str(path), wait_s=0.1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable) as caught:
        store.commit(build.commit(KEY, "second"))
    says_where(caught.value, path)
    assert (caught.value.details["limit"], caught.value.retryable) == ("LOCK_WAIT_S_MAX", True)
    holder.execute("ROLLBACK")
    holder.close()
    store.commit(build.commit(KEY, "third"))
    assert len(read_all(store)) == 3
    store.close()


def test_closing_is_final_and_idempotent(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.db")
    store.close()
    store.close()
    for use in (
        lambda: store.commit(build.commit(KEY, "x", genesis=build.genesis())),
        lambda: store.get_session(KEY),
        lambda: store.list_sessions(SessionQuery(tenant="default")),
        lambda: store.search(SearchQuery(tenant="default", terms=("x",))),
        lambda: store.delete_session(KEY),
        lambda: store.watch(lambda: None),
        store.check,
    ):
        with pytest.raises(StoreClosed):
            use()


@pytest.mark.parametrize(("path", "durability"), [(":memory:", "full"), ("", "full"), ("s.db", "sometimes")])
def test_what_the_caller_got_wrong(path: str, durability: str) -> None:
    with pytest.raises(InvalidInput):
        SqliteStore(path, durability=durability)


def test_normal_durability_syncs_less_and_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.db", durability="normal")
    assert "durable_on_ack" not in store.capabilities
    writer = store._writer
    assert writer is not None
    assert writer.connection.execute("PRAGMA synchronous").fetchone() == (1,)
    assert store.check().facts["durability"] == "normal"
    store.close()


def test_both_sides_of_a_fork(tmp_path: Path) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    child = (
        "import os, sys\n"
        "from turnfold.model.session import SessionKey\n"
        "from turnfold.stores.sqlite import SqliteStore\n"
        "from turnfold.testing.contract import build\n"
        "key = SessionKey('default', 's')\n"
        "store = SqliteStore(sys.argv[1])\n"
        "store.commit(build.commit(key, 'before', genesis=build.genesis()))\n"
        "store.get_session(key)\n"
        "pid = os.fork()\n"
        "for index in range(50):\n"
        "    store.commit(build.commit(key, f'{pid == 0} {index}'))\n"
        "    assert store.get_session(key).info.last_seq >= index + 2\n"
        "store.close()\n"
        "if pid: sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    path = tmp_path / "s.db"
    done = subprocess.run([sys.executable, "-c", child, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    store = SqliteStore(path)
    assert len(read_all(store)) == 102
    assert store.check().problems == ()
    store.close()


def test_watching_another_process(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    fill(path)
    store, other = SqliteStore(path), SqliteStore(path)  # a second store is to the first what another process is
    woken = threading.Event()
    watch = store.watch(woken.set)
    try:
        for index in range(20):
            woken.clear()
            other.commit(build.commit(KEY, f"from elsewhere {index}"))
            begin = time.monotonic()
            assert woken.wait(5)
            assert time.monotonic() - begin < 5
            assert store.last_seqs([KEY])[KEY][1] == 5 + index
        watch.close()
        woken.clear()
        other.commit(build.commit(KEY, "nobody listens"))
        time.sleep(0.05)
        assert not woken.is_set()
    finally:
        store.close()
        other.close()
    for thread in threading.enumerate():
        if str(path) in thread.name:
            thread.join(2)
            assert not thread.is_alive()


def test_a_copy_made_with_the_sqlite_program_opens(tmp_path: Path) -> None:
    path, copy = tmp_path / "s.db", tmp_path / "copy.db"
    store = SqliteStore(path)
    store.commit(build.commit(KEY, "kept", genesis=build.genesis()))
    source, target = sqlite3.connect(path), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()
    store.close()
    again = SqliteStore(copy)
    assert len(read_all(again)) == 2
    again.close()


def test_a_refused_read_gives_its_connection_back(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.db")
    for _ in range(3):
        with pytest.raises(SessionNotFound):
            store.get_session(KEY)
    assert len(store._readers) == 1
    store.close()
    assert not store._readers


def test_many_may_open_a_new_file_at_the_same_moment(tmp_path: Path) -> None:
    for number in range(30):
        path = tmp_path / f"{number}.db"
        start = threading.Barrier(6)

        def open_it(path: Path = path, start: threading.Barrier = start) -> None:
            start.wait()
            SqliteStore(path).close()

        with ThreadPoolExecutor(6) as pool:
            for opened in [pool.submit(open_it) for _ in range(6)]:
                opened.result()
