"""What readers of line-based formats share: decoding a line that may be broken, its time, and building an event that keeps it."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from turnfold.codec.residual import cut, whole
from turnfold.formats.base import Line, Projected
from turnfold.model.event import NewEvent, to_us

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_surrogate = re.compile("[\ud800-\udfff]")
PROBLEM_CHARS_MAX = 200
"""A problem's text is shown to people: no longer than this."""

DETAIL_LINE_BYTES_MAX = 2_048
"""The structured twin of a tool's answer goes into the part only on lines up to this size; it always stays in the kept line."""
TITLE_CHARS_MAX = 120
"""A title that is made from a prompt."""


def title_of(prompt: str) -> str | None:
    """Return the beginning of a prompt as a title: in one line, ending between words; None where it has none."""
    words = " ".join(prompt[: 8 * TITLE_CHARS_MAX].split())
    if len(words) > TITLE_CHARS_MAX:
        cut_at = words.rfind(" ", TITLE_CHARS_MAX // 2, TITLE_CHARS_MAX)
        words = words[: cut_at if cut_at > 0 else TITLE_CHARS_MAX - 1] + "…"
    return words or None


def decode_line(data: bytes) -> tuple[Any, str | None]:
    """Decode one line as JSON.

    Returns:
        The value and None, or None and what is wrong. Lone surrogates, which Python's own writer produces and no store can hold,
        become U+FFFD in the value (the kept line has them).
    """
    try:
        return _decode(data), None
    except RecursionError:
        return None, "JSON is nested too deeply"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = str(error)
    try:
        value = clean(json.loads(data))
        _encode(value)
    except (ValueError, RecursionError, OverflowError, TypeError):
        return None, f"not JSON: {reason}"[:PROBLEM_CHARS_MAX]
    return value, None


def clean(value: Any) -> Any:
    """Put U+FFFD in place of lone surrogates, which JSON in UTF-8 cannot say."""
    if isinstance(value, str):
        return _surrogate.sub("\ufffd", value)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


_usual_time = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d\.\d{3}Z", re.ASCII).fullmatch


@lru_cache(maxsize=256)
def _minute_us(text: str) -> int:
    return to_us(datetime.fromisoformat(text))


def parse_at(text: Any) -> int | None:
    """Return a line's RFC 3339 time in microseconds since the epoch, or None."""
    if not isinstance(text, str) or len(text) > 64:
        return None
    try:
        if _usual_time(text):
            # As most tools write it; neighbouring lines share their minute.
            return _minute_us(text[:16]) + int(text[17:19]) * 1_000_000 + int(text[20:23]) * 1_000
        return to_us(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def opaque(line: Line, at_us: int | None, native_type: str | None, problem: str | None = None) -> Projected:
    """Return a line without projection: it is kept, counted by its native type and seen by nobody."""
    data: dict[str, Any] = {}
    if native_type is not None:
        data["native_type"] = native_type[:PROBLEM_CHARS_MAX]
    if problem is not None:
        data["problem"] = problem
    source, parts = cut(line.data, data)
    event = NewEvent(type="opaque", data=data, at=at_us, visibility="none", message_count=0, turn_count=0, source=source)
    return Projected(event, tuple(parts), problem)


def blank(line: Line, at_us: int | None) -> Projected:
    """Return an empty line, which some tools leave behind after a crash: kept, and no problem."""
    data = {"native_type": "blank"}
    event = NewEvent(type="opaque", data=data, at=at_us, visibility="none", message_count=0, turn_count=0, source=whole(line.data))
    return Projected(event)
