"""What compactions leave of a view: one rule for the window and for what is carried to another tool.

A compaction stands for the seqs ``first_seq..last_seq`` of its branch but for those that it keeps; None are all before it. What was left out
by an earlier one stays out. The source's own ``replacement`` stands for everything before the compaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from turnfold.model.event_types import Compaction

COMPACTION = "compaction"


class Placed(Protocol):
    """Anything of a view with a place."""

    @property
    def seq(self) -> int:
        """Its seq."""
        ...


T = TypeVar("T", bound=Placed)


class Span(NamedTuple):
    """The seqs that a compaction stands for."""

    first_seq: int
    last_seq: int
    keeps: frozenset[int]

    def __contains__(self, seq: object) -> bool:
        """Whether the compaction stands for what is at ``seq``."""
        return isinstance(seq, int) and self.first_seq <= seq <= self.last_seq and seq not in self.keeps

    @property
    def reach_seq(self) -> int:
        """The seq from which on a view has to be known to say what the compaction leaves of it; 1 where it does not go back to the start."""
        return 1 if self.first_seq > 1 else min([self.last_seq + 1, *(seq for seq in self.keeps if seq <= self.last_seq)])


def span_of(data: Compaction, seq: int) -> Span:
    """Return what the compaction at ``seq`` stands for."""
    if data.replacement:
        return Span(0, seq - 1, frozenset())
    last = seq - 1 if data.last_seq is None else data.last_seq
    return Span(data.first_seq or 0, last, frozenset(data.keeps))


def split(items: Iterable[T], span: Span) -> tuple[list[T], list[T]]:
    """Leave out what a compaction stands for.

    Args:
        items: What there was before it, oldest first.
        span: What it stands for.

    Returns:
        What it keeps from before the last item that it stands for (the user's messages, with some tools), and what it keeps from after.
    """
    before: list[T] = []
    after: list[T] = []
    for item in items:
        if item.seq in span:
            before += after
            after = []
        else:
            after.append(item)
    return before, after


def compacted(items: Iterable[T], spans: dict[int, Span], pinned: frozenset[int] | Sequence[int] = frozenset()) -> list[T]:
    """Return what is left of a view, its compactions among it, each where its summary belongs.

    Args:
        items: The view, compactions among it, oldest first.
        spans: Seq of a compaction → what it stands for.
        pinned: Seqs that stay whatever stands for them.
    """
    left: list[T] = []
    for item in items:
        span = spans.get(item.seq)
        if span is None:
            left.append(item)
        else:
            before, after = split(left, span._replace(keeps=span.keeps.union(pinned)) if pinned else span)
            left = [*before, item, *after]
    return left
