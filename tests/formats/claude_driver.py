"""Drive a reader without a store: feed lines, give out seqs, keep parts and write the lines again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from turnfold.codec.residual import join
from turnfold.core.branches import in_view, segments
from turnfold.formats.base import Line, Place, Projected
from turnfold.formats.claude_code import ClaudeCodeFormat
from turnfold.model.event import MAIN, NewEvent
from turnfold.model.session import Branch
from turnfold.model.usage import NO_USAGE, Usage


@dataclass
class Imported:
    """What an importer would have in its store."""

    path: Path
    events: list[NewEvent] = field(default_factory=list)
    data: list[Any] = field(default_factory=list)
    parts: dict[str, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    branches: dict[str, Branch] = field(default_factory=dict)
    active: str = MAIN
    title: str | None = None
    state: dict[str, Any] | None = None

    def feed(self, lines: Iterable[bytes], *, finish: bool = True, head: list[bytes] | None = None) -> None:
        """Import lines from where the state stands."""
        lines = list(lines)
        format_ = ClaudeCodeFormat()
        info = format_.describe(self.path, lines if head is None else head)
        reader = format_.reader(self.path, info, self.state, self.places.get)
        for number, data in enumerate(lines, start=1):
            before = len(self.events)
            self._take(reader.feed(Line(number, 0, data), before + 1))
            assert len(self.events) > before
        if finish:
            self._take(reader.finish(len(self.events) + 1))
        self.state = json.loads(json.dumps(reader.state()))

    def _take(self, projected: list[Projected]) -> None:
        for item in projected:
            event = item.event
            self.events.append(event)
            self.data.append(msgspec.json.decode(event.data))
            data = self.data[-1]
            seq = len(self.events)
            self.parts.update(item.parts)
            if item.problem is not None:
                self.problems.append(item.problem)
            if event.meta and "uuid" in event.meta:
                self.places[event.meta["uuid"]] = Place(seq, event.branch)
            assert event.branch == MAIN or event.branch in self.branches, event.branch
            if event.type == "branch.created":
                fork = data
                assert fork["name"] not in self.branches
                assert fork["name"] != MAIN
                assert 0 <= fork["fork_seq"] < seq
                assert fork["parent"] == MAIN or fork["parent"] in self.branches
                self.branches[fork["name"]] = Branch(fork["name"], fork["parent"], fork["fork_seq"], seq)
            elif event.type == "branch.switched":
                assert data["name"] in {MAIN, *self.branches}
                self.active = data["name"]
            elif event.type == "title":
                self.title = data["title"]

    def export(self) -> bytes:
        """Write the file again from what was kept."""
        out = []
        for event, data in zip(self.events, self.data, strict=True):
            if event.source is not None:
                out.append(join(event.source, data, self.parts.__getitem__))
        return b"".join(out)

    def view(self, branch: str | None = None) -> list[tuple[int, NewEvent, Any]]:
        """The events of a branch's view with seq and payload."""
        stretches = segments(self.branches, branch or self.active)
        rows = zip(count(1), self.events, self.data, strict=False)
        return [row for row in rows if in_view(stretches, row[1].branch, row[0])]

    def usage(self) -> Usage:
        total = NO_USAGE
        for event in self.events:
            total += event.usage
        return total


def import_lines(lines: Iterable[bytes], path: Path = Path("s.jsonl")) -> Imported:
    imported = Imported(path)
    imported.feed(lines)
    return imported


def import_file(path: Path) -> Imported:
    with path.open("rb") as file:
        return import_lines(file, path)
