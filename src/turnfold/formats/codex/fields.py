"""What only rollouts have: exit codes inside outputs, and token counts."""

from __future__ import annotations

import re
from typing import Any

from turnfold.formats.fields import count_of
from turnfold.model.usage import Usage

_exit_code = re.compile(r'(?:Process exited with code |^Exit code: |"exit_code":)(-?\d{1,10})\b', re.MULTILINE)
EXIT_CODE_SEARCH_CHARS = 400
"""How far into an output the exit code is looked for, from either end: the CLI writes it before or after the tool's own text."""


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
