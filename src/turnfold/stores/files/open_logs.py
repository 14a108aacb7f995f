"""The logs that a process has open: the recently used ones, and what becomes of them in a forked child."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from turnfold.limits import OPEN_LOGS_MAX
from turnfold.stores.files.log import SessionLog
from turnfold.stores.files.writing import OpenLog, WriteGroup


class OpenLogs:
    """Logs by directory, the least recently used first. One that is let go while somebody works with it lives on until they are done."""

    def __init__(self, root: Path, write: WriteGroup, *, durable: bool, lock_wait_s: float) -> None:
        """Open nothing yet.

        Args:
            root: The store's directory.
            write: Writes a group of commits to a log.
            durable: Sync before a write counts as done.
            lock_wait_s: How long to wait for another process.
        """
        self._root = root
        self._write = write
        self._durable = durable
        self._lock_wait_s = lock_wait_s
        self._lock = threading.Lock()
        self._logs: OrderedDict[str, OpenLog] = OrderedDict()

    def at(self, relative: str) -> OpenLog:
        """Return the log of a directory, relative to the root."""
        with self._lock:
            found = self._logs.get(relative)
            if found is None:
                log = SessionLog(self._root, relative, durable=self._durable, lock_wait_s=self._lock_wait_s)
                found = self._logs[relative] = OpenLog(log, self._write)
                if len(self._logs) > OPEN_LOGS_MAX:
                    self._logs.popitem(last=False)
            else:
                self._logs.move_to_end(relative)
            return found

    def peek(self, relative: str) -> OpenLog | None:
        """Return the log of a directory if it is open."""
        return self._logs.get(relative)

    def drop_all(self) -> None:
        """Let go of everything."""
        self._lock = threading.Lock()
        self._logs = OrderedDict()


_after_fork: weakref.WeakSet[AfterFork] = weakref.WeakSet()


class AfterFork:
    """Calls a method of a living object in every forked child.

    A child has its parent's descriptors and with them its OS locks, and copies of locks that threads held which it has not.
    """

    def __init__(self, reset: Callable[[], None]) -> None:
        """Register a bound method; the object keeps this one alive."""
        self._reset = weakref.WeakMethod(reset)
        _after_fork.add(self)

    def run(self) -> None:
        """Call it."""
        reset = self._reset()
        if reset is not None:
            reset()


def _run_after_fork() -> None:
    for one in list(_after_fork):
        one.run()


os.register_at_fork(after_in_child=_run_after_fork)
