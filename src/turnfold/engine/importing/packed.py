"""Compressed files: their content is unpacked into a spool, and imported as if the file were there plain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryDirectory
from typing import BinaryIO, cast

from turnfold.codec.zstd import unpack
from turnfold.engine.importing.document import SPOOL_BYTES_MAX
from turnfold.engine.importing.source import Facts, SourceFile, facts_of
from turnfold.errors import FormatError
from turnfold.limits import UNPACKED_BYTES_MAX

SUFFIX = ".zst"


def plain_path(path: Path) -> Path:
    """The path that the file had before it was compressed; its own if its name does not say that it is."""
    return path.with_suffix("") if path.suffix == SUFFIX else path


def unpacked_head(path: Path, size: int) -> bytes:
    """The first bytes of a compressed file's content, as far as they can be read."""
    head = b""
    with path.open("rb") as file, suppress(FormatError):
        for piece in unpack(file):
            head += piece
            if len(head) >= size:
                break
    return head[:size]


class PackedFile(SourceFile):
    """The content of a compressed file.

    Attributes:
        problem: What kept the rest of it from being read, or None.
        problem_line: The line where that was.
    """

    problem: str | None = None
    problem_line: int = 1

    def _open(self) -> tuple[BinaryIO, Facts]:
        self.named = plain_path(self.path)
        spool = cast("BinaryIO", SpooledTemporaryFile(SPOOL_BYTES_MAX))  # noqa: SIM115  # closed by ``__exit__``
        size = 0
        with self.path.open("rb") as file:
            self.on_disk = facts_of(file)
            try:
                for piece in _limited(unpack(file)):
                    size += spool.write(piece)
                    self.problem_line += piece.count(b"\n")
            except FormatError as error:
                if not size:
                    spool.close()
                    raise
                self.problem = f"{error.message}; the rest is read when the file is whole"
        return spool, self.on_disk._replace(size=size)


@contextmanager
def unpacked_copy(path: Path) -> Iterator[Path]:
    """Unpack a document into a temporary folder while it is read.

    Raises:
        FormatError: It is damaged or cut off.
    """
    with TemporaryDirectory() as folder:
        copy = Path(folder, plain_path(path).name)
        with path.open("rb") as file, copy.open("wb") as out:
            for piece in _limited(unpack(file)):
                out.write(piece)
        yield copy


def _limited(pieces: Iterator[bytes]) -> Iterator[bytes]:
    left = UNPACKED_BYTES_MAX
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise FormatError(f"the compressed content is larger than UNPACKED_BYTES_MAX = {UNPACKED_BYTES_MAX} bytes")
        yield piece
