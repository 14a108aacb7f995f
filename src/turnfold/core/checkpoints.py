"""Which checkpoint a new one follows, which ones make room for it, and when the next automatic one is due."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from turnfold.core.branches import segments
from turnfold.errors import LimitExceeded
from turnfold.model import event_types as t
from turnfold.model.event import NewEvent
from turnfold.model.session import Branch, Checkpoint

MANUAL = "manual"
AUTO = "auto"
SAFETY = "safety"


def parent_of(marks: Iterable[Checkpoint], branches: Mapping[str, Branch], branch: str) -> str | None:
    """Return the name of the newest checkpoint that a branch has in its past, None where it has none."""
    ends = {part.branch: part.upto for part in segments(branches, branch)}
    past = [mark for mark in marks if mark.branch in ends and ((end := ends[mark.branch]) is None or mark.seq <= end)]
    return max(past, key=lambda mark: (mark.seq, mark.created_seq)).name if past else None


def evicted(marks: Collection[Checkpoint], value: int | None, *, keep: Collection[str] = ()) -> list[Checkpoint]:
    """Return the checkpoints that must go so that one more fits: automatic ones and safety copies, oldest first.

    Args:
        marks: All checkpoints of the session.
        value: ``checkpoints_max``; None is no limit.
        keep: Names that stay whatever happens.

    Raises:
        LimitExceeded: There are not enough of them: what somebody named is never dropped to make room.
    """
    surplus = 0 if value is None else len(marks) + 1 - value
    if surplus <= 0:
        return []
    droppable = sorted((m for m in marks if m.kind != MANUAL and m.name not in keep), key=lambda m: m.created_seq)
    if surplus > len(droppable):
        raise LimitExceeded(f"checkpoints_max is {value}", limit="checkpoints_max", value=value)
    return droppable[:surplus]


def created(mark: Checkpoint) -> NewEvent:
    """The event that makes a checkpoint."""
    data = t.CheckpointCreated(name=mark.name, branch=mark.branch, at_seq=mark.seq, parent=mark.parent, kind=mark.kind)
    return NewEvent(type="checkpoint", data=data, visibility="none")


def deleted(mark: Checkpoint) -> NewEvent:
    """The event that takes a checkpoint away; what it pointed to stays."""
    data = t.CheckpointCreated(name=mark.name, branch=mark.branch, at_seq=mark.seq, deleted=True, kind=mark.kind)
    return NewEvent(type="checkpoint", data=data, visibility="none")


def due(turn_count: int, interval: int, names: Collection[str]) -> str | None:
    """Return the name of the automatic checkpoint that a session of so many turns should have and has not, or None.

    Args:
        turn_count: Turns of the session.
        interval: Turns from one automatic checkpoint to the next.
        names: Names that checkpoints have. A later automatic one counts as this one: it was made and dropped.
    """
    number = turn_count // interval * interval
    made = [int(name[len(_NAMED) :]) for name in names if name.startswith(_NAMED) and name[len(_NAMED) :].isdecimal()]
    return f"{_NAMED}{number}" if number and all(other < number for other in made) else None


_NAMED = "auto-turn-"
