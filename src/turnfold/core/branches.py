"""Views of branches: which stretches of the one log make up a branch, what it is called, and where two of them part.

A branch is stored under the name that it was created with, and its events carry that name for ever; renaming gives it a label. So a handle in
another process that knows the old name goes on writing to the same branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from turnfold.errors import NotFound
from turnfold.model.event import MAIN
from turnfold.model.session import Branch, Head


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


def key_of(head: Head, name: str) -> str:
    """Return the name that the events of a branch carry, for what it is called now. A name that nobody has is returned as it is."""
    entry = head.entry("branch_name", name)
    return name if entry is None or entry.value is None else msgspec.json.decode(entry.value, type=str)


def labels_of(head: Head) -> dict[str, str]:
    """What renamed branches are called now, by the names that their events carry."""
    return {name: msgspec.json.decode(entry.value or b"", type=str) for name, entry in head.named("branch_label").items()}


def named_branches(head: Head, branches: Mapping[str, Branch]) -> list[Branch]:
    """Return all branches as people call them, ``main`` first, then in order of their creation."""
    labels, abandoned = labels_of(head), head.named("abandoned")
    ordered = sorted(branches.values(), key=lambda branch: branch.created_seq)
    return [
        msgspec.structs.replace(
            branch,
            name=labels.get(branch.name, branch.name),
            parent=None if branch.parent is None else labels.get(branch.parent, branch.parent),
            created_as=branch.name if branch.name in labels else None,
            abandoned=branch.name in abandoned,
        )
        for branch in (Branch(MAIN), *ordered)
    ]


class Place(NamedTuple):
    """A seq on a branch."""

    branch: str
    seq: int


def lineage(branches: Mapping[str, Branch], name: str) -> list[Branch]:
    """Return a branch and what it came from: itself first, ``main`` last.

    Raises:
        NotFound: No such branch.
    """
    out: list[Branch] = []
    while name != MAIN:
        branch = branches.get(name)
        if branch is None:
            raise NotFound(f"there is no branch {name!r}", branch=name)
        out.append(branch)
        name = branch.parent or MAIN
    return [*out, Branch(MAIN)]


def common_ancestor(branches: Mapping[str, Branch], ours: str, theirs: str, last_seq: int) -> Place:
    """Return the last place that the views of two branches share.

    Args:
        branches: All branches of the session by name, without ``main``.
        ours: A branch.
        theirs: Another, or the same.
        last_seq: The end of the session.

    Returns:
        The place; seq 0 of ``main`` where they share nothing.
    """
    base = Place(MAIN, 0)
    for mine, other in zip(segments(branches, ours), segments(branches, theirs), strict=False):
        if (mine.branch, mine.after) != (other.branch, other.after):
            break
        ends = [part.upto for part in (mine, other) if part.upto is not None]
        base = Place(mine.branch, min(ends) if ends else last_seq)
        if mine.upto != other.upto:
            break
    return base
