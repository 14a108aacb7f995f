"""Values ↔ the wire: what a parameter looks like, and how a name with a NUL gets through.

PostgreSQL's text cannot hold U+0000, and names may. So U+0000 and U+0001 are written as two characters each, which keeps names apart, in the
order of their code points, and a prefix a prefix. Nearly no name has either, and those are stored as they are.

Numbers and text travel as text, bytes and arrays in binary: the formats that cost the least to make in Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any, Final

Parameter = bytes | None
TEXT_FORMAT: Final = 0
BINARY_FORMAT: Final = 1
_TEXT_OID: Final = 25
_INT8_OID: Final = 20
_BYTEA_OID: Final = 17
_array_head = Struct(">iiiii").pack
_length = Struct(">i").pack
_int8 = Struct(">iq").pack
_NULL: Final = _length(-1)


class Array(bytes):
    """A parameter that is an array already."""

    __slots__ = ()


def name(text: str) -> bytes:
    """Return a name as the database has it."""
    raw = text.encode()
    return raw.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1") if b"\0" in raw or b"\1" in raw else raw


def name_or_none(text: str | None) -> bytes | None:
    """Return a name that may be missing."""
    return None if text is None else name(text)


def original(text: str) -> str:
    """Return what ``name`` was given."""
    return text.replace("\1\1", "\0").replace("\1\2", "\1") if "\1" in text else text


def original_or_none(text: str | None) -> str | None:
    """Return what ``name_or_none`` was given."""
    return None if text is None else original(text)


def _array(oid: int, items: Sequence[bytes | None]) -> Array:
    if not items:
        return Array(_length(0) + _length(0) + _length(oid))
    body = b"".join(_NULL if item is None else _length(len(item)) + item for item in items)
    return Array(_array_head(1, 1, oid, len(items), 1) + body)


def names(items: Iterable[str | None]) -> Array:
    """Return a text[] of names."""
    return _array(_TEXT_OID, [None if item is None else name(item) for item in items])


def blobs(items: Iterable[bytes | None]) -> Array:
    """Return a bytea[]."""
    return _array(_BYTEA_OID, list(items))


def numbers(items: Sequence[int | None]) -> Array:
    """Return a bigint[]."""
    if not items:
        return _array(_INT8_OID, ())
    body = b"".join(_NULL if item is None else _int8(8, item) for item in items)
    return Array(_array_head(1, 1, _INT8_OID, len(items), 1) + body)


def parameters(values: Sequence[Any]) -> tuple[list[Parameter], list[int]]:
    """Return the wire form of values and its formats: names (str), numbers, truth, bytes, arrays and None."""
    out: list[Parameter] = []
    formats: list[int] = []
    for value in values:
        if isinstance(value, str):
            out.append(name(value))
            formats.append(TEXT_FORMAT)
        elif isinstance(value, bytes):
            out.append(value)
            formats.append(BINARY_FORMAT)
        else:
            out.append(None if value is None else _plain(value))
            formats.append(TEXT_FORMAT)
    return out, formats


def _plain(value: int) -> bytes:
    if value is True or value is False:
        return b"t" if value else b"f"
    return b"%d" % value
