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
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from turnfold.errors import IntegrityError, InvalidInput
from turnfold.limits import INLINE_PART_BYTES_MAX

CUT_CHARS_MIN = 24
"""Shorter strings stay in the line: a reference would not be smaller by enough to pay for its lookup."""

CUT_LINE_BYTES_MIN = 1024
"""A shorter line is kept as it is: most lines are short, and finding their strings is a fifteenth of an import's time for 3 % of its room."""

HEAD_BYTES = 32
"""How much of a string is looked for; the rest is compared at once where that is found (three times as fast as looking for all of it)."""

SEARCH_BYTES_MAX = 4 * 1024 * 1024
"""Strings times bytes of the line up to which each string is searched for by itself."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_string = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_reference = re.compile(rb"\x01(@?)([0-9a-f]+)\x02")
Parts = list[tuple[str, bytes]]
DATA_URL_HEAD_BYTES_MAX = 200
"""How much of a data URL is looked at for the beginning of its base64 text."""


def part_ref(content: bytes) -> str:
    """Return the name of an out-of-line part."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


KEYED = "keyed:"
"""How the name of a sealed part begins: it comes from a key and says nothing of the content (``codec.cipher``)."""
_part_name = re.compile("(?:sha256|keyed):([0-9a-f]{64})")


def part_digits(ref: str) -> str:
    """Return the 64 hexadecimal digits of the name of a part.

    Raises:
        InvalidInput: It is no such name.
    """
    found = _part_name.fullmatch(ref)
    if found is None:
        raise InvalidInput(f"{ref!r} is no part reference", hint="sha256: and 64 hexadecimal digits")
    return found[1]


def is_part(ref: str, content: bytes) -> bool:
    """Whether the content is what the name of a part says; a keyed name says nothing, whoever sealed the part sees whether it is whole."""
    return ref.startswith(KEYED) or part_ref(content) == ref


def whole(line: bytes) -> bytes:
    """Keep a physical line (with its newline, if it has one) as it is."""
    return b"L" + line[:-1] if line.endswith(b"\n") else b"l" + line


def cut(line: bytes, projection: Any) -> tuple[bytes, Parts]:
    """Return the kept source of a line, and the parts that go out of line with it. Short lines are kept whole.

    Args:
        line: The physical line, with its newline if it has one.
        projection: The event's payload as plain JSON types, exactly as it will be decoded again.
    """
    if len(line) < CUT_LINE_BYTES_MIN:
        return whole(line), []
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


def _long_strings(value: Any) -> list[str]:
    """The long strings of a JSON value in document order; keys are never cut."""
    found: list[str] = []
    _collect((value,), found)
    return found


def _collect(values: Iterable[Any], found: list[str]) -> None:
    for value in values:
        kind = type(value)
        if kind is str:
            if len(value) >= CUT_CHARS_MIN:
                found.append(value)
        elif kind is dict:
            _collect(value.values(), found)
        elif kind is list:
            _collect(value, found)


def _projection_spans(body: bytes, projection: Any) -> list[tuple[int, int, bytes]]:
    wanted: dict[bytes, bytes] = {}
    for index, text in enumerate(_long_strings(projection)):
        wanted.setdefault(_encode(text), b"%d" % index)
    spans: list[tuple[int, int, bytes]] = []
    _add_spans(body, wanted, spans)
    return spans


def _add_spans(body: bytes, wanted: dict[bytes, bytes], spans: list[tuple[int, int, bytes]]) -> set[bytes]:
    """Add each place of the encoded strings that overlaps no earlier span; return the references used.

    Only whole strings are cut, never a piece of another one. Each search passes over the whole line, so many strings in a long line are
    looked for in one pass over all its strings instead; for the usual few, searching is several times faster.

    Args:
        body: The line.
        wanted: Strings with their quotation marks as they would stand in it, and their references.
        spans: Where to add: begin and end of what is between the marks, and the reference.
    """
    used: set[bytes] = set()
    if len(wanted) * len(body) > SEARCH_BYTES_MAX:
        taken = {start for start, _, _ in spans}
        for match in _string.finditer(body):
            reference = wanted.get(match[0])
            if reference is not None and match.start() + 1 not in taken:
                spans.append((match.start() + 1, match.end() - 1, reference))
                used.add(reference)
        return used
    for encoded, reference in sorted(wanted.items(), key=_by_length, reverse=True) if len(wanted) > 1 else wanted.items():
        head = encoded[:HEAD_BYTES]
        start = body.find(head)
        while start >= 0:
            if not body.startswith(encoded, start):
                start = body.find(head, start + 1)
                continue
            begin, end = start + 1, start + len(encoded) - 1
            for other, other_end, _ in spans:
                if begin < other_end and other < end:
                    break
            else:
                spans.append((begin, end, reference))
                used.add(reference)
            start = body.find(head, end)
    return used


def _by_length(item: tuple[bytes, bytes]) -> int:
    return len(item[0])  # the longest first: it may contain a shorter one


def _add_part_spans(body: bytes, spans: list[tuple[int, int, bytes]]) -> Parts:
    """Cut the over-long strings that the projection does not hold."""
    try:
        texts = _long_strings(_decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    wanted: dict[bytes, bytes] = {}
    for text in texts:
        if len(text) * 6 < INLINE_PART_BYTES_MAX:
            continue
        encoded = _encode(text)
        if len(encoded) - 2 > INLINE_PART_BYTES_MAX and encoded not in wanted:
            wanted[encoded] = b"@" + part_ref(_part_of(encoded))[7:].encode()
    before = len(spans)
    used = _add_spans(body, wanted, spans)
    spans[before:] = [(start + _media_start(body[start:end]), end, reference) for start, end, reference in spans[before:]]
    return [("sha256:" + reference[1:].decode(), _part_of(encoded)) for encoded, reference in wanted.items() if reference in used]


def _part_of(encoded: bytes) -> bytes:
    content = encoded[1:-1]
    return content[_media_start(content) :]


def _media_start(encoded: bytes) -> int:
    """Where the base64 text of a data URL begins, 0 for any other string: cut there, the part is the one that a blob part refers to."""
    if not encoded.startswith(b"data:"):
        return 0
    head, mark, _ = encoded[:DATA_URL_HEAD_BYTES_MAX].partition(b";base64,")
    return len(head) + len(mark) if mark else 0
