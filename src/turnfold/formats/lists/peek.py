"""Looks at the beginning of a file that may hold a list: its first items and the fields around them, though the file goes on."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

import msgspec

LIST_KEYS = ("messages", "input", "output", "items")
"""Fields of an envelope that hold the list, in the order in which they are read."""
ITEMS_MAX = 50
"""Items that are looked at to know a list."""
_decoder = json.JSONDecoder()
_space = re.compile(r"[\ufeff\s]*")
_token = re.compile(r'"(?:[^"\\]|\\.)*"|["\[\]{}]', re.DOTALL)
_CLOSERS = {"[": "]", "{": "}"}


class Peek(msgspec.Struct, frozen=True):
    """What a file's beginning shows.

    Attributes:
        items: The list's first items, objects only; empty where there is no list, or where one of its items is no object.
        envelope: The fields around the list, as far as they stand before the end of the head.
        by_line: One item per line, not one document.
    """

    items: tuple[dict[str, Any], ...] = ()
    envelope: dict[str, Any] = {}
    by_line: bool = False


@lru_cache(maxsize=4)
def peek(head: bytes) -> Peek:
    """Look at the first 64 KiB of a file."""
    text = head.decode(errors="replace")
    start = _after_space(text, 0)
    if text[start : start + 1] not in {"[", "{"}:
        return Peek()
    try:
        found = _value(text, start)
        value, end = found if found is not None else (_completed(text[start:]), len(text))
        if isinstance(value, list):
            return Peek(_objects(value))
        return _object(text, start, value, end) if isinstance(value, dict) else Peek()
    except RecursionError:
        return Peek()


def list_in(fields: dict[str, Any]) -> list[Any] | None:
    """Return the items of an envelope, or None where it holds no list. An answer of an API holds its messages in fields of its own."""
    lists = [fields[key] for key in LIST_KEYS if isinstance(fields.get(key), list)]
    if lists:
        asked = fields.get("input")  # the short form of a request: one text
        first = [{"role": "user", "content": asked}] if isinstance(asked, str) else []
        return [*first, *(item for items in lists for item in items)]
    choices = fields.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict) and isinstance(choices[0].get("message"), dict):
        return [choices[0]["message"]]
    return None


def around(fields: dict[str, Any]) -> dict[str, Any]:
    """Return an envelope's fields without its list."""
    return {key: value for key, value in fields.items() if key != "choices" and not (key in LIST_KEYS and isinstance(value, list | str))}


def _object(text: str, start: int, fields: dict[str, Any], end: int) -> Peek:
    """An envelope, or items one per line."""
    items = list_in(fields)
    if items is not None:
        return Peek(_objects(items), around(fields))
    lines = [fields]
    while len(lines) < ITEMS_MAX:
        begin = _after_space(text, end)
        found = _value(text, begin) if text[begin : begin + 1] == "{" and "\n" in text[end:begin] else None
        if found is None:
            break
        lines.append(found[0])
        end = found[1]
    return Peek(tuple(lines), {}, len(lines) > 1 or "\n" not in text[start:end])


def _objects(items: list[Any]) -> tuple[dict[str, Any], ...]:
    first = items[:ITEMS_MAX]
    return tuple(first) if all(isinstance(item, dict) for item in first) else ()


def _after_space(text: str, at: int) -> int:
    match = _space.match(text, at)
    return at if match is None else match.end()


def _value(text: str, at: int) -> tuple[Any, int] | None:
    """Decode one value; None where the text ends inside it or it is no JSON."""
    try:
        return _decoder.raw_decode(text, at)
    except ValueError:
        return None


def _completed(text: str) -> Any:
    """Decode a value that the text breaks off in, closed where it breaks off; None where that gives no JSON."""
    open_ones: list[str] = []
    in_string = False
    for match in _token.finditer(text):
        token = match[0]
        if token == '"':
            in_string = True
            break
        if token in _CLOSERS:
            open_ones.append(_CLOSERS[token])
        elif token in {"]", "}"} and (not open_ones or open_ones.pop() != token):
            return None
    closers = "".join(reversed(open_ones))
    for tail in ('"', '":null') if in_string else ("", "null", ":null"):
        found = _value((text if tail else text.rstrip().rstrip(",")) + tail + closers, 0)
        if found is not None:
            return found[0]
    return None
