"""Two branches side by side: their messages aligned, the keys whose values differ, what each has used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

import msgspec

from turnfold.core.merging import key_sides, same_value
from turnfold.limits import DIFF_PAIRS_MAX
from turnfold.model.answers import DiffRow
from turnfold.model.event import Event
from turnfold.model.message import Message
from turnfold.model.usage import NO_USAGE, Usage


def align(ours: Sequence[Message], theirs: Sequence[Message]) -> list[DiffRow]:
    """Return the messages of two branches in rows: equal ones beside each other, changed ones opposite, what one has alone by itself."""
    rough = len(ours) * len(theirs) > DIFF_PAIRS_MAX
    matcher = SequenceMatcher(None, [_looks(m) for m in ours], [_looks(m) for m in theirs], autojunk=rough)
    rows: list[DiffRow] = []
    for kind, first, last, other_first, other_last in matcher.get_opcodes():
        pairs = zip_longest(ours[first:last], theirs[other_first:other_last])
        rows += [DiffRow(mine, other, same=kind == "equal") for mine, other in pairs]
    return rows


def _looks(message: Message) -> bytes:
    """What makes two messages equal to a reader: who speaks, and what is said."""
    return msgspec.json.encode([message.role, message.name, message.parts])


def compare_state(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the keys whose values differ, each with base, ours and theirs (None where it is among ``missing``)."""
    keys = [key for key in sorted({*ours, *theirs}) if not (key in ours and key in theirs and same_value(ours[key], theirs[key]))]
    return [key_sides(key, base, ours, theirs) for key in keys]


def usage_of(events: Iterable[Event]) -> Usage:
    """Return what events add to the usage."""
    total = NO_USAGE
    for event in events:
        if event.usage:
            total += event.usage
    return msgspec.structs.replace(total, model="") if total.model else total
