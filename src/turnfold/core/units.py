"""What must stay together when events of a conversation are taken elsewhere: the events of one message, and a tool's call with its results."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from turnfold.model.event import Event
from turnfold.model.event_types import MESSAGE
from turnfold.model.message import decode_message


class Unit(msgspec.Struct, gc=False):
    """The events of one message, or one other event, with the calls that it makes and answers."""

    events: list[Event]
    role: str = ""
    calls: list[str] = []
    answers: list[str] = []

    @property
    def seqs(self) -> list[int]:
        """Places of its events."""
        return [event.seq for event in self.events]


def units_of(events: Sequence[Event]) -> list[Unit]:
    """Return the units of events in ascending order, each at the place of its first event; pins belong to none."""
    out: list[Unit] = []
    by_message: dict[tuple[str, str], Unit] = {}
    for event in events:
        if event.type == "pin":
            continue
        if event.type != MESSAGE:
            out.append(Unit([event]))
            continue
        message = decode_message(event.data_raw)
        name = None if event.message_id is None else (event.message_id, message.role)
        unit = None if name is None else by_message.get(name)
        if unit is None:
            unit = Unit([event], message.role)
            out.append(unit)
            if name is not None:
                by_message[name] = unit
        else:
            unit.events.append(event)
        unit.calls += [part.id for part in message.tool_calls]
        unit.answers += [part.id for part in message.tool_results]
    return out


def whole(units: Sequence[Unit], wanted: Collection[int], answered: Collection[str]) -> tuple[list[Unit], list[Unit], list[Unit]]:
    """Return the units to take, those to hold back, and those to leave.

    Args:
        units: All that could be taken, in order.
        wanted: Seqs of events that were chosen; the rest of their message, the calls of results and the results of calls come along.
        answered: Ids of calls from before these units that are answered where they go.

    Returns:
        Units to take; units at the end whose calls have no results yet, with what belongs to them; results of calls answered already.
    """
    links, open_calls, orphans = _links(units)
    left = {index for index, calls in orphans.items() if set(calls) <= set(answered) and set(units[index].answers) == set(calls)}
    held = _closure(_unfinished(units, open_calls), links)
    chosen = _closure({i for i, unit in enumerate(units) if any(seq in wanted for seq in unit.seqs)} - left, links)
    return (
        [unit for i, unit in enumerate(units) if i in chosen - held - left],
        [unit for i, unit in enumerate(units) if i in chosen & held],
        [unit for i, unit in enumerate(units) if i in left and any(seq in wanted for seq in unit.seqs)],
    )


def _links(units: Sequence[Unit]) -> tuple[dict[int, set[int]], set[int], dict[int, list[str]]]:
    """Return which units belong together, which have calls without results, and which have results without calls."""
    links: dict[int, set[int]] = {}
    waiting: dict[str, int] = {}
    orphans: dict[int, list[str]] = {}
    for index, unit in enumerate(units):
        for call in unit.answers:
            caller = waiting.pop(call, None)
            if caller is None:
                orphans.setdefault(index, []).append(call)
            elif caller != index:
                links.setdefault(caller, set()).add(index)
                links.setdefault(index, set()).add(caller)
        for call in unit.calls:
            waiting[call] = index
    return links, set(waiting.values()), orphans


def _unfinished(units: Sequence[Unit], open_calls: set[int]) -> set[int]:
    """The calls without results that nothing but tools, and other calls, came after: their results are still to come."""
    out: set[int] = set()
    for index in range(len(units) - 1, -1, -1):
        if index in open_calls:
            out.add(index)
        elif units[index].role not in {"tool", ""} and not units[index].calls:
            break
    return out


def _closure(indexes: set[int], links: dict[int, set[int]]) -> set[int]:
    out: set[int] = set()
    queue = list(indexes)
    while queue:
        index = queue.pop()
        if index not in out:
            out.add(index)
            queue += links.get(index, ())
    return out
