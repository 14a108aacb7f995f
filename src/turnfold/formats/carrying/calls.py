"""Ids and names of tool calls: one map of ids per file, so that every result finds its call and no id occurs twice."""

from __future__ import annotations

import re
from collections import deque

from turnfold.formats.carrying.options import digest_of

UNKNOWN_TOOL = "call_not_in_history"
"""Name of the call that is put in front of a result whose own call is missing: neither tool takes a result alone."""
NAME_CHARS_MAX = 128
"""Of a tool's name: both providers' APIs refuse a history with others."""
_plain = re.compile(r"[a-zA-Z0-9_-]+")
_other = re.compile(r"[^a-zA-Z0-9_-]")


def api_name(name: str) -> str:
    """Return a tool's name as an API takes it; what models have called tools in real files is not always one."""
    if _plain.fullmatch(name) and len(name) <= NAME_CHARS_MAX:
        return name
    return _other.sub("_", name)[:NAME_CHARS_MAX] or "tool"


class CallIds:
    """Gives calls and results their ids in the file, in the order of the conversation."""

    def __init__(self, chars_max: int) -> None:
        """Begin; ids are ASCII letters, digits, ``_`` and ``-``, at most so many."""
        self._chars_max = chars_max
        self._used: dict[str, int] = {}
        self._waiting: dict[str, deque[str]] = {}

    def call(self, call_id: str) -> str:
        """Return the id of a call: its own wherever that can be."""
        native = self._fresh(call_id)
        self._waiting.setdefault(call_id, deque()).append(native)
        return native

    def result(self, call_id: str) -> str | None:
        """Return the id of the call that a result answers, the first of that id without one; None where there is none."""
        waiting = self._waiting.get(call_id)
        return waiting.popleft() if waiting else None

    def _fresh(self, call_id: str) -> str:
        name = call_id
        if len(name) > self._chars_max or not _plain.fullmatch(name):
            name = f"call_{digest_of(call_id)[:24]}"
        base = name
        while name in self._used:
            self._used[base] += 1
            ending = f"_{self._used[base]}"
            name = base[: self._chars_max - len(ending)] + ending
        self._used[name] = 1
        return name
