"""A disk that can be full or read-only: a small tmpfs, where this process may mount one.

Where it may not, ``turnfold.testing.writers --file-size-max`` limits the size of a writer's files instead.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_MS_RDONLY: Final = 1
_MS_REMOUNT: Final = 32
_MNT_DETACH: Final = 2


class SmallDisk:
    """A tmpfs of a few megabytes on a folder; needs root on Linux."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """Mount it.

        Raises:
            PermissionError: This process may not mount; the message says why.
        """
        self.folder = folder
        self._libc = _libc()
        folder.mkdir(parents=True, exist_ok=True)
        self._mount(0, size_bytes)

    def resize(self, size_bytes: int) -> None:
        """Make it larger or smaller, while it is in use."""
        self._mount(_MS_REMOUNT, size_bytes)

    def make_read_only(self) -> None:
        """Refuse every write from now on.

        Raises:
            OSError: A file is open for writing (EBUSY); use ``fill`` or close it.
        """
        self._mount(_MS_REMOUNT | _MS_RDONLY, None)

    def make_writable(self) -> None:
        """Take writes again."""
        self._mount(_MS_REMOUNT, None)

    def fill(self) -> Path:
        """Write a file until nothing more fits; return it, to be deleted."""
        path = self.folder / "filler"
        with path.open("ab", buffering=0) as file:
            for chunk_bytes in (65_536, 4_096, 1):
                try:
                    while file.write(b"\0" * chunk_bytes) == chunk_bytes:
                        pass
                except OSError:
                    continue
        return path

    def close(self) -> None:
        """Unmount it, with what is in it."""
        self._libc.umount2(os.fsencode(self.folder), _MNT_DETACH)

    def _mount(self, flags: int, size_bytes: int | None) -> None:
        data = None if size_bytes is None else f"size={size_bytes}".encode()
        if self._libc.mount(b"tmpfs", os.fsencode(self.folder), b"tmpfs", flags, data):
            code = ctypes.get_errno()
            raise OSError(code, f"cannot mount a tmpfs: {os.strerror(code)}", str(self.folder))

    def __enter__(self) -> Self:
        """It is mounted already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Unmount."""
        self.close()


def _libc() -> ctypes.CDLL:
    if not sys.platform.startswith("linux"):
        raise PermissionError(f"a small disk needs Linux, this is {sys.platform}")
    return ctypes.CDLL(None, use_errno=True)
