"""Reading the beginning of files that others own, databases in use among them.

On POSIX systems a process loses all its locks on a file when it closes any descriptor of that file. A database that this process has open
(Turnfold's own store in a folder that is imported) would then be without protection from other processes: measured, that corrupts it. So the
descriptor of a file that turns out to be a database is never closed, but kept and used again; it costs one descriptor per database met.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

SNIFF_BYTES = 64 * 1024
SQLITE_MAGIC = b"SQLite format 3\x00"

_kept: dict[tuple[int, int], int] = {}
_spare: list[int] = []
_lock = threading.Lock()


def read_head(path: Path, size: int = SNIFF_BYTES) -> bytes:
    """Return a file's first bytes; OSError where it cannot be read."""
    if os.name != "posix":
        with path.open("rb") as file:
            return file.read(size)
    stat = path.stat()
    with _lock:
        kept = _kept.get((stat.st_dev, stat.st_ino))
    if kept is not None:
        return os.pread(kept, size, 0)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe that nobody writes to must not hold us up
    head = b""
    try:
        head = os.pread(fd, size, 0)
    finally:
        if head.startswith(SQLITE_MAGIC):
            _keep(fd)
        else:
            os.close(fd)
    return head


def _keep(fd: int) -> None:
    stat = os.fstat(fd)
    with _lock:
        if _kept.setdefault((stat.st_dev, stat.st_ino), fd) != fd:  # another thread was at it too
            _spare.append(fd)
