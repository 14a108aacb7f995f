"""From a physical line to JSON objects: the well-formed line quickly, glued, cut and broken ones without loss."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import msgspec

from turnfold.formats.lines import clean

_decode = msgspec.json.Decoder().decode
_surrogate = re.compile("[\ud800-\udfff]+")
_scanner = json.JSONDecoder()
_SPACE = " \t\r\n\ufeff"


class Piece(NamedTuple):
    """A stretch of a physical line that is kept by one event.

    Attributes:
        data: The bytes, with the line's newline in the last piece.
        value: The JSON object, or None where there is none.
        problem: What was wrong, for people; None for a sound line and for a blank one.
        plain: Decoded as it stands, so that the strings of its projection are found again in its bytes.
    """

    data: bytes
    value: dict[str, Any] | None
    problem: str | None = None
    plain: bool = False


def pieces(data: bytes) -> list[Piece]:
    """Split a physical line into the objects in it: one, but for glued and broken lines."""
    try:
        value = _decode(data)
    except (msgspec.MsgspecError, ValueError):
        return _scan(data)
    except RecursionError:
        return [Piece(data, None, "the line is nested too deeply")]
    if type(value) is dict:
        return [Piece(data, value, None, plain=True)]
    return [Piece(data, None, "the line is JSON, but not an object")]


def _scan(data: bytes) -> list[Piece]:
    """Read object after object; what cannot be read is the last piece."""
    text = data.decode("utf-8", "surrogateescape")  # keeps the bytes that are not UTF-8, so that each piece gets exactly its own
    found: list[Piece] = []
    start = 0
    while True:
        at = start
        while at < len(text) and text[at] in _SPACE:
            at += 1
        if at == len(text):
            break
        try:
            value, end = _scanner.raw_decode(text, at)
            found.append(_piece(text[start:end], value))
        except (ValueError, RecursionError):
            found.append(Piece(_bytes(text[start:]), None, "the line is not valid JSON"))
            return found
        start = end
    rest = _bytes(text[start:])
    if not found:
        return [Piece(rest, None)]
    last = found[-1]
    found[-1] = last._replace(data=last.data + rest)
    if len(found) > 1:
        problem = f"{len(found)} JSON values are glued together on this line"
        found[0] = found[0]._replace(problem=found[0].problem or problem)
    return found


def _piece(text: str, value: Any) -> Piece:
    if not isinstance(value, dict):
        return Piece(_bytes(text), None, "the line is JSON, but not an object")
    problem = "the line is not valid UTF-8" if _surrogate.search(text) else None
    return Piece(_bytes(text), clean(value), problem)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
