"""Files on one machine's disk, as several adapters need them: whole writes, atomic replacement, locks that a killed owner releases."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from turnfold.errors import StoreUnavailable, TurnfoldError

LOCK_PAUSE_S_MIN = 0.000_05
LOCK_PAUSE_S_MAX = 0.002

_HINTS = {
    errno.ENOSPC: "free some space, then try again; nothing that was acknowledged is lost",
    errno.EDQUOT: "the disk quota is used up; free some space, then try again",
    errno.EROFS: "the file system is mounted read-only; mount it writable or use another directory",
    errno.EACCES: "give this user the right to write there, or use another directory",
    errno.EPERM: "give this user the right to write there, or use another directory",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "the system is out of file handles; close other programs",
    errno.EIO: "the device reports an error; check the disk and the system log",
}


def as_turnfold_error(error: OSError, path: Path) -> TurnfoldError:
    """Return the error that names the path and says what to do."""
    hint = _HINTS.get(error.errno or 0, "check that the directory exists and is usable")
    return StoreUnavailable(f"cannot use {error.filename or path}: {error.strerror or error}", hint=hint, path=str(path), errno=error.errno)


def write_all(fd: int, data: bytes) -> None:
    """Write all bytes at the descriptor's place."""
    done = os.write(fd, data)
    while done < len(data):
        done += os.write(fd, memoryview(data)[done:])


def sync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace a file by new content: a reader, and whoever comes after a crash, sees the old or the new, never a mixture."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, data)
        if durable:
            os.fsync(fd)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    finally:
        os.close(fd)
    temporary.replace(path)
    if durable:
        sync_directory(path.parent)


@contextlib.contextmanager
def locked(fd: int, path: Path, wait_s: float) -> Iterator[None]:
    """Hold the OS lock of an open file or directory; the kernel releases it when its owner dies.

    Raises:
        StoreUnavailable: Another process held it for longer than ``wait_s``.
    """
    take_lock(fd, path, wait_s)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def take_lock(fd: int, path: Path, wait_s: float) -> None:
    """Take the OS lock; see ``locked``."""
    if try_lock(fd):
        return
    deadline = time.monotonic() + wait_s
    pause = LOCK_PAUSE_S_MIN
    while not try_lock(fd):
        if time.monotonic() >= deadline:
            raise StoreUnavailable(
                f"{path} was locked by {_holder(fd)} for more than {wait_s:g} s",
                hint="see what that process does; the lock goes when it ends",
                path=str(path),
                limit="LOCK_WAIT_S_MAX",
                value=wait_s,
            )
        time.sleep(pause)
        pause = min(pause * 1.5, LOCK_PAUSE_S_MAX)


def try_lock(fd: int) -> bool:
    """Take the OS lock if it is free."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return False
        raise
    return True


def unlock(fd: int) -> None:
    """Release the OS lock."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def _holder(fd: int) -> str:
    """Who holds the lock, as far as the system tells."""
    inode = os.fstat(fd).st_ino
    try:
        table = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return "another process"
    for line in table.splitlines():
        fields = line.split()
        if len(fields) > 5 and "->" not in fields and fields[5].rpartition(":")[2] == str(inode):
            return f"process {fields[4]}"
    return "another process"
