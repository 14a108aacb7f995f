"""What tests of following share: a follower in a thread, a process that writes, and waiting for what comes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.importing.documents import formats_with_chats
from tests.importing.sessions import events_of, head_of
from tests.support import ROOT
from turnfold.engine.importer import FileImport, Importer
from turnfold.engine.importing.follower import FileFollower
from turnfold.errors import SessionNotFound
from turnfold.ports.store import Store

WRITER = Path(__file__).with_name("following_process.py")
PATIENCE_S = 20.0


class Followed:
    """A follower that runs in a thread, and what it has told."""

    def __init__(self, followed: FileFollower) -> None:
        self.files: list[FileImport] = []
        self.follower = followed
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            while not self.follower._closed:
                self.files += self.follower.next(0.2)
        except BaseException as error:  # noqa: BLE001  # told to the test
            self.error = error

    def until(self, what: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds(what):
            assert self.error is None, self.error
            assert time.monotonic() < deadline, self.files
            time.sleep(0.01)


def is_there(store: Store, *session_ids: str) -> bool:
    return all(head_of(store, session_id).info.last_seq for session_id in session_ids)


def holds(what: Callable[[], object]) -> bool:
    try:
        return bool(what())
    except SessionNotFound:
        return False


@contextmanager
def following(store: Store, *paths: Path, notes: list[str] | None = None) -> Iterator[Followed]:
    note = (lambda _: None) if notes is None else notes.append
    followed = Followed(Importer(store, known_formats=formats_with_chats()).follow(paths, note=note))
    followed._thread.start()
    try:
        yield followed
    finally:
        followed.follower.close()
        followed._thread.join(PATIENCE_S)
    assert followed.error is None, followed.error


@contextmanager
def writing(folder: Path, file_count: int, line_count: int, rate: float) -> Iterator[subprocess.Popen[bytes]]:
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    command = [sys.executable, str(WRITER), str(folder), str(file_count), str(line_count), str(rate)]
    with subprocess.Popen(command, env=environ) as process:
        yield process


def lags_s(store: Store, session_ids: list[str]) -> list[float]:
    """How long after its line was written each message was in the store, sorted."""
    mark = "written at "
    found: list[float] = []
    for session_id in session_ids:
        for event in events_of(store, session_id):
            if event.type == "message":
                text = event.data["parts"][0]["content"]
                found.append(event.recorded_at_us / 1e6 - float(text.removeprefix(mark)))
    return sorted(found)
