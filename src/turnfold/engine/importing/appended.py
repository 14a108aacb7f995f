"""Lines that come without a file: a virtual source that goes on where a session's kept lines end."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import BinaryIO

from turnfold.engine.importing.source import FINGERPRINT_BYTES, Facts, SourceFile


class _Shifted(io.BytesIO):
    """Bytes that begin at an offset of a longer file."""

    def __init__(self, data: bytes, offset: int) -> None:
        super().__init__(data)
        self._offset = offset

    def seek(self, place: int, whence: int = 0, /) -> int:
        return super().seek(max(place - self._offset, 0) if whence == 0 else place, whence) + self._offset

    def tell(self) -> int:
        return super().tell() + self._offset


class AppendedLines(SourceFile):
    """New lines behind those that a session has.

    Its fingerprints are those of a file with all of the lines, so that such a file, where it turns up later, is known.
    """

    def __init__(self, path: Path, new: bytes, *, offset: int, first: bytes, last: bytes) -> None:
        """Set up.

        Args:
            path: What the source is called.
            new: The new lines, each with its newline.
            offset: The size of the lines before.
            first: The first ``FINGERPRINT_BYTES`` of those.
            last: Their last ``FINGERPRINT_BYTES``.
        """
        self._new = new
        self._begin = offset
        self._first = first
        self._last = last
        super().__init__(path)

    def _open(self) -> tuple[BinaryIO, Facts]:
        self.on_disk = Facts(self._begin + len(self._new), 0, 0)
        return _Shifted(self._new, self._begin), self.on_disk

    def fingerprint(self, offset: int) -> tuple[str, str]:
        """See ``SourceFile``; ``offset`` is never inside the lines before."""
        new = self._new[: offset - self._begin]
        first = (self._first + new[:FINGERPRINT_BYTES])[: min(FINGERPRINT_BYTES, offset)]
        last = (self._last + new[-FINGERPRINT_BYTES:])[-FINGERPRINT_BYTES:]
        return hashlib.sha256(first).hexdigest()[:32], hashlib.sha256(last).hexdigest()[:32]

    def fingerprint_keeping(self, offset: int) -> tuple[str, str]:
        """The same: nothing is read."""
        return self.fingerprint(offset)
