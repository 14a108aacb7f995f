"""Merging a branch into another: what comes over, what stays, and what has to be decided.

Theory of operation. A merge never moves or hides an event. It appends to the target branch copies of what the source shows after the place where
the two part, one ``state.set`` with what the source changed, and a ``branch.merged`` event that says where they part, up to where the source
was looked at, and which originals came. Every copy names its original (``meta.merged``). So what has come already is known from the target's own
view: merging again brings what is new and nothing else, also where copies came by a detour over a third branch, and a branch that was restored
to a place before the merge can have it again.

Messages, context and an application's own events come. What the log says about the session as a whole (title, tags, runs, usage) holds for every
branch already, and what says something about places of the source (retractions, compactions) is applied to what comes instead of being copied.

State is merged three ways by key: what only the source changed since the base comes, what both changed to different values is a conflict. The
base is the source as the last merge between the two saw it, else where they part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from turnfold.core.branches import Place, in_view, segments
from turnfold.core.fold import payload_of
from turnfold.core.origins import MERGED, origin_of
from turnfold.core.transcript import show
from turnfold.core.units import Unit, units_of, whole
from turnfold.errors import InvalidInput, MergeConflict
from turnfold.model import event_types as t
from turnfold.model.event import Event, NewEvent
from turnfold.model.event_types import KNOWN_TYPES, MESSAGE
from turnfold.model.message import Message
from turnfold.model.session import Branch

Choice: TypeAlias = Literal["ours", "theirs", "both"]
CHOICES: tuple[Choice, ...] = ("ours", "theirs", "both")
StatePolicy: TypeAlias = Choice | Mapping[str, Choice]
"""What to do about keys that both sides changed: one choice for all of them, or one by key."""

_SHOWN = frozenset({MESSAGE, "context"})
_LEFT_OUT = KNOWN_TYPES - _SHOWN - {"pin"}


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One branch of a merge, as a strategy sees it.

    Attributes:
        branch: What the branch is called.
        events: What it shows after the base, oldest first; of the source only what the target has not got yet.
        state: Its state now.
    """

    branch: str
    events: tuple[Event, ...] = ()
    state: Mapping[str, Any] = {}


class MergeSides(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge has to decide about.

    Attributes:
        source: The branch that is merged.
        target: The branch that it is merged into.
        base_seq: The last event that both share.
        base_state: The state that both began from.
    """

    source: Side
    target: Side
    base_seq: int
    base_state: Mapping[str, Any] = {}


class StateMerge(msgspec.Struct, frozen=True, kw_only=True):
    """How the target's state changes, and what was chosen for keys that both sides had changed."""

    values: Mapping[str, Any] = {}
    removed: tuple[str, ...] = ()
    choices: Mapping[str, Choice] = {}


class MergePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy decided.

    Attributes:
        events: Of the source's events those that come, in any order; calls and results that belong to them come along.
        state: None leaves the target's state alone, and the next merge will ask again.
        extra: Written after the copies: a summary instead of them, a note.
        covers: Events that count as merged although they do not come; None are those of ``events`` alone.
    """

    events: Sequence[Event] = ()
    state: StateMerge | None = None
    extra: Sequence[Message | NewEvent] = ()
    covers: Sequence[Event] | None = None


class MergeStrategy(Protocol):
    """Decides what a merge brings. Must be pure: it is asked again when the session has moved on meanwhile."""

    def plan(self, sides: MergeSides) -> MergePlan:
        """Return what comes.

        Raises:
            MergeConflict: It cannot be decided.
        """
        ...


class Append(msgspec.Struct, frozen=True):
    """Bring everything that the source has and the target has not, in the source's order; ``state`` decides about conflicts."""

    state: StatePolicy | None = None

    def plan(self, sides: MergeSides) -> MergePlan:
        """See ``MergeStrategy``."""
        return MergePlan(events=sides.source.events, state=merge_state(sides, self.state))


class Selective(msgspec.Struct, frozen=True):
    """Bring chosen events, by id or seq, with what belongs to them; state only if ``state`` says how."""

    chosen: tuple[str | int, ...]
    state: StatePolicy | None = None

    def plan(self, sides: MergeSides) -> MergePlan:
        """See ``MergeStrategy``."""
        events = [event for event in sides.source.events if event.id in self.chosen or event.seq in self.chosen]
        return MergePlan(events=events, state=None if self.state is None else merge_state(sides, self.state))


def strategy_of(strategy: str | MergeStrategy, events: tuple[str | int, ...], state: StatePolicy | None) -> MergeStrategy:
    """Return the strategy that a caller means.

    Args:
        strategy: ``append``, ``selective``, one of ``ours``, ``theirs`` and ``both`` (append, with that choice for state), or one's own.
        events: For ``selective``: ids or seqs.
        state: What to do about keys that both sides changed.

    Raises:
        InvalidInput: There is no such strategy or choice, or it does not go with the other arguments.
    """
    for choice in () if state is None else (state,) if isinstance(state, str) else state.values():
        if choice not in CHOICES:
            raise InvalidInput(f"state can be merged by {', '.join(CHOICES)}, not by {choice!r}")
    if not isinstance(strategy, str):
        if events or state is not None:
            raise InvalidInput("a strategy of your own gets no events and no state policy", hint="give them to the strategy itself")
        return strategy
    if strategy == "selective":
        return Selective(events, state)
    if events:
        raise InvalidInput(f"the strategy {strategy!r} takes no events", hint="choose events with strategy='selective'")
    if strategy == "append":
        return Append(state)
    for choice in CHOICES:
        if strategy == choice:
            return Append(choice if state is None else state)
    raise InvalidInput(
        f"there is no merge strategy {strategy!r}", hint=f"append, selective, {', '.join(CHOICES)}, or an object with plan()"
    )


def merge_state(sides: MergeSides, policy: StatePolicy | None = None) -> StateMerge:
    """Merge the source's state into the target's, three ways by key.

    Args:
        sides: The two states and their base.
        policy: What to do about keys that both changed: keep ``ours`` (the target's), take ``theirs``, or keep ``both``: ours under the key,
            theirs under ``key@source``.

    Raises:
        MergeConflict: There are such keys and the policy does not say; names each with base, ours and theirs (None where it is ``missing``).
    """
    base, ours, theirs = sides.base_state, sides.target.state, sides.source.state
    values: dict[str, Any] = {}
    removed: list[str] = []
    choices: dict[str, Choice] = {}
    conflicts: list[dict[str, Any]] = []
    for key in sorted({*base, *theirs}):
        before, mine, other = (state.get(key, _MISSING) for state in (base, ours, theirs))
        if same_value(other, before) or same_value(other, mine):
            continue
        if not same_value(mine, before):
            choice = policy if isinstance(policy, str) else (policy or {}).get(key)
            if choice is None:
                conflicts.append(key_sides(key, base, ours, theirs))
                continue
            choices[key] = choice
            if choice == "ours":
                continue
            if choice == "both" and mine is not _MISSING:
                if other is not _MISSING:
                    values[f"{key}@{sides.source.branch}"] = other
                continue
        if other is _MISSING:
            removed.append(key)
        else:
            values[key] = other
    if conflicts:
        keys = ", ".join(repr(conflict["key"]) for conflict in conflicts)
        raise MergeConflict(
            f"both {sides.target.branch!r} and {sides.source.branch!r} changed {keys}",
            conflicts=conflicts,
            hint="choose with state='ours', 'theirs' or 'both', for all keys or by key",
        )
    return StateMerge(values=values, removed=tuple(removed), choices=choices)


_MISSING: Any = object()


def same_value(one: Any, other: Any) -> bool:
    """Whether two state values are the same JSON."""
    if one is _MISSING or other is _MISSING:
        return one is other
    return bool(msgspec.json.encode(one, order="deterministic") == msgspec.json.encode(other, order="deterministic"))


def key_sides(key: str, base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a key with its value at the base and on both sides; ``missing`` names the sides that have no such key (JSON null is a value)."""
    sides = {"base": base, "ours": ours, "theirs": theirs}
    return {"key": key, **{name: state.get(key) for name, state in sides.items()}, "missing": [n for n, s in sides.items() if key not in s]}


def brought_by(merges: Sequence[Event]) -> set[int]:
    """Return the seqs of all originals that a view's ``branch.merged`` events brought."""
    out: set[int] = set()
    for event in merges:
        for first, last in payload_of(event).brought:
            out.update(range(first, last + 1))
    return out


def ranges_of(seqs: Collection[int]) -> list[tuple[int, int]]:
    """Return seqs as inclusive pairs of first and last."""
    out: list[tuple[int, int]] = []
    for seq in sorted(seqs):
        if out and out[-1][1] == seq - 1:
            out[-1] = (out[-1][0], seq)
        else:
            out.append((seq, seq))
    return out


def fresh(events: Sequence[Event], branches: Mapping[str, Branch], target: str, brought: Collection[int]) -> tuple[Event, ...]:
    """Return what a source shows and a target has not got, oldest first: neither itself nor by a copy.

    Args:
        events: The source's events after the base, ascending.
        branches: All branches of the session.
        target: The target.
        brought: Seqs of originals that earlier merges brought to it.
    """
    view = segments(branches, target)
    out: list[Event] = []
    for event in shown_of(events):
        origin = origin_of(event)
        if origin.seq not in brought and not in_view(view, origin.branch, origin.seq):
            out.append(event)
    return tuple(out)


def shown_of(events: Sequence[Event]) -> list[Event]:
    """Return the events that a merge can bring: those that are neither retracted, rolled back nor redacted, nor about the session itself."""
    starts: dict[str, int] = {}
    kept = set()
    for shown in show(events, _SHOWN):
        kept.add(shown.seq)
    for event in events:
        if event.seq in kept and event.message_id is not None:
            starts[event.message_id] = event.seq
    out: list[Event] = []
    for event in events:
        if event.redacted or event.type in _LEFT_OUT:
            continue
        if event.type in _SHOWN and event.seq not in kept and not starts.get(event.message_id or "", event.seq + 1) <= event.seq:
            continue
        out.append(event)
    return out


def state_base(merges: Sequence[Event], branches: Mapping[str, Branch], source: str, target: str, parted: Place) -> Place:
    """Return the place whose state both sides began from: what the last merge of state between them saw, else where they part.

    Args:
        merges: The ``branch.merged`` events of both views.
        branches: All branches of the session.
        source: The branch that is merged.
        target: The branch that it is merged into.
        parted: Where they part.
    """
    best, best_seq = parted, parted.seq
    for event in merges:
        data = payload_of(event)
        if data.state_seq is None or event.seq <= best_seq:
            continue
        other = target if in_view(segments(branches, source), event.branch, event.seq) else source
        for part in segments(branches, other):
            if part.branch == data.source:
                seq = data.state_seq if part.upto is None else min(data.state_seq, part.upto)
                best, best_seq = Place(part.branch, seq), event.seq
    return best


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A merge ready to be written.

    Attributes:
        items: Events to commit, the ``branch.merged`` event last; none where there is nothing to do.
        seqs: Seqs of the originals that come.
        held: Seqs of calls at the source's end that have no answer yet: they come with their results, by a later merge.
        left: Seqs of results that answer a call which the target has answered itself.
        state: What happens to the state.
    """

    items: tuple[Message | NewEvent, ...] = ()
    seqs: tuple[int, ...] = ()
    held: tuple[int, ...] = ()
    left: tuple[int, ...] = ()
    state: StateMerge = StateMerge()


def planned(sides: MergeSides, plan: MergePlan, *, merged: t.BranchMerged, target: str, first_seq: int) -> Planned:
    """Return the events of a merge.

    Args:
        sides: What there was to decide about.
        plan: What was decided.
        merged: The record of the merge, to be completed.
        target: Name of the target branch as its events carry it.
        first_seq: The seq that the first item will get.

    Raises:
        InvalidInput: The plan brings what the source has not.
    """
    wanted = {event.seq for event in plan.events}
    strange = wanted - {event.seq for event in sides.source.events}
    if strange:
        raise InvalidInput(
            f"a merge cannot bring {sorted(strange)}: the source has no such new events", hint="plan with sides.source.events"
        )
    units, pins = units_of(sides.source.events), [event for event in sides.source.events if event.type == "pin"]
    chosen, held, left = whole(units, wanted, answers_of(sides.target.events))
    copies = [event for unit in chosen for event in unit.events]
    copies.sort(key=lambda event: event.seq)
    items: list[Message | NewEvent] = [_copy(event, target) for event in copies]
    places = {event.seq: first_seq + index for index, event in enumerate(copies)}
    for event in pins:
        if event.seq in wanted:
            seq = payload_of(event).target_seq
            goal = places.get(seq, seq if seq <= sides.base_seq else 0)
            if goal:
                items.append(NewEvent(type="pin", data=t.Pin(target_seq=goal), visibility="none", branch=target))
    items += [_on(item, target) for item in plan.extra]
    state = plan.state or StateMerge()
    if state.values or state.removed:
        data = t.StateSet(values=dict(state.values), removed=list(state.removed))
        items.append(NewEvent(type="state.set", data=data, visibility="none", branch=target))
    covered = [*(plan.events if plan.covers is None else plan.covers), *copies]
    behind = {seq for unit in held for seq in unit.seqs}
    brought = {origin_of(event).seq for event in covered if event.seq not in behind}
    moved = plan.state is not None and not _equal(sides.base_state, sides.source.state)
    if not (items or brought or moved):
        return Planned(held=_seqs(held), left=_seqs(left))
    merged.brought = ranges_of(brought)
    merged.choices = dict(state.choices)
    merged.state_seq = None if plan.state is None else merged.source_seq
    items.append(NewEvent(type="branch.merged", data=merged, visibility="none", branch=target))
    return Planned(items=tuple(items), seqs=tuple(sorted(places)), held=_seqs(held), left=_seqs(left), state=state)


def _seqs(units: Sequence[Unit]) -> tuple[int, ...]:
    return tuple(sorted(seq for unit in units for seq in unit.seqs))


def _equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(same_value(value, other[key]) for key, value in one.items())


def answers_of(events: Sequence[Event]) -> set[str]:
    """Return the ids of calls that these events answer."""
    return {call for unit in units_of(events) for call in unit.answers}


def _on(item: Message | NewEvent, target: str) -> NewEvent:
    if isinstance(item, Message):
        return NewEvent(type=MESSAGE, data=item, branch=target)
    return msgspec.structs.replace(item, branch=target)


def _copy(event: Event, target: str) -> NewEvent:
    """A copy for another branch. What it cost was counted with the original, and its source line belongs to that."""
    origin = origin_of(event)
    return NewEvent(
        type=event.type,
        data=event.data_raw,
        at=event.at_us,
        version=event.version,
        branch=target,
        run_id=event.run_id,
        actor=event.actor,
        causation_id=event.id,
        correlation_id=event.correlation_id,
        message_id=event.message_id,
        block_index=event.block_index,
        visibility=event.visibility,  # type: ignore[arg-type]
        visible_to=event.visible_to,
        hidden_from=event.hidden_from,
        meta={**event.meta, MERGED: {"branch": origin.branch, "seq": origin.seq}},
        message_count=event.message_count,
        turn_count=event.turn_count,
        token_count=event.token_count,
    )
