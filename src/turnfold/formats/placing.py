"""Branches and checkpoints that a document names by counting messages, said as events.

A message's native id is its place: how many messages the session has up to it, with the name of its branch before it; place 0 is the header.
A name that was given to a branch or checkpoint stays given: what has one already is said as a kept line only.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from turnfold.formats.base import Line, Place, Projected
from turnfold.formats.fields import count_of, text_of, text_or_none
from turnfold.formats.lines import parse_at
from turnfold.formats.records import Handler, RecordReader
from turnfold.model.event import MAIN

_place_id = re.compile(r"[^:]*:m:\d+", re.ASCII)


def place_id(branch: str, count: int) -> str:
    """Return the native id of the message that is the ``count``-th of its branch's view, from 1."""
    return f"{branch}:m:{count}"


def is_place_id(uuid: object) -> bool:
    """Whether a native id is one of these, and so says nothing of the source."""
    return isinstance(uuid, str) and _place_id.fullmatch(uuid) is not None


class PlacingReader(RecordReader):
    """Reads a document whose lines name their places so; a subclass adds its own kinds to the handlers."""

    def _session(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        return self.header(line, value, uuid=place_id("", 0), at=parse_at(value.get("at")))

    def _branch(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        return [branch_event(self, line, text_of(value.get("branch")), count_of(value.get("through")))]

    def _checkpoint(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        name, branch, through = text_of(value.get("name")), text_of(value.get("branch")), count_of(value.get("through"))
        at, problem = parse_at(value.get("at")), text_or_none(value.get("problem"))
        return [checkpoint_event(self, line, name, branch=branch, through=through, at=at, problem=problem)]

    handlers: ClassVar[dict[str, Handler]] = {"session": _session, "branch": _branch, "checkpoint": _checkpoint}


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
