"""What the files store does when disks, directories, files and other processes are not as they should be."""

import errno
import fcntl
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.killing import fork, reap
from turnfold.core.redaction import redact_of
from turnfold.errors import InvalidInput, NotSupported, SchemaTooNew, SessionNotFound, StoreClosed, StoreCorrupt, StoreUnavailable
from turnfold.model.commit import Committed
from turnfold.model.event import Event, NewEvent
from turnfold.model.query import EventQuery, SessionQuery
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.stores.files import FilesStore, layout, log, open_logs, watching
from turnfold.stores.registry import open_store
from turnfold.testing.contract import build

KEY = SessionKey("default", "s1")
NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory in which a store has one session of four events, in two writes."""
    store = FilesStore(tmp_path / "store")
    store.commit(build.commit(KEY, "first", genesis=build.genesis(title="Grüße")))
    store.commit(build.commit(KEY, "second", "third"))
    store.close()
    return tmp_path / "store"


def segment(folder: Path, session_id: str = "s1", number: int = 1) -> Path:
    return folder / layout.relative_path(SessionKey("default", session_id)) / layout.segment_name(number)


def events(folder: Path, key: SessionKey = KEY) -> list[Event]:
    store = FilesStore(folder)
    try:
        return store.read_events(EventQuery(key=key, limit=1_000)).events
    finally:
        store.close()


def texts(folder: Path) -> list[str]:
    return [event.data["parts"][0]["content"] for event in events(folder) if event.type == "message"]


def append(folder: Path, *items: str) -> None:
    store = FilesStore(folder)
    store.commit(build.commit(KEY, *items))
    store.close()


# ---- what people see ---------------------------------------------------------------------------------------------------------------------
def test_every_line_is_json_with_visible_text(folder: Path) -> None:
    lines = segment(folder).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert "Grüße" in lines[0]
    found = [json.loads(line) for line in lines]
    assert [event["data"]["parts"][0]["content"] for event in found[1]["events"]] == ["second", "third"]
    assert found[0]["genesis"]["session_id"] == "s1"


def test_names_on_disk_are_readable_safe_and_never_shared() -> None:
    ids = [
        "support:web:ann",
        "Support:Web:Ann",
        "a/b",
        "a\\b",
        "..",
        ".",
        "a\0b",
        "ü" * 300,
        "ü" * 301,
        " ",
        "con",
        "x" * 1000,
        "日本語",
        "a:b",
        "a.b",
    ]
    names = [layout.safe_name(one) for one in ids]
    assert len(set(names)) == len(ids)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.") and len(name) <= 100 and name[0] != "." for name in names)
    assert names[0].startswith("support-web-ann.")
    with pytest.raises(InvalidInput):
        layout.safe_name("\ud800")


# ---- damage ------------------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tail", [b'{"events":[{"seq":5,"i', b"\0" * 100, b'{"at_us":1,"crc":"00000000"}\n', b"\n"])
def test_torn_tail_is_ignored_by_readers_and_moved_away_by_the_next_writer(folder: Path, tail: bytes) -> None:
    path = segment(folder)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert texts(folder) == ["first", "second", "third"]
    assert path.read_bytes() == whole + tail
    append(folder, "fourth")
    assert texts(folder) == ["first", "second", "third", "fourth"]
    (torn,) = path.parent.glob("*.torn")
    assert torn.read_bytes() == tail
    assert path.read_bytes().startswith(whole + b'{"events"')


def test_half_of_the_only_line_is_no_session(tmp_path: Path) -> None:
    store = FilesStore(tmp_path)
    store.commit(build.commit(KEY, "first", genesis=build.genesis()))
    store.close()
    path = segment(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SessionNotFound):
        events(tmp_path)
    store = FilesStore(tmp_path)
    assert store.commit(build.commit(KEY, "again", genesis=build.genesis())).created
    store.close()
    assert texts(tmp_path) == ["again"]


def test_damage_in_the_middle_names_path_and_line(folder: Path) -> None:
    append(folder, "fourth")
    path = segment(folder)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], lines[1].replace(b"second", b"sEcond"), *lines[2:]]))
    store = FilesStore(folder)
    for _ in range(2):
        with pytest.raises(StoreCorrupt, match=r"00000001\.jsonl, line 2: ") as caught:
            store.get_session(KEY)
        assert caught.value.details == {"path": str(path), "line": 2}
    with pytest.raises(StoreCorrupt):
        store.commit(build.commit(KEY, "fifth"))
    assert [problem.startswith(str(path)) for problem in store.check().problems] == [True]
    store.close()


def test_hole_in_the_last_write_is_an_interrupted_write(folder: Path) -> None:
    """A power loss may keep the end of a write of several lines and lose its beginning."""
    store = FilesStore(folder)
    store.commit_many([build.commit(KEY, name) for name in ("fourth", "fifth", "sixth")])
    store.close()
    path = segment(folder)
    lines = path.read_bytes().split(b"\n")
    lines[3] = b"\0" * len(lines[3])
    path.write_bytes(b"\n".join(lines))
    assert texts(folder) == ["first", "second", "third", "fourth"]
    append(folder, "fifth")
    assert texts(folder) == ["first", "second", "third", "fourth", "fifth"]


def test_missing_segment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "SEGMENT_BYTES_MAX", 100)
    store = FilesStore(tmp_path)
    store.commit(build.commit(KEY, "first", genesis=build.genesis()))
    for number in range(3):
        store.commit(build.commit(KEY, f"{number}"))
    store.close()
    segment(tmp_path, number=2).unlink()
    with pytest.raises(StoreCorrupt, match=r"00000002\.jsonl is missing"):
        events(tmp_path)


def test_damaged_part_is_named(tmp_path: Path) -> None:
    store = FilesStore(tmp_path)
    part = ("sha256:" + "a" * 64, b"other content")
    store.commit(build.commit(KEY, "first", genesis=build.genesis(), parts=(part,)))
    with pytest.raises(StoreCorrupt, match="a" * 64):
        store.read_part(KEY, part[0])
    with pytest.raises(InvalidInput):
        store.commit(build.commit(KEY, "second", parts=(("../../passwd", b"x"),)))
    store.close()


# ---- directories -------------------------------------------------------------------------------------------------------------------------
def test_foreign_directory(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(StoreCorrupt, match=str(tmp_path)):
        FilesStore(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_path_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StoreUnavailable, match=str(tmp_path / "file")):
        FilesStore(tmp_path / "file")


def test_newer_version(folder: Path) -> None:
    (folder / layout.FORMAT_FILE).write_text('{"format":"turnfold-files","version":3}')
    with pytest.raises(SchemaTooNew, match=str(folder)) as caught:
        FilesStore(folder)
    assert "upgrade" in caught.value.hint


@pytest.mark.parametrize("content", ["", "{}", "nonsense", '{"format":"other","version":1}'])
def test_damaged_format_file(folder: Path, content: str) -> None:
    (folder / layout.FORMAT_FILE).write_text(content)
    with pytest.raises(StoreCorrupt, match=r"turnfold\.json"):
        FilesStore(folder)


def test_store_that_its_maker_did_not_finish(tmp_path: Path) -> None:
    (tmp_path / f"{layout.FORMAT_FILE}.77.tmp").write_bytes(b"{")
    store = FilesStore(tmp_path)
    store.commit(build.commit(KEY, "first", genesis=build.genesis()))
    store.close()
    assert texts(tmp_path) == ["first"]


def _as_nobody(folder: Path, fd: int) -> None:
    if os.geteuid() == 0:
        os.setuid(NOBODY)
    store = FilesStore(folder)
    os.write(fd, b"%d " % store.get_session(KEY).info.last_seq)
    for key, genesis in ((KEY, None), (SessionKey("default", "new"), build.genesis())):
        try:
            store.commit(build.commit(key, "x", genesis=genesis))
        except StoreUnavailable as error:
            os.write(fd, f"{str(folder) in error.message} {'right to write' in error.hint};".encode())


def test_read_only_directory_is_read_and_says_why_it_cannot_be_written(folder: Path) -> None:
    paths = [folder, *folder.rglob("*")]
    parents = [parent for parent in folder.parents if parent.owner() != "root" or parent.stat().st_mode & 0o077 == 0]
    modes = {path: path.stat().st_mode for path in [*paths, *parents]}
    try:
        for path in parents:
            path.chmod(0o755)
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)
        told, status = reap(*fork(lambda fd: _as_nobody(folder, fd)))
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert (told.decode(), status) == ("4 True True;True True;", 0)
    assert texts(folder) == ["first", "second", "third"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("a disk of 1 MiB needs root to be mounted")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a disk of 1 MiB cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_disk_loses_nothing_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 400_000)
    store = FilesStore(small_disk / "store")
    store.commit(build.commit(KEY, "first", genesis=build.genesis()))
    written = 0

    def fill() -> None:
        nonlocal written
        while True:
            store.commit(build.commit(KEY, "x" * 10_000))
            written += 1

    with pytest.raises(StoreUnavailable, match=str(small_disk)) as caught:
        fill()
    assert "free some space" in caught.value.hint
    assert written > 10
    results = store.commit_many([build.commit(KEY, "y"), build.commit(KEY, "z" * 20_000), build.commit(KEY, "a")])
    kept = [result for result in results if not isinstance(result, Exception)]
    assert len(kept) < 3
    filler.unlink()
    store.commit(build.commit(KEY, "last"))
    found = store.read_events(EventQuery(key=KEY, limit=1_000)).events
    assert len(found) == 2 + written + len(kept) + 1
    assert store.get_session(KEY).info.last_seq == len(found)
    store.close()
    assert len(events(small_disk / "store")) == len(found)


def test_durability_is_one_of_two(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="durability 'maybe'"):
        FilesStore(tmp_path / "new", durability="maybe")
    assert not (tmp_path / "new").exists()


# ---- other processes ---------------------------------------------------------------------------------------------------------------------
def test_lock_that_is_held_too_long_names_its_holder(folder: Path) -> None:
    release_read, release_write = os.pipe()

    def hold(fd: int) -> None:
        handle = os.open(segment(folder).parent, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.write(fd, b"held")
        os.read(release_read, 1)

    pid, pipe = fork(hold)
    assert os.read(pipe, 4) == b"held"
    store = FilesStore(folder, lock_wait_s=0.05)
    with pytest.raises(StoreUnavailable, match=rf"{segment(folder).parent} was locked by process {pid} for more than 0\.05 s"):
        store.commit(build.commit(KEY, "x"))
    assert store.get_session(KEY).info.last_seq == 4  # readers need no lock
    os.write(release_write, b"x")
    reap(pid, pipe)
    store.commit(build.commit(KEY, "x"))
    store.close()
    os.close(release_read)
    os.close(release_write)


def test_a_forked_child_takes_locks_of_its_own(folder: Path) -> None:
    store = FilesStore(folder)
    store.commit(build.commit(KEY, "parent opens everything"))

    def child(fd: int) -> None:
        for number in range(50):
            store.commit(build.commit(KEY, f"child {number}"))

    pid, pipe = fork(child)
    for number in range(50):
        store.commit(build.commit(KEY, f"parent {number}"))
    assert reap(pid, pipe) == (b"", 0)
    found = store.read_events(EventQuery(key=KEY, limit=1_000))
    assert [event.seq for event in found.events] == list(range(1, 106))
    store.close()


def test_readers_notice_what_another_process_erased(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "SEGMENT_BYTES_MAX", 100)
    reader, writer = FilesStore(folder), FilesStore(folder)
    writer.commit(build.commit(KEY, "the word is hunter2"))
    writer.commit(build.commit(KEY, "after"))
    before = reader.read_events(EventQuery(key=KEY)).events
    assert reader.list_sessions(SessionQuery(tenant="default"))[0][0].last_seq == 6
    target = before[4]
    notice = NewEvent(type="redaction", data={"targets": [{"seq": 5, "digest": target.digest.hex()}]})
    writer.commit(build.commit(KEY, notice, redacts=(redact_of(target),), lifecycle=True))
    after = reader.read_events(EventQuery(key=KEY)).events
    assert [event.redacted for event in after] == [False] * 4 + [True, False, False]
    assert [after[place] for place in (0, 1, 2, 3, 5)] == [before[place] for place in (0, 1, 2, 3, 5)]
    assert not [path for path in folder.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert reader.list_sessions(SessionQuery(tenant="default"))[0][0].last_seq == 7
    reader.close()
    writer.close()


@pytest.mark.parametrize("kernel_tells", [True, False])
def test_commits_of_another_process_wake(folder: Path, monkeypatch: pytest.MonkeyPatch, kernel_tells: bool) -> None:  # noqa: FBT001
    if not kernel_tells:
        monkeypatch.setattr(watching, "watch_of", lambda _path, _mask: None)
        monkeypatch.setattr(watching, "POLL_INTERVAL_S", 0.01)
    store = FilesStore(folder)
    woken = threading.Event()
    watch = store.watch(woken.set)
    assert reap(*fork(lambda _fd: append(folder, "fourth"))) == (b"", 0)
    assert woken.wait(5)
    assert store.last_seqs([KEY])[KEY][1] == 5
    watch.close()
    store.close()


def test_more_sessions_than_are_kept_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_logs, "OPEN_LOGS_MAX", 2)
    store = FilesStore(tmp_path)
    keys = [SessionKey("default", f"s{number}") for number in range(6)]
    for _ in range(2):
        for key in keys:
            store.commit(build.commit(key, "x", genesis=build.genesis()))
    assert [store.get_session(key).info.last_seq for key in keys] == [3] * 6
    handles = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
    assert len([path for path in handles if str(tmp_path) in path]) <= 6
    store.close()
    with pytest.raises(StoreClosed):
        store.get_session(keys[0])


def noted(name: str, calls: list[str]) -> Callable[..., Any]:
    original = getattr(os, name)

    def call(*args: Any) -> Any:
        calls.append(name)
        return original(*args)

    return call


@pytest.mark.parametrize(("durability", "sync_count"), [("full", 1), ("normal", 0)])
def test_an_append_is_one_write_and_one_sync(folder: Path, monkeypatch: pytest.MonkeyPatch, durability: str, sync_count: int) -> None:
    store = FilesStore(folder, durability=durability)
    store.commit(build.commit(KEY, "warm"))
    calls: list[str] = []
    for name in ("write", "fdatasync", "fsync", "open"):
        monkeypatch.setattr(os, name, noted(name, calls))
    store.commit(build.commit(KEY, "counted"))
    monkeypatch.undo()
    assert sorted(calls) == ["fdatasync"] * sync_count + ["write"]
    store.close()


def test_what_is_no_json_fails_alone(folder: Path) -> None:
    store = FilesStore(folder)
    bad = build.commit(KEY, "x", runs=(Run(id="r", session_id="s1", status="running", data={"file": object()}),))
    results = store.commit_many([build.commit(KEY, "good"), bad, build.commit(KEY, "too")])
    assert [type(result) for result in results] == [Committed, InvalidInput, Committed]
    with pytest.raises(InvalidInput):
        store.commit(build.commit(KEY, "x", also=(build.replace(bad, key=SessionKey("default", "s2"), genesis=build.genesis()),)))
    assert store.get_session(KEY).info.last_seq == 6
    store.close()
    assert len(events(folder)) == 6


@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_an_interrupted_commit_leaves_the_store_usable(folder: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    store = FilesStore(folder)
    store.commit(build.commit(KEY, "fourth"))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, call, interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.commit(build.commit(KEY, "interrupted"))
    store.commit(build.commit(KEY, "after"))
    found = store.read_events(EventQuery(key=KEY)).events
    assert store.get_session(KEY).info.last_seq == len(found) == (6 if call == "write" else 7)
    store.close()
    assert len(events(folder)) == len(found)


@pytest.mark.parametrize("wide", [True, False])
def test_a_device_that_cannot_sync_takes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, wide: bool) -> None:  # noqa: FBT001
    store, reader = FilesStore(folder), FilesStore(folder)
    other = SessionKey("default", "other")
    store.commit(build.commit(other, "x", genesis=build.genesis()))
    seen: list[int] = []

    def fail(_fd: int) -> None:
        seen.append(reader.get_session(KEY).info.last_seq)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    also = (build.commit(other, "y"),) if wide else ()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(StoreUnavailable, match="Input/output error"):
            store.commit(build.commit(KEY, "lost", also=also))
    assert seen  # a reader may have seen what was then taken back
    assert [one.get_session(KEY).info.last_seq for one in (store, reader)] == [4, 4]
    assert [one.get_session(other).info.last_seq for one in (store, reader)] == [2, 2]
    store.commit(build.commit(KEY, "kept", also=also))
    assert [one.get_session(KEY).info.last_seq for one in (store, reader)] == [5, 5]
    reader.close()
    store.close()


def test_the_url_opens_the_same_store(folder: Path) -> None:
    store = FilesStore(folder, durability="normal")
    again = open_store(store.url)
    assert (again.url, again.get_session(KEY).info.last_seq) == (store.url, 4)
    again.close()
    store.close()


# ---- mounts ------------------------------------------------------------------------------------------------------------------------------
MOUNTS = "/dev/sda / ext4 rw 0 0\nserver:/data /data nfs4 rw 0 0\n//nas/a /mnt/my\\040share cifs rw 0 0\n/dev/sdb /data/local xfs rw 0 0\n"


@pytest.mark.parametrize(("place", "kind"), [("/data/ann/store", "nfs4"), ("/mnt/my share/x", "cifs"), ("/data", "nfs4")])
def test_network_mounts_are_refused_by_name(place: str, kind: str) -> None:
    with pytest.raises(NotSupported, match=rf"{place} lies on a network mount \({kind} at "):
        layout.refuse_network_mount(Path(place), MOUNTS)


@pytest.mark.parametrize("place", ["/srv/store", "/data/local/store", "/database", "/mnt/other"])
def test_local_mounts_are_not(place: str) -> None:
    layout.refuse_network_mount(Path(place), MOUNTS)
