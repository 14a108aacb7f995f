"""What Linux tells about changes in folders and files (inotify), through ctypes; nothing on other systems."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

MODIFY: Final = 0x2
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
OVERFLOW: Final = 0x4000
GONE: Final = 0x8000
"""The watch has ended: its file or folder is no more."""
FOLDER: Final = 0x40000000
"""The event is about a folder."""
ONLY_FOLDERS: Final = 0x01000000
_HEAD_BYTES: Final = 16
_READ_BYTES: Final = 65_536


class Change(NamedTuple):
    """One event: the watch it belongs to (-1 for an overflow), what it was, and the name inside the watched folder."""

    watch: int
    mask: int
    name: bytes


class WatchesUsedUp(OSError):  # named for what happened, as OSError's own children are
    """The user has no inotify watches left (``fs.inotify.max_user_watches``)."""


class Inotify:
    """An inotify descriptor; ``fileno`` can be polled."""

    def __init__(self, fd: int, add_watch: Callable[[int, bytes, int], int]) -> None:
        """Use ``open_inotify``."""
        self._fd = fd
        self._add_watch = add_watch

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def add(self, path: Path | str, mask: int) -> int | None:
        """Watch a path; None where it cannot be (gone, not ours to read).

        Raises:
            WatchesUsedUp: There are none left.
        """
        import ctypes

        watch = self._add_watch(self._fd, os.fsencode(path), mask)
        if watch >= 0:
            return watch
        if ctypes.get_errno() == errno.ENOSPC:
            raise WatchesUsedUp(errno.ENOSPC, "no inotify watches are left")
        return None

    def read(self) -> list[Change]:
        """Return what has happened; empty where nothing has."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return []
        found: list[Change] = []
        at = 0
        while at + _HEAD_BYTES <= len(data):
            watch = int.from_bytes(data[at : at + 4], sys.byteorder, signed=True)
            mask = int.from_bytes(data[at + 4 : at + 8], sys.byteorder)
            length = int.from_bytes(data[at + 12 : at + 16], sys.byteorder)
            found.append(Change(watch, mask, data[at + _HEAD_BYTES : at + _HEAD_BYTES + length].rstrip(b"\0")))
            at += _HEAD_BYTES + length
        return found

    def close(self) -> None:
        """End all watches."""
        os.close(self._fd)


def open_inotify() -> Inotify | None:
    """Return a descriptor, None where the system has none (left)."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes  # 5 ms that only those pay who watch

    libc: Any = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
    return None if fd < 0 else Inotify(fd, libc.inotify_add_watch)


def watch_of(path: Path | str, mask: int) -> Inotify | None:
    """Return a descriptor that watches one path, None where that cannot be."""
    inotify = open_inotify()
    if inotify is None:
        return None
    with suppress(WatchesUsedUp):
        if inotify.add(path, mask) is not None:
            return inotify
    inotify.close()
    return None
