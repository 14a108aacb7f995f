"""Projects a list item by item: one item is one line, and as many events as it has messages (at least one)."""

from __future__ import annotations

from typing import Any

import msgspec

from turnfold.formats.base import Line, Projected
from turnfold.formats.documents import UNREADABLE
from turnfold.formats.fields import name_of, object_of, text_of, text_or_none
from turnfold.formats.lines import blank, decode_line, opaque, title_of
from turnfold.formats.lists.shape import Place, Said, Shape, at_of, out_of_line
from turnfold.formats.media import Parts
from turnfold.formats.rows import said, told
from turnfold.model.usage import NO_USAGE, Usage

HEADER = "turnfold.list"
"""Key of a document's first line: whose list it is, and its id."""
ENVELOPE = "turnfold.envelope"
"""Key of a document's last line: the fields around the list, which may change when it goes on."""


class ListReader:
    """Reader of one list."""

    def __init__(self, shape: Shape, state: dict[str, Any] | None) -> None:
        """Begin at the list's start, or go on from ``state``."""
        state = state or {}
        self._shape = shape
        self._at: int | None = state.get("at")
        self._title: str | None = state.get("title")
        self._titled: bool = state.get("titled", False)
        self._place = msgspec.convert(state.get("place", {}), Place)

    def state(self) -> dict[str, Any]:
        """What a later reader needs to go on."""
        return {"at": self._at, "title": self._title, "titled": self._titled, "place": msgspec.to_builtins(self._place)}

    def feed(self, line: Line, next_seq: int) -> list[Projected]:
        """Return the events of a line."""
        if not line.data.strip():
            return [blank(line, self._at)]
        value, problem = decode_line(line.data)
        if problem is not None:
            return [opaque(line, self._at, None, problem)]
        if not isinstance(value, dict):
            return [opaque(line, self._at, None, "an item that is no JSON object")]
        if HEADER in value:
            self._at = at_of(object_of(value.get(HEADER))) or self._at
            return [self._frame(line, "header")]
        if ENVELOPE in value:
            return self._envelope(line, object_of(value[ENVELOPE]))
        if UNREADABLE in value:
            return [opaque(line, self._at, None, text_of(value.get("problem")) or "cannot be read")]
        self._place.number += 1
        items = self._shape.said(value, self._place)
        if not items:
            kind = text_or_none(value.get("type")) or text_or_none(value.get("role"))
            return [opaque(line, self._at, kind, None if items is not None else f"no item of {self._shape.name}")]
        return [self._message(one, line if index == 0 else None, index) for index, one in enumerate(items)]

    def finish(self, next_seq: int) -> list[Projected]:
        """Give the session the first typed message as its title, where the list has none."""
        if self._titled or not self._title:
            return []
        self._titled = True
        return [self._note("title", {"title": self._title})]

    def _message(self, one: Said, line: Line | None, index: int) -> Projected:
        message = one.message
        self._at = one.at_us or self._at
        typed = message.role == "user" and bool(message.parts) and not message.tool_results and one.visibility is None
        if typed and self._title is None:
            self._title = title_of(message.text.strip().partition("\n")[0])
        visibility = one.visibility or ("model" if message.role in {"system", "developer"} else "both")
        parts: Parts = list(one.parts)
        out_of_line(message, parts)
        native_id = name_of(message.native_id)
        meta = {"uuid": native_id} if native_id and index == 0 else None
        return said(line, message, parts, at=self._at, visibility=visibility, turn_count=int(typed), usage=one.usage, meta=meta)

    def _envelope(self, line: Line, fields: dict[str, Any]) -> list[Projected]:
        """Say what stands around the list; the line itself is kept by the first event."""
        facts = self._shape.envelope(fields)
        made = [self._frame(line, "envelope")]
        system_prompt, title, state, usage = (facts.get(key) for key in ("system_prompt", "title", "state", "usage"))
        if system_prompt:
            made.append(self._note("session.updated", {"system_prompt": system_prompt}))
        if title:
            self._titled = True
            made.append(self._note("title", {"title": title}))
        if state:
            made.append(self._note("state.set", {"values": state}))
        if usage:
            made.append(self._note("usage", {}, usage))
        return made

    def _frame(self, line: Line, kind: str) -> Projected:
        """What is around the items: kept whole as the line, and of no message."""
        return told(line, "settings", {"kind": kind}, at=self._at, visibility="none")

    def _note(self, kind: str, data: dict[str, Any], usage: Usage = NO_USAGE) -> Projected:
        return told(None, kind, data, at=self._at, visibility="ui", usage=usage)
