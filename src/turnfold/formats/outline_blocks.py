"""What an outline is made of: turns, in them messages, in them text, reasoning, pictures, and calls with their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec


class Text(msgspec.Struct, frozen=True):
    """What somebody said. ``markup`` tells a model's Markdown from what was typed."""

    text: str
    markup: bool


class Reasoning(msgspec.Struct, frozen=True):
    """A model's reasoning that can be read."""

    text: str


class Picture(msgspec.Struct, frozen=True):
    """An image; ``content`` is base64."""

    mime_type: str
    content: str
    size_bytes: int
    name: str | None = None


class Note(msgspec.Struct, frozen=True):
    """A line about something that is not shown."""

    text: str


class Data(msgspec.Struct, frozen=True):
    """Something of a source that has no counterpart: its kind, and its JSON."""

    kind: str
    text: str


class Field(msgspec.Struct, frozen=True):
    """An argument of a call; ``kind`` is ``text``, ``diff``, ``removed`` or ``added``."""

    name: str
    text: str
    kind: str = "text"


class Result(msgspec.Struct, frozen=True):
    """What a tool answered, in the message ``seq``."""

    seq: int
    pieces: Sequence[Text | Picture | Note | Data]
    is_error: bool = False
    exit_code: int | None = None

    @property
    def line_count(self) -> int:
        """Lines of its text."""
        return sum(piece.text.rstrip("\n").count("\n") + 1 for piece in self.pieces if isinstance(piece, Text | Data) and piece.text)


class Call(msgspec.Struct, frozen=True):
    """A tool call; ``result`` is None where none came. ``gist`` is its most telling argument on one line."""

    name: str
    gist: str
    fields: Sequence[Field]
    result: Result | None = None


Block: TypeAlias = Text | Reasoning | Picture | Note | Data | Call | Result


class Item(msgspec.Struct, frozen=True):
    """One message: ``kind`` is ``user``, ``assistant``, ``tool``, ``context`` or ``compaction``."""

    seq: int
    at_us: int
    kind: str
    speaker: str
    blocks: Sequence[Block]
    model: str | None = None

    def goes_on(self, previous: Item | None) -> bool:
        """Whether the same speaker goes on after ``previous``; some tools name the model only here and there."""
        if previous is None or (previous.kind, previous.speaker) != (self.kind, self.speaker):
            return False
        return self.model is None or previous.model is None or self.model == previous.model


class Turn(msgspec.Struct, frozen=True):
    """What a person asked, and everything up to the next time; ``number`` 0 is what came before the first."""

    number: int
    title: str
    items: Sequence[Item]
    tokens_count: int

    @property
    def call_count(self) -> int:
        """Tool calls in it."""
        return sum(isinstance(block, Call) for item in self.items for block in item.blocks)
