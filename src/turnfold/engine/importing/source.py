"""The file under import: facts, fingerprints, and physical lines with bounded memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from turnfold.formats.base import Line
from turnfold.limits import KIB, LINE_BYTES_MAX, LINE_PIECE_BYTES, MIB

FINGERPRINT_BYTES = 4 * KIB
_BUFFER_BYTES = 1 * MIB


class Facts(NamedTuple):
    """What the file system says about a file, without reading it."""

    size: int
    mtime_ns: int
    inode: int


class Piece(NamedTuple):
    """A piece of a line that is longer than ``LINE_BYTES_MAX``; ``first`` of its line."""

    number: int
    offset: int
    data: bytes
    first: bool


def facts_of(file: BinaryIO | Path) -> Facts:
    """Ask the file system."""
    stat = file.stat() if isinstance(file, Path) else os.fstat(file.fileno())
    return Facts(stat.st_size, stat.st_mtime_ns, stat.st_ino)


class SourceFile:
    """An open file.

    Attributes:
        path: Where it is.
        named: What a format is told as its path.
        facts: What it was when it was opened.
        on_disk: The same of the file that the file system shows, where that is another (a compressed one).
        problem: What kept a part of it from being read, or None.
        native_id: Of a document's session (``DocumentFile``), else None.
    """

    native_id: str | None = None
    problem: str | None = None
    problem_line: int = 0
    named: Path
    on_disk: Facts

    def __init__(self, path: Path, line_bytes_max: int = LINE_BYTES_MAX, piece_bytes: int = LINE_PIECE_BYTES) -> None:
        """Open it; OSError where that cannot be."""
        self.path = self.named = path
        self.file, self.facts = self._open()
        self._line_bytes_max = line_bytes_max
        self._piece_bytes = piece_bytes

    def _open(self) -> tuple[BinaryIO, Facts]:
        file = self.path.open("rb", buffering=_BUFFER_BYTES)
        self.on_disk = facts_of(file)
        return file, self.on_disk

    @property
    def modified_us(self) -> int:
        """When it was changed last."""
        return self.facts.mtime_ns // 1000

    def settled(self, line: Line | Piece) -> bool:
        """Whether the line stays as it is: the last one of a file that grows is complete with its newline only."""
        return isinstance(line, Piece) or line.data.endswith(b"\n")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self.file.close()

    def head(self, size: int) -> bytes:
        """The first ``size`` bytes."""
        self.file.seek(0)
        return self.file.read(size)

    def first_lines(self) -> Iterator[bytes]:
        """The first lines, without their newlines, for describing the file."""
        self.file.seek(0)
        while data := self.file.readline(self._piece_bytes):
            yield data.rstrip(b"\r\n")

    def fingerprint(self, offset: int) -> tuple[str, str]:
        """Hashes of the first bytes, and of the last bytes before ``offset``: they notice a file that was put in another's place."""
        self.file.seek(0)
        first = self.file.read(min(FINGERPRINT_BYTES, offset))
        self.file.seek(max(0, offset - FINGERPRINT_BYTES))
        last = self.file.read(min(FINGERPRINT_BYTES, offset))
        return hashlib.sha256(first).hexdigest()[:32], hashlib.sha256(last).hexdigest()[:32]

    def fingerprint_keeping(self, offset: int) -> tuple[str, str]:
        """The same, and the file stays where it is being read."""
        place = self.file.tell()
        try:
            return self.fingerprint(offset)
        finally:
            self.file.seek(place)

    def lines(self, offset: int, number: int) -> Iterator[Line | Piece]:
        """Yield the physical lines from ``offset`` on, the first with that number; an over-long one in pieces.

        A line without newline is the last one, even if more arrives meanwhile: it would be that line's end.
        """
        self.file.seek(offset)
        read = self.file.readline
        limit = self._line_bytes_max
        while data := read(limit):
            if len(data) < limit or data.endswith(b"\n"):
                yield Line(number, offset, data)
                if not data.endswith(b"\n"):
                    return
                offset += len(data)
            else:
                yield from self._pieces(Line(number, offset, data))
                offset = self.file.tell()
            number += 1

    def _pieces(self, begun: Line) -> Iterator[Piece]:
        size = self._piece_bytes
        number, offset, data = begun
        for start in range(0, len(data), size):
            yield Piece(number, offset + start, data[start : start + size], start == 0)
        offset += len(data)
        while not data.endswith(b"\n") and (data := self.file.readline(size)):
            yield Piece(number, offset, data, first=False)
            offset += len(data)
