"""Copies that merges made, and what they are copies of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from turnfold.core.branches import Place
from turnfold.model.event import Event

MERGED = "merged"
"""Key of an event's meta: the branch and seq of the original that it is a copy of."""


def origin_of(event: Event) -> Place:
    """Return the place of the event that this one is a copy of, or its own."""
    if event.meta_raw is not None and b'"merged"' in event.meta_raw:
        merged = event.meta.get(MERGED)
        if isinstance(merged, dict) and isinstance(merged.get("seq"), int):
            return Place(str(merged.get("branch", "")), merged["seq"])
    return Place(event.branch, event.seq)


def kin_of(targets: Iterable[Event], everything: Sequence[Event]) -> list[Event]:
    """Return events with all their copies and originals, ascending.

    Args:
        targets: Some events of a session.
        everything: All of them.
    """
    origins = {origin_of(event).seq for event in targets}
    return [event for event in everything if origin_of(event).seq in origins]
