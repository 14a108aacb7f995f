"""What readers of databases share: rows as lines, and lines as events.

A row is said as ``{"table": name, "row": {column: value}}``; a column of JSON text stands in it as the JSON value, so that the kept line
shares its long strings with the event. A session is read in one short transaction of its own, and the database is let go between sessions:
whoever writes to it meanwhile does not have to wait for an import.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import msgspec

from turnfold.formats.base import Find, Line, Projected, SourceInfo
from turnfold.formats.documents import DATABASE_ERRORS, line_of, unreadable
from turnfold.formats.fields import text_of
from turnfold.formats.lines import decode_line, opaque, parse_at
from turnfold.formats.media import Parts
from turnfold.formats.rows import RowReader, said, told
from turnfold.limits import SESSION_ID_BYTES_MAX
from turnfold.model.message import Message
from turnfold.model.parts import ToolResultPart

Row = dict[str, Any]
TOKEN_BYTES = 4
"""Bytes of payload per token in the stored estimate, as for appended messages."""
ID_ROOM_BYTES = 300
"""What the importer may put before and behind an id."""
AT_S_MAX = 1 << 35
"""A time in seconds beyond this is one in milliseconds, and so on."""
_encode = msgspec.json.Encoder().encode
_replace = msgspec.structs.replace


# ---- from a database ---------------------------------------------------------------------------------------------------------------------


def rows_of(connection: sqlite3.Connection, statement: str, values: Iterable[Any] = (), *, json: Iterable[str] = ()) -> Iterator[Row]:
    """Yield rows as objects; the columns named in ``json`` hold JSON text."""
    wanted = tuple(json)
    for row in connection.execute(statement, tuple(values)):
        record = dict(row)
        for name in wanted:
            if name in record:
                record[name] = json_value(record[name])
        yield record


def json_value(value: Any) -> Any:
    """Return JSON text as something that is written as that JSON; what is no JSON stays as it is."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return value
    if not isinstance(value, str):
        return value
    decoded, problem = decode_line(value.encode(errors="replace"))
    if problem is not None:
        return value
    if "\\u" in value:  # written again, so that the kept line shares its strings with the event, which writes UTF-8
        try:
            return msgspec.Raw(_encode(decoded))
        except (msgspec.MsgspecError, OverflowError, UnicodeEncodeError, RecursionError):
            pass
    return msgspec.Raw(value.strip().replace("\n", " ").replace("\r", " ").encode())


def opened(value: Any) -> Any:
    """Return what ``json_value`` made of a column as the value itself."""
    return decode_line(bytes(value))[0] if isinstance(value, msgspec.Raw) else value


def row_line(table: str, row: Row, **more: Any) -> bytes:
    """Return a row as a line."""
    return line_of({"table": table, "row": row, **more})


@contextmanager
def salvaging(lines: list[bytes], what: str) -> Iterator[None]:
    """Let what was read before a damaged place of the file stand, and say what is missing."""
    try:
        yield
    except DATABASE_ERRORS as error:
        lines.append(unreadable(what, f"{what}: the rest could not be read: {error}"))


def quoted(name: str) -> str:
    """Return a table's name for use in a statement."""
    return '"' + name.replace('"', '""') + '"'


def session_id_of(value: Any) -> str:
    """Return a row's session id; one that cannot be an id here (NULL, control characters, too long) is named by its hash."""
    text = str(value) if type(value) in {int, str} else ""
    if text.strip() and text.isprintable() and len(text.encode(errors="replace")) <= SESSION_ID_BYTES_MAX - ID_ROOM_BYTES:
        return text
    return f"unnamed-{sha256(repr(value).encode(errors='replace')).hexdigest()[:16]}"


# ---- fields ------------------------------------------------------------------------------------------------------------------------------


def at_of(value: Any) -> int | None:
    """Return a time in microseconds: RFC 3339 or SQL text, or a number of seconds, milliseconds or microseconds since the epoch."""
    if isinstance(value, str):
        return parse_at(value)
    if type(value) not in {int, float} or not 0 < value < 1 << 62:
        return None
    scale: int = 1_000_000 if value < AT_S_MAX else 1_000 if value < AT_S_MAX * 1_000 else 1
    at: int = round(value * scale)
    return at


# ---- from lines to events ----------------------------------------------------------------------------------------------------------------

Handler = Callable[[Line, Row, Row], list[Projected]]
"""Projects a line: the physical line, its row, and the whole object."""


class TableReader(RowReader):
    """Projects lines of rows. A subclass names its handlers by table; what it keeps between lines is in ``memory``, plain JSON."""

    def __init__(self, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> None:
        """Begin at the first line, or go on from a state."""
        super().__init__(state)
        if state is None:
            self.at_us, self.titled = info.created_us, info.title is not None
        self.find = find
        self.memory: dict[str, Any] = dict((state or {}).get("memory", {}))
        self.next_seq = 0

    def handlers(self) -> dict[str, Handler]:
        """The handler of each table."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What is needed to go on."""
        return {**super().state(), "memory": dict(self.memory)}

    def project(self, line: Line, value: dict[str, Any], seq: int) -> list[Projected]:
        """Hand a row to the handler of its table."""
        self.next_seq = seq
        table = text_of(value.get("table"))
        handler = self.handlers().get(table)
        if handler is None or not isinstance(value.get("row"), dict):
            return [opaque(line, self.at_us, table or None)]
        return handler(line, value["row"], value)

    def finish(self, next_seq: int) -> list[Projected]:
        """Give the session a title where it has none."""
        self.next_seq = next_seq
        return super().finish(next_seq)

    def message(self, line: Line, message: Message, *, parts: Parts | None = None, **envelope: Any) -> Projected:
        """Build a message's event; ``envelope`` are fields of the event."""
        if envelope.get("turn_count"):
            self.typed(message)
        made = said(line, message, parts, **{"at": self.at_us, **envelope})
        tokens = -(-len(made.event.data) // TOKEN_BYTES)
        return _replace(made, event=_replace(made.event, token_count=tokens))

    def event(self, line: Line, kind: str, data: dict[str, Any], **envelope: Any) -> Projected:
        """Build an event that is no message and keeps the line."""
        return told(line, kind, data, **{"at": self.at_us, "visibility": "none", **envelope})

    def own(self, kind: str, data: dict[str, Any], **envelope: Any) -> Projected:
        """Build an event that follows from the lines and keeps none."""
        return told(None, kind, data, **{"at": self.at_us, "visibility": "none", **envelope})

    def unread(self, line: Line, native_type: str, problem: str | None = None, **envelope: Any) -> Projected:
        """Keep a row without a meaning, and report what is wrong with it, if something is."""
        data = {"native_type": native_type} | ({"problem": problem} if problem else {})
        return self.event(line, "opaque", data, problem=problem, **envelope)


def answers(message: Message) -> list[ToolResultPart]:
    """The tool results of a message."""
    return [part for part in message.parts if type(part) is ToolResultPart]
