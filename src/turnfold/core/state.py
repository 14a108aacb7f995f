"""Session state of a branch out of head entries: its own, then an ancestor's that is not newer than the fork."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from turnfold.core.branches import segments
from turnfold.core.fold import payload_of
from turnfold.model.event import Event
from turnfold.model.session import Branch, Entry

_decode = msgspec.json.Decoder().decode


def keyed_entries(
    entries: Iterable[Entry],
    kind: str,
    branches: Mapping[str, Branch],
    branch: str,
) -> tuple[dict[str, bytes | None], bool]:
    """Return the values of a branch-keyed kind, and whether they are all there is to know.

    An ancestor's entry that was overwritten after the fork hides what the branch should see; then the answer is not exact (False) and the
    caller folds the events of the branch's view instead.
    """
    by_branch: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.kind == kind:
            by_branch.setdefault(entry.branch, []).append(entry)
    values: dict[str, bytes | None] = {}
    exact = True
    for part in segments(branches, branch):
        for entry in by_branch.get(part.branch, ()):
            if part.upto is not None and entry.seq > part.upto:
                exact = False
            else:
                values[entry.name] = entry.value
    return values, exact


def fold_state(events: Iterable[Event]) -> dict[str, Any]:
    """Fold ``state.set`` events, ascending, into the values of the session scope."""
    values: dict[str, Any] = {}
    for event in events:
        data = payload_of(event)
        values.update(data.values)
        for key in data.removed:
            values.pop(key, None)
    return values


def fold_pins(events: Iterable[Event]) -> set[int]:
    """Fold ``pin`` and ``unpin`` events, ascending."""
    pins: set[int] = set()
    for event in events:
        (pins.add if event.type == "pin" else pins.discard)(payload_of(event).target_seq)
    return pins


def decode_values(values: Mapping[str, bytes | None]) -> dict[str, Any]:
    """Decode the live values."""
    return {name: _decode(value) for name, value in values.items() if value is not None}
