"""A segment that is compressed: the same bytes, in pieces that can be read one by one.

Theory of operation. ``00000001.jsonl.z`` holds what ``00000001.jsonl`` held. Places in a log are places in the uncompressed bytes, so nothing
else knows the difference. The content is cut into pieces of ``BLOCK_BYTES``, each a zlib stream of its own; an index at the end says how
long they are, and the last bytes say how long the index is. So any event is read by decompressing one or two pieces.

The compressed file is written whole under another name, synced and renamed, and then the plain one is removed. While both are there (a writer was
killed in between) the plain one counts. Only segments that are rolled are compressed: they are never appended to again. Erasing rewrites
them as it does plain ones.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Final

import msgspec

from turnfold.errors import StoreCorrupt
from turnfold.limits import BLOCK_BYTES
from turnfold.stores.files.disk import OpenFile, read_range

SEALED_SUFFIX: Final = ".z"
_MAGIC: Final = b"TFZ1"
_LEVEL: Final = 6
_FOOT_BYTES: Final = 4 + 4 + len(_MAGIC)
"""Behind the index: its length, its CRC-32, and the name of the form."""


class _Index(msgspec.Struct, array_like=True, gc=False):
    """Size of the content, size of a piece of it, and the compressed size of each piece."""

    size_bytes: int
    piece_bytes: int
    packed: list[int]


_decode = msgspec.msgpack.Decoder(_Index).decode


def pack(content: bytes) -> bytes:
    """Return the content of a compressed file."""
    view = memoryview(content)
    pieces = [zlib.compress(view[at : at + BLOCK_BYTES], _LEVEL) for at in range(0, len(content), BLOCK_BYTES)]
    index = msgspec.msgpack.encode(_Index(len(content), BLOCK_BYTES, [len(piece) for piece in pieces]))
    foot = len(index).to_bytes(4, "big") + zlib.crc32(index).to_bytes(4, "big") + _MAGIC
    return b"".join((*pieces, index, foot))


class SealedFile(OpenFile):
    """A compressed segment to read from; places are those of its content."""

    __slots__ = ("_index", "_last", "_starts")

    def __init__(self, path: Path) -> None:
        """Open the file and read its index.

        Raises:
            StoreCorrupt: It is not what was written.
        """
        super().__init__(path, os.O_RDONLY)
        self.refusal = None
        size = os.fstat(self.fd).st_size
        foot = read_range(self.fd, max(size - _FOOT_BYTES, 0), _FOOT_BYTES)
        length = int.from_bytes(foot[:4], "big")
        index = read_range(self.fd, max(size - _FOOT_BYTES - length, 0), length)
        if foot[8:] != _MAGIC or zlib.crc32(index).to_bytes(4, "big") != foot[4:8]:
            raise self._damaged("its index is not what was written")
        try:
            self._index = _decode(index)
        except msgspec.MsgspecError as error:
            raise self._damaged(str(error)) from error
        self._starts = [0]
        for packed in self._index.packed:
            self._starts.append(self._starts[-1] + packed)
        self._last: tuple[int, bytes] = (-1, b"")

    def size(self) -> int:
        """The size of the content."""
        return self._index.size_bytes

    def read(self, offset: int, size: int) -> bytes:
        """Read ``size`` bytes of the content, fewer only at its end."""
        end = min(offset + size, self._index.size_bytes)
        if offset >= end:
            return b""
        step = self._index.piece_bytes
        first, last = offset // step, (end - 1) // step
        start = offset - first * step
        if first == last:
            return self._piece(first)[start : start + end - offset]
        packed = read_range(self.fd, self._starts[first], self._starts[last + 1] - self._starts[first])
        at = self._starts[first]
        pieces = [
            self._unpack(number, packed[self._starts[number] - at : self._starts[number + 1] - at]) for number in range(first, last + 1)
        ]
        return b"".join(pieces)[start : start + end - offset]

    def _piece(self, number: int) -> bytes:
        """One piece; the last one is kept, because neighbours are read one after the other."""
        kept, piece = self._last
        if kept != number:
            start = self._starts[number]
            piece = self._unpack(number, read_range(self.fd, start, self._starts[number + 1] - start))
            self._last = (number, piece)
        return piece

    def _unpack(self, number: int, packed: bytes) -> bytes:
        try:
            return zlib.decompress(packed)
        except zlib.error as error:
            raise self._damaged(f"piece {number}: {error}") from error

    def _damaged(self, problem: str) -> StoreCorrupt:
        return StoreCorrupt(f"{self.path} is damaged: {problem}", hint="restore the file from a backup", path=str(self.path))
