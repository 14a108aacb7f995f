"""Several copies of one growing list of messages, woven into one history: what checkpoints and snapshots of other tools are.

The newest copy is the history's end. An older copy that begins before it (the tool has trimmed its front since) is put in front; one that is a
part of it is a place in it; one that says something else from some message on is a branch there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Placed(NamedTuple):
    """Where a copy is in the history.

    Attributes:
        through: How many messages of the history the copy agrees with, counted from the history's start; the copy ends there or branches off.
        rest: The copy's own messages after that.
        changed: Messages of the copy that are the same ones with other content: index in the copy → the copy's.
    """

    through: int
    rest: list[Any]
    changed: dict[int, Any]


class Woven(NamedTuple):
    """A history and where its copies are in it; ``window_start`` messages at its front are no longer in the newest copy."""

    messages: list[Any]
    window_start: int
    placed: list[Placed]


def weave(newest: Sequence[Any], older: Sequence[Sequence[Any]], key: Callable[[Any], str]) -> Woven:
    """Weave copies into a history.

    Args:
        newest: The newest copy.
        older: The others, oldest first; ``placed`` is in this order.
        key: What makes two messages the same one.
    """
    history = list(newest)
    keys = [key(message) for message in history]
    starts: list[tuple[int, int]] = []  # (start counted from the history's end, agreeing length)
    for copy in reversed(older):
        copy_keys = [key(message) for message in copy]
        front = _overhang(copy_keys, keys)
        if front:
            history[:0] = copy[:front]
            keys[:0] = copy_keys[:front]
        start = keys.index(copy_keys[0]) if copy_keys and copy_keys[0] in keys else 0
        agreeing = _agreeing(copy_keys, keys[start:])
        starts.append((len(history) - start, agreeing))
    placed = []
    for copy, (from_end, agreeing) in zip(older, reversed(starts), strict=True):
        start = len(history) - from_end
        changed = {index: copy[index] for index in range(agreeing) if copy[index] != history[start + index]}
        placed.append(Placed(start + agreeing if copy else 0, list(copy[agreeing:]), changed))
    return Woven(history, len(history) - len(newest), placed)


def _overhang(copy: Sequence[str], keys: Sequence[str]) -> int:
    """How many of a copy's first messages were before the history's first: all of them where the two have nothing in common."""
    if not copy or copy[0] in keys:
        return 0
    if not keys:
        return len(copy)
    known = set(keys)
    for index, one in enumerate(copy):
        if one == keys[0]:
            return index
        if one in known:  # it begins otherwise and meets the history in its middle: a branch from its very start
            return 0
    return len(copy)


def _agreeing(copy: Sequence[str], keys: Sequence[str]) -> int:
    count = 0
    for ours, theirs in zip(keys, copy, strict=False):
        if ours != theirs:
            break
        count += 1
    return count
