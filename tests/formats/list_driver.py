"""Reads lists as an importer would, without a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from turnfold.codec.residual import join
from turnfold.core.conversation import ConversationEntry, entries_of
from turnfold.engine.prepare import prepare
from turnfold.formats.base import Line, Projected
from turnfold.formats.documents import line_of
from turnfold.formats.lists.format import ListFormat, ListLinesFormat
from turnfold.formats.registry import get_format
from turnfold.model.event import Event
from turnfold.model.message import Message
from turnfold.model.usage import Usage


class ReadList:
    """A list read item by item."""

    def __init__(self, name: str, lines: list[bytes], state: dict[str, Any] | None = None) -> None:
        fmt = get_format(name)
        assert isinstance(fmt, ListFormat | ListLinesFormat)
        path = Path("list.json")
        self.info = fmt.describe(path, lines)
        self.reader = fmt.reader(path, self.info, state, lambda _uuid: None)
        self.lines = lines
        self.projected: list[Projected] = []
        self.parts: dict[str, bytes] = {}
        for number, line in enumerate(lines, 1):
            made = self.reader.feed(Line(number, 0, line), len(self.projected) + 2)
            assert made, line
            assert made[0].event.source is not None, line
            self._add(made)
        self._add(self.reader.finish(len(self.projected) + 2))

    def _add(self, made: list[Projected]) -> None:
        for item in made:
            self.projected.append(item)
            self.parts.update(item.parts)

    @property
    def events(self) -> list[Event]:
        parts: list[tuple[str, bytes]] = []
        out = [prepare(msgspec.structs.replace(item.event, id=str(n)), None, parts) for n, item in enumerate(self.projected, 2)]
        return [msgspec.structs.replace(event, seq=seq) for seq, event in enumerate(out, 2)]

    @property
    def entries(self) -> list[ConversationEntry]:
        return entries_of(self.events)

    @property
    def messages(self) -> list[Message]:
        """The messages, with the place of their first event left out so that they compare."""
        return [msgspec.structs.replace(entry.message, seq=0) for entry in self.entries if entry.message is not None]

    @property
    def problems(self) -> list[str]:
        return [item.problem for item in self.projected if item.problem]

    def data_of(self, kind: str) -> list[Any]:
        return [event.data for event in self.events if event.type == kind]

    def usages(self) -> list[Usage]:
        return [item.event.usage for item in self.projected if item.event.usage]

    def kept(self) -> list[bytes]:
        """The lines written again from what was kept of them."""
        return [join(event.source, event.data, self.parts.__getitem__) for event in self.events if event.source is not None]


def read_items(name: str, items: list[Any]) -> ReadList:
    """Read items as lines; what was kept of each must give it back."""
    read = ReadList(name, [line_of(item) for item in items])
    assert read.kept() == read.lines
    return read


def read_file(name: str, path: Path) -> ReadList:
    """Read the one session of a document."""
    fmt = get_format(name)
    assert isinstance(fmt, ListFormat)
    (document,) = fmt.documents(path)
    read = ReadList(name, list(document.lines))
    assert read.info.native_id == document.native_id
    return read


def read_value(name: str, value: Any, tmp_path: Path) -> ReadList:
    """Read a JSON document, written to a file first."""
    path = tmp_path / "list.json"
    path.write_text(json.dumps(value))
    return read_file(name, path)


def one_message(name: str, item: Any) -> Message:
    (found,) = read_items(name, [item]).messages
    return found
