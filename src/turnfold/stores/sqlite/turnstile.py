"""One writer at a time across processes: SQLite's lock decides, an OS lock that a dead process lets go of keeps the queue in front of it.

Theory of operation. A process that meets nobody just begins its transaction: the queue would cost two system calls. Once it finds the
database locked, it queues for its next ``POLITE_TRANSACTIONS``, and so does the other one as soon as it meets this one. Behind the queue
the database is free, so that nobody needs SQLite's busy handler, which sleeps up to 100 ms between two looks.

The queue is a ``flock`` on a file beside the database. On the database itself a lock of ours could drop SQLite's own: closing any descriptor of
a file drops all POSIX locks that the process has on it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from typing import Final

from turnfold.errors import StoreUnavailable
from turnfold.limits import LOCK_WAIT_S_MAX

try:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
except ImportError:  # Windows: everybody looks at SQLite's lock itself
    flock = None  # type: ignore[assignment]

POLITE_TRANSACTIONS: Final = 1_000
FIRST_SLEEP_S: Final = 0.00005
SLEEP_S_MAX: Final = 0.001


class Turnstile:
    """Begins write transactions. Used by one thread at a time."""

    def __init__(self, path: str, wait_s: float = LOCK_WAIT_S_MAX) -> None:
        """Open nothing yet: the lock file is made when this process first meets another.

        Args:
            path: The database file.
            wait_s: How long to wait for other processes.
        """
        self._database = path
        self._wait_s = wait_s
        self._fd: int | None = None
        self._polite = 0
        self._held = False

    def begin(self, execute: Callable[[str], object]) -> None:
        """Begin a write transaction, waiting for other processes where there are any; ``end`` must follow.

        Raises:
            StoreUnavailable: Others held the database for the whole time.
        """
        if not self._polite and _begun(execute):
            return
        end = time.monotonic() + self._wait_s
        self._polite = self._polite - 1 if self._polite else POLITE_TRANSACTIONS
        if flock is not None:
            self._wait_for(self._queue, end)
            self._held = True
        try:
            self._wait_for(lambda: _begun(execute), end)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Let the next one pass; after the transaction."""
        if self._held and self._fd is not None:
            self._held = False
            flock(self._fd, LOCK_UN)

    def _queue(self) -> bool:
        if self._fd is None:
            self._fd = os.open(f"{self._database}-turnstile", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            flock(self._fd, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait_for(self, passed: Callable[[], bool], end: float) -> None:
        """Look again and again: a blocking flock has no time limit, and a thread per waiter costs more than the looks."""
        sleep_s = FIRST_SLEEP_S
        while not passed():
            if time.monotonic() >= end:
                raise StoreUnavailable(
                    f"{self._database} has been locked by another process for {self._wait_s} s",
                    hint=f"end the process that hangs (fuser {self._database} names it), then try again",
                    path=self._database,
                    limit="LOCK_WAIT_S_MAX",
                    value=self._wait_s,
                )
            time.sleep(sleep_s)
            sleep_s = min(sleep_s * 1.5, SLEEP_S_MAX)

    def close(self) -> None:
        """Close the lock file (a forked child closes its copy only)."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self._held = False


def _begun(execute: Callable[[str], object]) -> bool:
    try:
        execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True
