"""Noticing commits of any process: inotify on the write-ahead log, then SQLite's own ``data_version``; polling where there is no inotify.

Theory of operation. A commit writes to the log, syncs it, and only then becomes visible (through shared memory, which inotify does not see).
So the wake-up comes before there is anything to read. The watcher therefore looks, and looks again at growing distances, until the
``data_version`` of its own connection changes; another wake-up begins the short distances anew. One thread per store, and only while
somebody watches.
"""

from __future__ import annotations

import os
import select
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from turnfold.inotify import CREATE, MODIFY, Change, watch_of
from turnfold.limits import POLL_INTERVAL_S

LOOK_AGAIN_S: Final = 0.00005
"""First distance between looks after a wake-up."""
LOOK_GROWTH: Final = 1.5
POLL_RESOLUTION_S: Final = 0.001
"""``poll`` takes milliseconds; shorter pauses are slept."""


class Watcher:
    """Calls everybody who watches after each commit that becomes visible."""

    def __init__(self, path: str, connect: Callable[[], sqlite3.Connection]) -> None:
        """Prepare; nothing runs before the first ``add``.

        Args:
            path: The database file.
            connect: Opens a connection of the watcher's own.
        """
        self._path = path
        self._connect = connect
        self._lock = threading.Lock()
        self._watches: tuple[StoreWatch, ...] = ()
        self._stop: int | None = None

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return bool(self._watches)

    def add(self, wake: Callable[[], None]) -> StoreWatch:
        """Begin to call ``wake``; commits from now on are noticed."""
        watch = StoreWatch(self, wake)
        with self._lock:
            self._watches = (*self._watches, watch)
            if self._stop is None:
                self._start()
        return watch

    def notify(self) -> None:
        """Call everybody: this process has committed (or the thread noticed another's commit)."""
        for watch in self._watches:
            wake = watch.wake
            if wake is not None:
                wake()

    def remove(self, watch: StoreWatch) -> None:
        """Stop calling it; the thread ends with the last one."""
        with self._lock:
            self._watches = tuple(item for item in self._watches if item is not watch)
            if not self._watches:
                self._end()

    def close(self) -> None:
        """Stop everything."""
        with self._lock:
            self._watches = ()
            self._end()

    def _start(self) -> None:
        connection = self._connect()
        version = _data_version(connection)
        stop_read, self._stop = os.pipe()
        thread = threading.Thread(target=self._run, args=(connection, version, stop_read), name=f"turnfold watch {self._path}", daemon=True)
        thread.start()

    def _end(self) -> None:
        if self._stop is not None:
            os.close(self._stop)
            self._stop = None

    def _run(self, connection: sqlite3.Connection, version: int, stop: int) -> None:
        inotify = watch_of(Path(self._path).parent, MODIFY | CREATE)  # of the folder: the log comes and goes
        poll = select.poll()
        poll.register(stop, select.POLLIN | select.POLLHUP)
        if inotify is not None:
            poll.register(inotify, select.POLLIN)
        name = os.fsencode(Path(self._path).name + "-wal")
        pause_s = POLL_INTERVAL_S
        try:
            while True:
                if pause_s < POLL_RESOLUTION_S:
                    time.sleep(pause_s)
                    ready = dict(poll.poll(0))
                else:
                    ready = dict(poll.poll(pause_s * 1_000))
                if stop in ready:
                    return
                pause_s = min(pause_s * LOOK_GROWTH, POLL_INTERVAL_S)
                if inotify is not None and inotify.fileno() in ready and _concerns(inotify.read(), name):
                    pause_s = LOOK_AGAIN_S
                now = _data_version(connection)
                if now != version:
                    version, pause_s = now, POLL_INTERVAL_S
                    self.notify()
        finally:
            connection.close()
            os.close(stop)
            if inotify is not None:
                inotify.close()


class StoreWatch:
    """One registered callback."""

    def __init__(self, watcher: Watcher, wake: Callable[[], None]) -> None:
        """Keep the callback until it is closed."""
        self.wake: Callable[[], None] | None = wake
        self._watcher = watcher

    def close(self) -> None:
        """Stop; no wake-up begins afterwards."""
        self.wake = None
        self._watcher.remove(self)


def _data_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _concerns(changes: Iterable[Change], name: bytes) -> bool:
    """Whether one of them is about the file of that name (or the queue overflowed and nobody knows)."""
    return any(change.name in {name, b""} for change in changes)
