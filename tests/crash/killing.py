"""Processes that die at a chosen system call or at a random moment, as SIGKILL makes them die."""

import os
import signal
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

ACK = b"."
CALLS = ("write", "pwrite", "fdatasync", "fsync", "ftruncate", "rename", "replace", "unlink", "mkdir", "open")
WAYS = ("before", "half", "after")


class Kill(NamedTuple):
    """Die at the n-th of the counted system calls (from 1): before it, after half of its bytes, or after it."""

    call: int
    way: str


class Calls:
    """Counts the system calls that change files, and dies at one of them. For a forked child only: it replaces functions of ``os``."""

    def __init__(self, kill: Kill | None) -> None:
        self.count = 0
        self._kill = kill
        self._write = os.write
        for name in CALLS:
            setattr(os, name, self._wrap(name, getattr(os, name)))

    def acknowledge(self, fd: int) -> None:
        """Tell the parent that one more step is done."""
        self._write(fd, ACK)

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return call(*args, **kwargs)
            self.count += 1
            dies = self._kill is not None and self._kill.call == self.count
            if dies and self._kill is not None and self._kill.way != "after":
                if self._kill.way == "half" and name in {"write", "pwrite"}:
                    call(args[0], bytes(args[1])[: len(args[1]) // 2], *args[2:])
                die()
            # The data is in the page cache: a killed process loses nothing of it, so the test need not wait for the disk.
            try:
                return None if name in {"fdatasync", "fsync"} else call(*args, **kwargs)
            finally:
                if dies:
                    die()

        return counted


def die() -> None:
    """End this process as SIGKILL does: nothing is flushed, nothing is released by hand."""
    os.kill(os.getpid(), signal.SIGKILL)


def fork(work: Callable[[int], None]) -> tuple[int, int]:
    """Run ``work(fd)`` in a child, where it may acknowledge on ``fd``; return the child's id and the end to read from."""
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other tests' threads; the child calls nothing of theirs
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read_end)
            work(write_end)
            status = 0
        except BaseException as error:  # noqa: BLE001 - the child must not return into pytest
            os.write(2, f"child: {error!r}\n".encode())
        finally:
            os._exit(status)
    os.close(write_end)
    return pid, read_end


def reap(pid: int, read_end: int) -> tuple[bytes, int]:
    """Wait for a child; return what it acknowledged and its exit code (negative: the signal that ended it)."""
    with os.fdopen(read_end, "rb") as pipe:
        acknowledged = pipe.read()
    _, status = os.waitpid(pid, 0)
    return acknowledged, os.waitstatus_to_exitcode(status)


def kill_after(pid: int, wait_s: float) -> None:
    """Kill a child after a time."""
    time.sleep(wait_s)
    os.kill(pid, signal.SIGKILL)
