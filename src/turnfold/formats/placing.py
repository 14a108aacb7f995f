"""Branches and checkpoints that a document names by counting messages, said as events.

A message's native id is its place: how many messages the session has up to it, with the name of its branch before it; place 0 is the header.
A name that was given to a branch or checkpoint stays given: what has one already is said as a kept line only.
"""

from __future__ import annotations

import re

from turnfold.formats.base import Line, Place, Projected
from turnfold.formats.records import RecordReader
from turnfold.model.event import MAIN

_place_id = re.compile(r"[^:]*:m:\d+", re.ASCII)


def place_id(branch: str, count: int) -> str:
    """Return the native id of the message that is the ``count``-th of its branch's view, from 1."""
    return f"{branch}:m:{count}"


def is_place_id(uuid: object) -> bool:
    """Whether a native id is one of these, and so says nothing of the source."""
    return isinstance(uuid, str) and _place_id.fullmatch(uuid) is not None


def place_of(reader: RecordReader, branch: str, count: int) -> Place | None:
    """Return where that message is; on a branch also what it has from the session itself."""
    return (reader.find(place_id(branch, count)) if branch else None) or reader.find(place_id("", count))


def branch_event(reader: RecordReader, line: Line, name: str, through: int) -> Projected:
    """Begin a branch after ``through`` messages of the session."""
    uuid = f"branch:{name}"
    place = place_of(reader, "", through)
    if not name or place is None:
        return reader.kept(line, "branch", {"name": name}, problem=f"branch {name!r}: there are no {through} messages to begin it after")
    if reader.find(uuid) is not None:
        return reader.kept(line, "branch", {"name": name})
    data = {"name": name, "parent": MAIN, "fork_seq": place.seq}
    return reader.event(line, "branch.created", data, uuid=uuid)


def checkpoint_event(
    reader: RecordReader, line: Line, name: str, *, branch: str, through: int, at: int | None, problem: str | None = None
) -> Projected:
    """Name the place after ``through`` messages of a branch's view; empty is the session itself."""
    uuid = f"checkpoint:{name}"
    place = place_of(reader, branch, through)
    if place is None or not name:
        return reader.kept(line, "checkpoint", {"name": name}, problem=f"checkpoint {name!r}: there are no {through} messages")
    if reader.find(uuid) is not None:
        return reader.kept(line, "checkpoint", {"name": name}, problem=problem)
    data = {"name": name, "branch": branch or MAIN, "at_seq": place.seq}
    return reader.event(line, "checkpoint", data, at=at, uuid=uuid, visibility="ui", problem=problem)
