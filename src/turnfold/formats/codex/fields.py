"""Reading fields of hostile JSON: a value of another type is as good as none."""

from __future__ import annotations

import re
from typing import Any

from turnfold.limits import NAME_BYTES_MAX
from turnfold.model.usage import Usage

_exit_code = re.compile(r'(?:Process exited with code |^Exit code: |"exit_code":)(-?\d{1,10})\b', re.MULTILINE)
EXIT_CODE_SEARCH_CHARS = 400
"""How far into an output the exit code is looked for, from either end: the CLI writes it before or after the tool's own text."""


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


def exit_code_of(output: Any) -> int | None:
    """Find the exit code that the CLI wrote into a tool's output text."""
    if not isinstance(output, str):
        return None
    near = output[:EXIT_CODE_SEARCH_CHARS]
    if len(output) > EXIT_CODE_SEARCH_CHARS and output.startswith("{"):  # the JSON form has its metadata at the end
        near = output[-EXIT_CODE_SEARCH_CHARS:]
    match = _exit_code.search(near)
    return None if match is None else int(match[1])


NUMBERS = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_input_tokens", "reasoning_output_tokens")


def numbers_of(value: Any) -> tuple[int, ...] | None:
    """Return a native TokenUsage as numbers in the order of ``NUMBERS``, or None where there is none."""
    if not isinstance(value, dict):
        return None
    return tuple(count_of(value.get(name)) for name in NUMBERS)


def usage_of(numbers: tuple[int, ...], model: str) -> Usage:
    """Return native numbers as usage (both count cached tokens as input and reasoning as output)."""
    read_in, out, cached, written, reasoning = numbers
    return Usage(read_in, out, cached, written, reasoning, model=model)
