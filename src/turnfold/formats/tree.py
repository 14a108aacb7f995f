"""Which branch a line belongs to: a tree of parent links (Claude Code's, Pi's) laid along one log.

Lines come in file order. A **group** is a step of the conversation with all that hangs below it before the next step: a prompt, or an
API message (several lines) with its tool results, hooks and progress, whatever they hang on exactly; parallel tool calls make no branches.
A group is a stretch of its branch from its first seq to the next group's. A new step whose parent lies in the last group of its parent's
branch goes on there; one whose parent lies further back starts a branch behind the parent's group. Lines that are no steps never start one:
when they come late they are appended to their parent's branch and count, for what hangs on them, as if they stood at their parent's place.

The first step after a root (``parentUuid: null``) that is not the first in the file begins a branch with nothing before it, as the tool
sends none of it to the model; a compact boundary, although a root too, goes on where it stands. Lines whose parent is unknown go on where the
conversation is. Subagents inside the file (``isSidechain``) are branches of their own.

Everything that decides is in ``state`` or is answered alike by memory and ``find``, so a file read in portions gives the same tree.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, NamedTuple

from turnfold.formats.base import Find, Place
from turnfold.model.event import MAIN

RECENT_MAX = 48
"""Lines whose places are kept in the state, so that a file that grows needs no look-up."""
PLACES_MAX = 20_000
"""Lines whose places are kept in memory (250 bytes each); older ones are looked up through ``find``."""
MOVED_MAX = 256
"""Lines that count as standing elsewhere (late and preserved ones)."""
GROUPS_MAX = 256
"""Ends of groups that are known; a branch from before them starts at the parent itself instead of behind its group."""
TIPS_MAX = 64
"""Branches that can be gone on with; a step on an older one starts a branch."""
NAMES_MAX = 1_000
AWAITED_MAX = 64

SIDECHAIN = "sidechain-"
_START = Place(0, MAIN)


class Kind(Enum):
    """What a line is to the tree."""

    STEP = "step"
    """Begins a group: a prompt, the first line of an API message."""
    NOTE = "note"
    """Injected for the model: part of the group that it hangs on, but begins a branch where that is not the last one."""
    PART = "part"
    """Belongs to its parent's group: more of a message, results, progress, hooks."""
    BOUNDARY = "boundary"
    """A compaction: a root that goes on."""


class Link(NamedTuple):
    """The tree fields of a line. ``parent``: uuid, None for a root, "" where the line says nothing about it."""

    uuid: str
    parent: str | None
    kind: Kind
    sidechain: bool = False
    crc: int = 0


class Fork(NamedTuple):
    """A branch to create in front of a line."""

    name: str
    parent: str
    fork_seq: int


class Tree:
    """Places of lines and tips of branches."""

    def __init__(self, state: dict[str, Any], find: Find) -> None:
        self._find = find
        self._current: str = state.get("current", MAIN)
        self._side: str | None = state.get("side")
        self._started: bool = state.get("started", False)
        self._tips: dict[str, int] = dict(state.get("tips", {}))
        self._groups: list[tuple[int, str]] = [(seq, branch) for seq, branch in state.get("groups", ())]
        self._moved: dict[str, Place] = {uuid: Place(seq, branch) for uuid, seq, branch in state.get("moved", ())}
        self._recent: dict[str, tuple[int, str, int]] = {row[0]: (row[1], row[2], row[3]) for row in state.get("recent", ())}
        self._places: dict[str, Place] = {uuid: Place(seq, branch) for uuid, (seq, branch, _) in self._recent.items()}
        self._awaited: dict[str, bool] = dict.fromkeys(state.get("awaited", ()), True)
        self._forks: int = state.get("forks", 0)
        self._names: dict[str, bool] = dict.fromkeys(state.get("names", ()), True)

    @property
    def current(self) -> str:
        """The branch where the main conversation is: lines outside the tree go there."""
        return self._current

    def state(self) -> dict[str, Any]:
        """Plain JSON types to begin with another time."""
        return {
            "current": self._current,
            "side": self._side,
            "started": self._started,
            "tips": dict(self._tips),
            "groups": [list(group) for group in self._groups],
            "moved": [[uuid, *place] for uuid, place in self._moved.items()],
            "recent": [[uuid, *row] for uuid, row in self._recent.items()],
            "awaited": list(self._awaited),
            "forks": self._forks,
            "names": list(self._names),
        }

    def place(self, uuid: str) -> Place | None:
        """Where what hangs on that line attaches, or None if it is unknown."""
        return self._moved.get(uuid) or self._places.get(uuid) or self._find(uuid)

    def seq_of(self, uuid: str) -> int | None:
        """The seq of that line's own event."""
        place = self._places.get(uuid) or self._find(uuid)
        return None if place is None else place.seq

    def repeats(self, uuid: str, crc: int) -> bool:
        """Whether the same line was there a short while ago."""
        row = self._recent.get(uuid)
        return row is not None and row[2] == crc

    def attach(self, link: Link, seq: int) -> tuple[str, Fork | None]:
        """Return the branch of a line, and the branch to create before it.

        Args:
            link: The line's place in the tree.
            seq: What the line's event gets if no branch is created before it, else that plus one.
        """
        branch, fork, moved = self._locate(link, seq)
        if fork is not None:
            seq += 1
            self._forks += 1
            if len(self._names) < NAMES_MAX:
                self._names[fork.name] = True
        self._remember(link, seq, branch, moved)
        if link.sidechain:
            self._side = branch
        elif not branch.startswith(SIDECHAIN):
            self._current = branch
        if fork is not None or link.kind in {Kind.STEP, Kind.BOUNDARY}:
            self._begin_group(branch, seq)
            self._started = self._started or not link.sidechain
        return branch, fork

    def preserve(self, uuids: Iterable[str], boundary: str) -> None:
        """Let lines kept over a compaction count as standing at its boundary, so that the conversation can go on from them."""
        place = self._places[boundary]
        for uuid in uuids:
            self._move(uuid, place)

    def _locate(self, link: Link, seq: int) -> tuple[str, Fork | None, Place | None]:
        """Branch, fork and the place that the line counts for, if that is not its own."""
        if link.kind is Kind.BOUNDARY:
            return self._boundary_branch(link), None, None
        if link.parent is None:
            return self._locate_root(link)
        place = self.place(link.parent) if link.parent else None
        if place is None:
            return self._locate_orphan(link)
        side = place.branch.startswith(SIDECHAIN)
        if side == link.sidechain:
            if place.seq and place.seq >= self._tips.get(place.branch, seq + 1 if self._started else 0):
                return place.branch, None, None
            again = self._again(link)
            if again is not None:
                return again.branch, None, again
        if link.kind is Kind.PART and not (link.sidechain and not side):
            return place.branch, None, place
        return self._fork(link, place)

    def _locate_root(self, link: Link) -> tuple[str, Fork | None, Place | None]:
        if link.sidechain:
            return self._fork(link, _START)
        if not self._started:
            return self._current, None, None
        again = self._again(link)
        if again is not None:
            return again.branch, None, again
        if link.kind is Kind.PART:
            return self._current, None, _START
        return self._fork(link, _START)

    def _locate_orphan(self, link: Link) -> tuple[str, Fork | None, Place | None]:
        if link.parent:
            self._awaited[link.parent] = True
            if len(self._awaited) > AWAITED_MAX:
                del self._awaited[next(iter(self._awaited))]
        if not link.sidechain:
            return self._current, None, None
        if self._side is not None:
            return self._side, None, None
        return self._fork(link, _START)

    def _boundary_branch(self, link: Link) -> str:
        place = self.place(link.parent) if link.parent else None
        if place is None or place.branch.startswith(SIDECHAIN) != link.sidechain:
            return self._side or self._current if link.sidechain else self._current
        return place.branch

    def _again(self, link: Link) -> Place | None:
        """Where a line goes that would start a branch only because it was written twice, or after its children."""
        if self._awaited.pop(link.uuid, False):
            return Place(self._tips.get(self._current, 0), self._current)
        return self.place(link.uuid)

    def _fork(self, link: Link, place: Place) -> tuple[str, Fork, None]:
        stem = (SIDECHAIN if link.sidechain else "b-") + "".join(c for c in link.uuid[:8] if c.isalnum())
        name = stem if stem not in self._names and len(self._names) < NAMES_MAX else f"{stem}-{self._forks}"
        return name, Fork(name, place.branch, self._group_end(place)), None

    def _group_end(self, place: Place) -> int:
        """The last seq of the group in which a place lies."""
        if not place.seq or not self._groups or place.seq < self._groups[0][0]:
            return place.seq
        for first, branch in self._groups:
            if first > place.seq and branch == place.branch:
                return first - 1
        return place.seq

    def _begin_group(self, branch: str, seq: int) -> None:
        self._tips.pop(branch, None)
        self._tips[branch] = seq
        if len(self._tips) > TIPS_MAX:
            del self._tips[next(iter(self._tips))]
        self._groups.append((seq, branch))
        if len(self._groups) > GROUPS_MAX:
            del self._groups[0]

    def _remember(self, link: Link, seq: int, branch: str, moved: Place | None) -> None:
        uuid = link.uuid
        self._recent.pop(uuid, None)
        self._recent[uuid] = (seq, branch, link.crc)
        if len(self._recent) > RECENT_MAX:
            del self._recent[next(iter(self._recent))]
        self._places.pop(uuid, None)
        self._places[uuid] = Place(seq, branch)
        if len(self._places) > PLACES_MAX:
            del self._places[next(iter(self._places))]
        if moved is not None:
            self._move(uuid, moved)
        elif self._moved:
            self._moved.pop(uuid, None)

    def _move(self, uuid: str, place: Place) -> None:
        self._moved.pop(uuid, None)
        self._moved[uuid] = place
        if len(self._moved) > MOVED_MAX:
            del self._moved[next(iter(self._moved))]
