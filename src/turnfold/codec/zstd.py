"""Reading zstd: the standard library's module from Python 3.14 on, before that its backport (the extra ``zstd``).

The backport was preferred to the older ``zstandard`` package because it is the standard library's interface, bounds what one call gives out
(a few kilobytes of zstd can stand for gigabytes), and tells a stream that was cut off from one that has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, BinaryIO

from turnfold.errors import FormatError, missing_extra
from turnfold.limits import KIB, MIB

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
READ_BYTES = 128 * KIB
PIECE_BYTES = 1 * MIB
"""Unpacked content is given out in pieces of at most this size."""


def is_zstd(head: bytes) -> bool:
    """Whether a file that begins so is compressed with zstd."""
    return head.startswith(ZSTD_MAGIC)


@cache
def _module() -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    raise missing_extra("zstd", "backports.zstd")


def unpack(file: BinaryIO) -> Iterator[bytes]:
    """Yield what a zstd file holds, all its frames, in pieces.

    Raises:
        FormatError: It is damaged or cut off; what came before that was yielded.
        MissingExtra: There is no zstd here.
    """
    zstd = _module()
    data = file.read(READ_BYTES)
    while data:
        frame = zstd.ZstdDecompressor()
        while not frame.eof:
            try:
                piece = frame.decompress(data, PIECE_BYTES)
            except zstd.ZstdError as error:
                raise FormatError(f"the compressed content is damaged: {error}") from error
            if piece:
                yield piece
            data = b""
            if frame.needs_input and not frame.eof:
                data = file.read(READ_BYTES)
                if not data:
                    raise FormatError("the compressed content is cut off")
        data = frame.unused_data or file.read(READ_BYTES)
