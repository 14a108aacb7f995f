"""Views of branches: which stretches of the one log make up a branch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from turnfold.errors import NotFound
from turnfold.model.event import MAIN
from turnfold.model.session import Branch


class Segment(NamedTuple):
    """Events of ``branch`` with ``after`` < seq ≤ ``upto`` (None: open end)."""

    branch: str
    after: int
    upto: int | None


def segments(branches: Mapping[str, Branch], name: str) -> tuple[Segment, ...]:
    """Return the stretches of a branch's view, oldest first.

    Args:
        branches: All branches of the session by name, without ``main``, which has no parent.
        name: The branch to look at.

    Raises:
        NotFound: No such branch.
    """
    out: list[Segment] = []
    upto: int | None = None
    while name != MAIN:
        branch = branches.get(name)
        if branch is None:
            raise NotFound(f"there is no branch {name!r}", branch=name)
        out.append(Segment(name, branch.fork_seq, upto))
        upto = branch.fork_seq if upto is None else min(upto, branch.fork_seq)
        name = branch.parent or MAIN
    out.append(Segment(MAIN, 0, upto))
    out.reverse()
    return tuple(segment for segment in out if segment.upto is None or segment.upto > segment.after)


def view_of(branches: Mapping[str, Branch], asked: str | None, active: str) -> tuple[Segment, ...] | None:
    """Return the view that ``EventQuery.branch`` asks for: None is the whole session, ``""`` the active branch.

    A session without forks has one line, which is the whole session too.
    """
    if asked is None or (not branches and asked in {"", MAIN}):
        return None
    return segments(branches, asked or active)


def in_view(view: tuple[Segment, ...], branch: str, seq: int) -> bool:
    """Whether an event of that branch and seq belongs to the view."""
    return any(part.branch == branch and part.after < seq and (part.upto is None or seq <= part.upto) for part in view)


def owner_of(branches: Mapping[str, Branch], name: str, seq: int) -> str:
    """The branch on which the view of ``name`` has the place ``seq``: where a fork at that place hangs."""
    for part in segments(branches, name):
        if part.after < seq and (part.upto is None or seq <= part.upto):
            return part.branch
    return name
