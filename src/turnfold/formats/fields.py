"""Reading fields of hostile JSON: a value of another type is as good as none."""

from __future__ import annotations

from typing import Any

from turnfold.limits import NAME_BYTES_MAX


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
