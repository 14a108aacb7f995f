"""Open files of the files store."""

from __future__ import annotations

import errno
import os
from pathlib import Path


class OpenFile:
    """A file descriptor that closes itself when the last one who uses it lets go: readers go on while a writer moves to the next file.

    ``refusal`` is the error that opening it for writing met, where it was opened only to read.
    """

    __slots__ = ("fd", "inode", "path", "refusal")

    def __init__(self, path: Path, flags: int) -> None:
        self.fd = -1
        self.path = path
        self.refusal: OSError | None = None
        self.fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        self.inode = os.fstat(self.fd).st_ino

    def size(self) -> int:
        """The size of the content."""
        return os.fstat(self.fd).st_size

    def read(self, offset: int, size: int) -> bytes:
        """Read exactly ``size`` bytes of the content, fewer only at its end."""
        return read_range(self.fd, offset, size)

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


def open_log_file(path: Path, *, create: bool = False) -> OpenFile:
    """Open a segment to append, or only to read where nothing else is allowed."""
    if create:
        return OpenFile(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        return OpenFile(path, os.O_RDWR | os.O_APPEND)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise
        file = OpenFile(path, os.O_RDONLY)
        file.refusal = error
        return file


def read_range(fd: int, offset: int, size: int) -> bytes:
    """Read exactly ``size`` bytes, fewer only at the end of the file."""
    data = os.pread(fd, size, offset)
    while len(data) < size:
        more = os.pread(fd, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data
