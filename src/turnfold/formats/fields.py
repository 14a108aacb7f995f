"""Reading fields of hostile JSON: a value of another type is as good as none."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from turnfold.limits import NAME_BYTES_MAX

METADATA_CHARS_MAX = 4096
"""Longer texts do not go into a session's metadata."""
NAME_STEM_CHARS_MAX = 60
"""Of an id in a file name: file systems take 255 bytes, and a character may be four."""
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_unsafe = re.compile(r"[^\w.-]+|\.\.+")


def text_of(value: Any) -> str:
    """Return the value if it is text, else an empty string."""
    return value if isinstance(value, str) else ""


def text_or_none(value: Any) -> str | None:
    """Return the value if it is non-empty text."""
    return value if isinstance(value, str) and value else None


def name_of(value: Any) -> str | None:
    """Return the value if it can stand in an envelope field: non-empty text of at most ``NAME_BYTES_MAX`` bytes."""
    if isinstance(value, str) and value and len(value) <= NAME_BYTES_MAX and len(value.encode()) <= NAME_BYTES_MAX:
        return value
    return None


def object_of(value: Any) -> dict[str, Any]:
    """Return the value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """Return the value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def count_of(value: Any) -> int:
    """Return the value if it is a count that every store can hold, else 0."""
    return value if type(value) is int and 0 <= value < 1 << 53 else 0


def exit_code_of(value: Any) -> int | None:
    """Return the value if it is an exit code that every store can hold, or None."""
    return value if type(value) is int and abs(value) < 1 << 53 else None


def at_ms(value: Any) -> int | None:
    """Return a time in milliseconds since the epoch as microseconds, or None."""
    return int(value * 1000) if type(value) in {int, float} and 0 < value < 1e14 else None


def cost_of(value: Any) -> int:
    """Return an amount in US dollars as microdollars, else 0."""
    return round(value * 1_000_000) if type(value) in {float, int} and 0 <= value < 1e9 else 0


def arguments_of(value: Any) -> tuple[Any, str | None]:
    """Return a call's arguments, parsed where they are a JSON string, and the string where writing them again would not give it back."""
    if not isinstance(value, str):
        return value, None
    try:
        parsed = _decode(value)
        return parsed, None if _encode(parsed).decode() == value else value
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None, value


def some(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is None."""
    return {name: value for name, value in fields.items() if value is not None}


def metadata_of(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave only the short texts of a session's facts: what its metadata can hold."""
    return {name: value for name, value in fields.items() if isinstance(value, str) and 0 < len(value) <= METADATA_CHARS_MAX}


def short_hash(*texts: str) -> str:
    """Return eight hex digits that tell names apart where a source has no ids of its own."""
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def stem_of(session_id: str) -> str:
    """Return a session id as part of a file name: no separators, nothing that leads out of the folder."""
    return _unsafe.sub("_", session_id)[:NAME_STEM_CHARS_MAX].strip(".") or "session"
