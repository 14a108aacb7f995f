r"""Kept source lines: what an imported line had beyond its projection, so that the line can be written again byte for byte.

A line is kept as its bytes with every long string that the projection also holds cut out and replaced by a reference to it; a long string
that the projection does not hold goes out of line as a part, once per session by its hash. Cutting matches bytes, so joining is exact by
construction: there is nothing to re-render and compare. Where a source escapes strings in its own way they are not found and simply stay.

Format of ``Event.source``: one letter, then the content. ``L``: the line as it was, its newline implied. ``l``: bytes without newline.
``R`` and ``r``: the same with references, ``\x01<n>\x02`` for the n-th long string of the projection in walk order and
``\x01@<64 hex digits>\x02`` for the part of that sha256. Bytes 1 and 2 cannot be in valid JSON text; a line that has them stays whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from turnfold.errors import IntegrityError
from turnfold.limits import INLINE_PART_BYTES_MAX

CUT_CHARS_MIN = 24
"""Shorter strings stay in the line: a reference would not be smaller by enough to pay for its lookup."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_reference = re.compile(rb"\x01(@?)([0-9a-f]+)\x02")
Parts = list[tuple[str, bytes]]


def part_ref(content: bytes) -> str:
    """Return the name of an out-of-line part."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def whole(line: bytes) -> bytes:
    """Keep a physical line (with its newline, if it has one) as it is."""
    return b"L" + line[:-1] if line.endswith(b"\n") else b"l" + line


def cut(line: bytes, projection: Any) -> tuple[bytes, Parts]:
    """Return the kept source of a line, and the parts that go out of line with it.

    Args:
        line: The physical line, with its newline if it has one.
        projection: The event's payload as plain JSON types, exactly as it will be decoded again.
    """
    kind, body = (b"R", line[:-1]) if line.endswith(b"\n") else (b"r", line)
    if b"\x01" in body or b"\x02" in body:
        return whole(line), []
    spans = _projection_spans(body, projection)
    parts: Parts = []
    if len(body) - sum(end - start for start, end, _ in spans) > INLINE_PART_BYTES_MAX:
        parts = _add_part_spans(body, spans)
    if not spans:
        return whole(line), []
    spans.sort()
    pieces = [kind]
    at = 0
    for start, end, reference in spans:
        pieces += (body[at:start], b"\x01", reference, b"\x02")
        at = end
    pieces.append(body[at:])
    return b"".join(pieces), parts


def join(source: bytes, projection: Any, read_part: Callable[[str], bytes]) -> bytes:
    """Write the line again.

    Args:
        source: What ``cut`` or ``whole`` kept.
        projection: The decoded payload.
        read_part: Returns an out-of-line part by ``sha256:…``.
    """
    kind, body = source[:1], source[1:]
    if kind in b"Rr":
        strings: list[bytes] | None = None

        def replace(match: re.Match[bytes]) -> bytes:
            nonlocal strings
            name = match[2]
            if match[1]:
                return read_part("sha256:" + name.decode())
            if strings is None:
                strings = [_encode(text)[1:-1] for text in _long_strings(projection)]
            return strings[int(name)]

        body = _reference.sub(replace, body)
    elif kind not in b"Ll":
        raise IntegrityError(f"unknown form {kind!r} of a kept source line")
    return body + b"\n" if kind in b"LR" else body


def _long_strings(value: Any) -> Iterator[str]:
    """The long strings of a JSON value in document order; keys are never cut."""
    if isinstance(value, str):
        if len(value) >= CUT_CHARS_MIN:
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _long_strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _long_strings(item)


def _projection_spans(body: bytes, projection: Any) -> list[tuple[int, int, bytes]]:
    found: dict[str, int] = {}
    for index, text in enumerate(_long_strings(projection)):
        found.setdefault(text, index)
    spans: list[tuple[int, int, bytes]] = []
    for text in sorted(found, key=len, reverse=True):  # a longer one may contain a shorter one
        _add_spans(body, _encode(text)[1:-1], b"%d" % found[text], spans)
    return spans


def _add_spans(body: bytes, encoded: bytes, reference: bytes, spans: list[tuple[int, int, bytes]]) -> bool:
    """Add each place of the encoded string that overlaps no earlier span; whether there was one."""
    size = len(encoded)
    added = False
    start = body.find(b'"' + encoded + b'"')  # whole strings only: never a piece of another one
    while start >= 0:
        begin, end = start + 1, start + 1 + size
        if not any(begin < other_end and other < end for other, other_end, _ in spans):
            spans.append((begin, end, reference))
            added = True
        start = body.find(b'"' + encoded + b'"', end)
    return added


def _add_part_spans(body: bytes, spans: list[tuple[int, int, bytes]]) -> Parts:
    """Cut the over-long strings that the projection does not hold."""
    parts: Parts = []
    try:
        line = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return parts
    seen: set[str] = set()
    for text in _long_strings(line):
        if len(text) * 6 < INLINE_PART_BYTES_MAX or text in seen:
            continue
        seen.add(text)
        encoded = _encode(text)[1:-1]
        if len(encoded) > INLINE_PART_BYTES_MAX:
            ref = part_ref(encoded)
            if _add_spans(body, encoded, b"@" + ref[7:].encode(), spans):
                parts.append((ref, encoded))
    return parts
