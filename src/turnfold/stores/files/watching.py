"""Waking followers: every commit touches one file, and every watcher of any process waits for that.

On Linux the kernel tells (inotify); elsewhere the file's content is looked at every ``POLL_INTERVAL_S``.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from turnfold.ids import now_us
from turnfold.inotify import MODIFY, watch_of
from turnfold.limits import POLL_INTERVAL_S
from turnfold.stores.files.disk import OpenFile


class Changes:
    """The file that commits touch."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made with the first commit."""
        self._path = path
        self._file: OpenFile | None = None

    def touch(self) -> None:
        """Wake the watchers of all processes. They look at the logs, so what cannot be touched is found later."""
        with contextlib.suppress(OSError):
            if self._file is None:
                self._file = OpenFile(self._path, os.O_RDWR | os.O_CREAT)
            os.pwrite(self._file.fd, struct.pack("<q", now_us()), 0)

    def look(self) -> bytes:
        """The content: other than before, where somebody committed."""
        try:
            if self._file is None:
                self._file = OpenFile(self._path, os.O_RDWR | os.O_CREAT)
            return os.pread(self._file.fd, 8, 0)
        except OSError:
            return b""

    def make(self) -> None:
        """Make sure that the file is there to be watched."""
        self.look()


class FileWatch:
    """A thread that calls ``wake`` after each touch."""

    def __init__(self, path: Path, wake: Callable[[], None]) -> None:
        """Begin to watch.

        Args:
            path: The file that commits touch.
            wake: Called from the watching thread.
        """
        self._changes = Changes(path)
        self._changes.make()
        self._wake = wake
        self._closed = False
        self._closing = threading.Lock()
        self._may_release = threading.Event()
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)
        self._inotify = watch_of(path, MODIFY)
        self._thread = threading.Thread(target=self._run, name="turnfold-files-watch", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it was not closed."""
        return not self._closed

    def close(self) -> None:
        """Stop; no wake-up arrives afterwards (one that has begun may end)."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            os.write(self._stop_write, b"x")  # the descriptors stay open until here: another thread may get their numbers
            self._may_release.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._stop_read, select.POLLIN)
        if self._inotify is not None:
            poll.register(self._inotify, select.POLLIN)
        seen = self._changes.look()
        try:
            while not self._closed:
                ready = poll.poll(None if self._inotify is not None else POLL_INTERVAL_S * 1_000)
                if self._closed:
                    return
                if self._inotify is not None:
                    if ready:
                        self._inotify.read()
                        self._wake()
                elif (now := self._changes.look()) != seen:
                    seen = now
                    self._wake()
        finally:
            self._may_release.wait()
            for fd in (self._stop_read, self._stop_write):
                os.close(fd)
            if self._inotify is not None:
                self._inotify.close()
