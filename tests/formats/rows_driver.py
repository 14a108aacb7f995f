"""Drive any format's reader without a store: feed lines, give out seqs, keep places, parts and branches, write the lines again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from turnfold.codec.residual import join
from turnfold.core.branches import in_view, segments
from turnfold.core.fold import payload_of
from turnfold.core.transcript import messages_of
from turnfold.engine.prepare import prepare
from turnfold.formats.base import DocumentFormat, Format, Line, Place, Projected, SourceInfo
from turnfold.formats.registry import get_format
from turnfold.model.event import MAIN, Event
from turnfold.model.event_types import KNOWN_TYPES
from turnfold.model.message import Message
from turnfold.model.parts import AnyPart
from turnfold.model.session import Branch
from turnfold.model.usage import NO_USAGE, Usage

BEGIN_SEQ = 2
"""Of the first event: the genesis is before it."""


class Read:
    """What an importer would have in its store after reading those lines."""

    def __init__(self, format: Format, path: Path, lines: Iterable[bytes], *, finish: bool = True) -> None:
        self.format = format
        self.path = path
        self.lines: list[bytes] = []
        self.info: SourceInfo = format.describe(path, lines := list(lines))
        self.state: dict[str, Any] | None = None
        self.projected: list[Projected] = []
        self.parts: dict[str, bytes] = {}
        self.places: dict[str, Place] = {}
        self.branches: dict[str, Branch] = {}
        self.active = MAIN
        self.problems: list[str] = []
        self.feed(lines, finish=finish)

    def feed(self, lines: Iterable[bytes], *, finish: bool = True) -> None:
        """Import lines from where the state stands."""
        reader = self.format.reader(self.path, self.info, self.state, self.places.get)
        for data in lines:
            self.lines.append(data)
            made = reader.feed(Line(len(self.lines), 0, data), self.next_seq)
            assert made, data
            assert sum(item.event.source is not None for item in made) == 1, data
            self._take(made)
        if finish:
            self._take(reader.finish(self.next_seq))
        self.state = json.loads(json.dumps(reader.state()))

    @property
    def next_seq(self) -> int:
        return BEGIN_SEQ + len(self.projected)

    def _take(self, made: list[Projected]) -> None:
        for item in made:
            seq, event = self.next_seq, item.event
            branch = event.branch or MAIN
            assert event.type in KNOWN_TYPES
            assert branch == MAIN or branch in self.branches, branch
            self.projected.append(item)
            self.parts.update(item.parts)
            if item.problem is not None:
                self.problems.append(item.problem)
            if event.meta and "uuid" in event.meta:
                self.places[event.meta["uuid"]] = Place(seq, branch)
            data = msgspec.json.decode(event.data if isinstance(event.data, bytes) else msgspec.json.encode(event.data))
            if event.type == "branch.created":
                assert data["name"] not in {MAIN, *self.branches}
                assert 0 <= data["fork_seq"] < seq
                self.branches[data["name"]] = Branch(data["name"], data["parent"], data["fork_seq"], seq)
            elif event.type == "branch.switched":
                assert data["name"] in {MAIN, *self.branches}
                self.active = data["name"]

    @property
    def events(self) -> list[Event]:
        """Prepared as the importer does it: every payload is one that a store takes."""
        parts: list[tuple[str, bytes]] = []
        out = []
        for seq, item in enumerate(self.projected, BEGIN_SEQ):
            new = msgspec.structs.replace(item.event, id=str(seq), branch=item.event.branch or MAIN, at=item.event.at or 0)
            event = msgspec.structs.replace(prepare(new, None, parts), seq=seq)
            payload_of(event)
            out.append(event)
        return out

    def view(self, branch: str | None = None) -> list[Event]:
        """The events of a branch's view."""
        stretches = segments(self.branches, branch or self.active)
        return [event for event in self.events if in_view(stretches, event.branch, event.seq)]

    def messages(self, branch: str | None = None) -> list[Message]:
        """What the model and people see on a branch."""
        return messages_of(self.view(branch))

    def all_messages(self) -> list[Message]:
        """Every message event's payload, whatever its branch."""
        return [payload_of(event) for event in self.events if event.type == "message"]

    def all_parts(self, kind: str) -> list[AnyPart]:
        return [part for message in self.all_messages() for part in message.parts if part.type == kind]

    def types(self) -> list[str]:
        return [item.event.type for item in self.projected]

    def titles(self) -> list[str]:
        return [event.data["title"] for event in self.events if event.type == "title"]

    def written(self) -> bytes:
        """The lines again, from what was kept."""
        kept = [event for event in self.events if event.source is not None]
        return b"".join(join(event.source or b"", event.data, self.parts.__getitem__) for event in kept)

    def usage(self) -> Usage:
        total = NO_USAGE
        for item in self.projected:
            total += item.event.usage
        return total


def physical(data: bytes) -> list[bytes]:
    """A file's lines with their newlines."""
    return [line + b"\n" for line in data.split(b"\n")[:-1]] + (
        [data[data.rfind(b"\n") + 1 :]] if not data.endswith(b"\n") and data else []
    )


def read_file(name: str, path: Path) -> Read:
    return Read(get_format(name), path, physical(path.read_bytes()))


def read_rows(name: str, rows: Iterable[Any], path: Path = Path("session.jsonl")) -> Read:
    """Read objects as lines; bytes stand for themselves."""
    lines = [row if isinstance(row, bytes) else json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() for row in rows]
    return Read(get_format(name), path, [line + b"\n" for line in lines])


def read_documents(name: str, path: Path) -> dict[str, Read]:
    """Read the sessions of a document."""
    found = get_format(name)
    assert isinstance(found, DocumentFormat)
    return {document.native_id: Read(found, path, document.lines) for document in found.documents(path)}
