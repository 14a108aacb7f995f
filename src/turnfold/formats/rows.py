"""What readers of one JSON object per line share: taking a line in, and saying it as a message's or another event.

A reader of this kind is a subclass of ``RowReader`` with ``project``: from one object to its events, the first of which keeps the line. Where
one line holds several messages (a call with its answer), their events carry the same ``message_id``, so that a redaction takes them and the
line together.
"""

from __future__ import annotations

from typing import Any

import msgspec

from turnfold.codec.parts import take_out
from turnfold.codec.residual import cut
from turnfold.formats.base import Line, Projected
from turnfold.formats.documents import UNREADABLE
from turnfold.formats.fields import text_of
from turnfold.formats.lines import TITLE_CHARS_MAX, blank, decode_line, opaque, title_of
from turnfold.formats.media import Parts, slim
from turnfold.model.event import NewEvent, Visibility
from turnfold.model.message import Message

Native = dict[str, tuple[str, Visibility]]
"""Native type → type and visibility of the event that holds its payload as it is."""
_encode = msgspec.json.Encoder().encode
_NOT_AN_OBJECT = "a JSON value that is no object"
_TOO_DEEP = "JSON is nested too deeply"


class RowReader:
    """Reads a file of one JSON object per line; knows the time of the last dated line, and the first prompt.

    Attributes:
        at_us: Time of the last line that had one.
        titled: The source gave a title of its own.
    """

    def __init__(self, state: dict[str, Any] | None) -> None:
        """Begin at the file's start, or go on from ``state``."""
        state = state or {}
        self.at_us: int | None = state.get("at")
        self.titled: bool = state.get("titled", False)
        self._prompt: str | None = state.get("prompt")

    def state(self) -> dict[str, Any]:
        """What a later reader needs to go on."""
        return {"at": self.at_us, "titled": self.titled, "prompt": self._prompt}

    def feed(self, line: Line, next_seq: int) -> list[Projected]:
        """Return the events of a line; never raises on bad input."""
        if not line.data.strip():
            return [blank(line, self.at_us)]
        value, problem = decode_line(line.data)
        if problem is not None:
            return [opaque(line, self.at_us, None, problem)]
        if not isinstance(value, dict):
            return [opaque(line, self.at_us, None, _NOT_AN_OBJECT)]
        if UNREADABLE in value:
            return [opaque(line, self.at_us, text_of(value[UNREADABLE]), text_of(value.get("problem")) or "it cannot be read")]
        try:
            return self.project(line, value, next_seq)
        except RecursionError:
            return [opaque(line, self.at_us, None, _TOO_DEEP)]

    def project(self, line: Line, value: dict[str, Any], seq: int) -> list[Projected]:
        """Return the events of a line's object; the first will get ``seq``."""
        raise NotImplementedError

    def finish(self, next_seq: int) -> list[Projected]:
        """Give the session its first prompt as its title, where the source gave none."""
        if self.titled or not self._prompt:
            return []
        self.titled = True
        return [told(None, "title", {"title": self._prompt}, at=self.at_us, visibility="ui")]

    def seen_at(self, at_us: int | None) -> None:
        """Take a line's time over, if it has one."""
        if at_us is not None:
            self.at_us = at_us

    def typed(self, message: Message) -> None:
        """Notice a prompt: the first one with words is the title of a session without one."""
        if self._prompt is None:
            self._prompt = title_of(message.text)

    def title(self, line: Line, title: str, **fields: Any) -> Projected:
        """Return the event of a title that the source gave."""
        self.titled = True
        return told(line, "title", {"title": title[:TITLE_CHARS_MAX]}, at=self.at_us, visibility="ui", **fields)


def said(line: Line | None, message: Message, out: Parts | None = None, *, problem: str | None = None, **fields: Any) -> Projected:
    """Return the event of a message.

    Args:
        line: The line that it keeps; None where another event keeps it.
        message: With its media inline.
        out: Parts that are out of line already.
        problem: What is wrong with the line, shown to the user.
        fields: Of the event; ``message_count`` is 1 and ``turn_count`` 0 where they are not given.
    """
    parts = [*(out or ()), *take_out(message)]
    source = None
    if line is not None:
        source, more = cut(line.data, msgspec.to_builtins(message))
        parts += more
    counts = {"message_count": 1, "turn_count": 0}
    event = NewEvent(type="message", data=_encode(message), source=source, **counts | fields)
    return Projected(event, tuple(dict(parts).items()), problem)


def told(
    line: Line | None, kind: str, data: dict[str, Any], out: Parts | None = None, *, problem: str | None = None, **fields: Any
) -> Projected:
    """Return an event that is no message; arguments as for ``said``."""
    parts = list(out or ())
    source = None
    if line is not None:
        source, more = cut(line.data, data)
        parts += more
    counts = {"message_count": 0, "turn_count": 0}
    event = NewEvent(type=kind, data=_encode(data), source=source, **counts | fields)
    return Projected(event, tuple(dict(parts).items()), problem)


def native(line: Line, kind: str, name: str, payload: dict[str, Any], **fields: Any) -> Projected:
    """Return an event that holds a native payload as it is, its long media out of line, with its native type under ``kind``.

    A payload that has a ``kind`` of its own stands under ``native``.
    """
    out: Parts = []
    rest = {key: item for key, item in slim(payload, out).items() if key != "type"}
    data = {"kind": name, "native": rest} if "kind" in rest else {"kind": name, **rest}
    return told(line, kind, data, out, **fields)
