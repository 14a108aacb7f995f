"""A copy that is killed leaves whole sessions, and the next run ends where one that was never killed does."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.copying import worlds
from tests.copying.worlds import everything
from tests.crash.killing import Calls, Kill, fork
from turnfold.artifacts.folder import FolderArtifacts
from turnfold.engine.copying import pieces
from turnfold.engine.copying.stores import copy_stores
from turnfold.engine.verify import verify_session
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store
from turnfold.stores.composite import CompositeStore
from turnfold.stores.files import FilesStore
from turnfold.stores.sqlite import SqliteStore

pytestmark = pytest.mark.crash

TARGETS: dict[str, Callable[[Path], Store]] = {
    "sqlite": lambda folder: SqliteStore(folder / "target.db"),
    "files": lambda folder: FilesStore(folder / "target"),
    "composite": lambda folder: CompositeStore(SqliteStore(folder / "target.db"), FolderArtifacts(folder / "artifacts")),
}
DEATHS = 12


def make_source(folder: Path) -> None:
    """A SQLite store with something of everything, and a few longer sessions."""
    store = SqliteStore(folder / "source.db", durability="normal")
    worlds.fill(store)
    for number in range(5):
        key = SessionKey("default", f"long {number}")
        worlds.create(store, key)
        worlds.append(store, key, *(f"message {index}" for index in range(100)))
    store.close()


def copy_in_child(folder: Path, target: str, kill: Kill | None = None) -> Callable[[int], None]:
    """What the child does: copy in small pieces."""

    def work(fd: int) -> None:
        vars(pieces)["COPY_PIECE_EVENTS"] = 4
        source = SqliteStore(folder / "source.db")
        other = TARGETS[target](folder)
        if kill is not None:
            Calls(kill)
        os.write(fd, b"!")
        assert copy_stores(source, other).problems == []

    return work


def check(folder: Path, target: str, *, complete: bool) -> None:
    """Every session of the target is whole, and the beginning of the source's."""
    source, other = SqliteStore(folder / "source.db"), TARGETS[target](folder)
    try:
        wanted, found = everything(source), everything(other)
        for key, (_, events, *_) in found.items():
            verify_session(other, key)
            assert events == [event for event in wanted[key][1] if event.seq <= (events[-1].seq if events else 0)]
        assert other.check().problems == ()
        if complete:
            assert found == wanted
    finally:
        source.close()
        other.close()


@pytest.mark.parametrize("target", TARGETS)
def test_killed_at_random_moments(target: str, tmp_path: Path) -> None:
    make_source(tmp_path)
    chance = random.Random(4711)
    deaths = 0
    while True:
        pid, fd = fork(copy_in_child(tmp_path, target))
        os.read(fd, 1)
        if deaths < DEATHS:
            time.sleep(chance.uniform(0, 0.03))
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        os.close(fd)
        if status == 0:
            break
        assert os.WIFSIGNALED(status), "the copy failed by itself"
        deaths += 1
        check(tmp_path, target, complete=False)
    assert deaths > 3
    check(tmp_path, target, complete=True)


@pytest.mark.parametrize("way", ["before", "half", "after"])
def test_killed_at_system_calls(way: str, tmp_path: Path) -> None:
    """A files target: one write in thirteen of a copy is somebody's last; the copies go on in turn."""
    make_source(tmp_path)
    deaths = 0
    for call in range(1, 400, 13):
        pid, fd = fork(copy_in_child(tmp_path, "files", Kill(call, way)))
        status = os.waitpid(pid, 0)[1]
        os.close(fd)
        deaths += os.WIFSIGNALED(status)
        assert os.WIFSIGNALED(status) or status == 0
    assert deaths > 5
    pid, fd = fork(copy_in_child(tmp_path, "files"))
    assert os.waitpid(pid, 0)[1] == 0
    os.close(fd)
    check(tmp_path, "files", complete=True)
