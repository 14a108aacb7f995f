"""What the arguments of a tool call say to a reader: the most telling one on a line, and all of them as an outline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from turnfold.formats.phrases import one_line

FIELD_KINDS: Final = {"old_string": "removed", "new_string": "added", "patch": "diff", "diff": "diff"}
"""Names of arguments that are no plain text."""
OUTLINE_DEPTH_MAX: Final = 8
"""Levels of a value that are said as an outline; a deeper one is left to JSON."""
DIGITS_BITS_MAX: Final = 8_192
"""Python refuses to write integers of more than 4,300 digits."""
_TELLING: Final = ("command", "cmd", "pattern", "query", "file_path", "path", "filename", "url", "description", "prompt", "skill", "input")
_UNTELLING: Final = frozenset({"type", "id", "status", "name"})


def gist(arguments: Any) -> str:
    """Return the most telling argument of a call on one line; empty where there is none."""
    if isinstance(arguments, str):
        return one_line(_patched(arguments))
    if not isinstance(arguments, Mapping):
        return ""
    for name in (*_TELLING, *(name for name in arguments if name not in _UNTELLING)):
        value = arguments.get(name)
        if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
            value = value[-1] if name in {"command", "cmd"} else " ".join(value)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):  # questions, tasks, plans: by the first one
            value = value[0]
        if isinstance(value, Mapping):
            value = next((inner for key, inner in value.items() if isinstance(inner, str) and key not in _UNTELLING), None)
        if isinstance(value, str) and value.strip():
            return one_line(value)
    return ""


def _patched(text: str) -> str:
    """The files that a patch names, else the text."""
    if not text.startswith("*** Begin Patch"):
        return text
    marks = ("*** Update File: ", "*** Add File: ", "*** Delete File: ")
    names = [line[len(mark) :] for line in text.split("\n") for mark in marks if line.startswith(mark)]
    return ", ".join(names) or text


def outlined(value: Any, depth: int = 0) -> list[str] | None:
    """Say a list or an object as indented lines, names and texts without quotes; None where it is too deep or not of JSON's types."""
    if isinstance(value, str):
        return value.strip("\n").split("\n")
    if value is None or isinstance(value, bool | int | float):
        if isinstance(value, int) and value.bit_length() > DIGITS_BITS_MAX:
            return None
        return ["null" if value is None else str(value).lower()]
    if depth >= OUTLINE_DEPTH_MAX or not isinstance(value, list | Mapping):
        return None
    out: list[str] = []
    for name, inner in value.items() if isinstance(value, Mapping) else (("-", inner) for inner in value):
        lines = outlined(inner, depth + 1)
        if lines is None:
            return None
        label = "-" if isinstance(value, list) else f"{name}:"
        if not lines or (len(lines) == 1 and not isinstance(inner, Mapping)) or label == "-":
            out.append(f"{label} {lines[0] if lines else '(empty)'}")
            out += [f"  {line}" for line in lines[1:]]
        else:
            out += [label, *(f"  {line}" for line in lines)]
    return out
