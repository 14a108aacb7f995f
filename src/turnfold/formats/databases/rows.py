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
from pathlib import Path
from typing import Any

import msgspec

from turnfold.codec.parts import take_out
from turnfold.codec.residual import cut
from turnfold.errors import FormatError
from turnfold.formats.base import Find, Line, Projected, SourceInfo
from turnfold.formats.documents import DATABASE_ERRORS, UNREADABLE, line_of, open_database, unreadable
from turnfold.formats.lines import PROBLEM_CHARS_MAX, blank, decode_line, opaque, parse_at, title_of
from turnfold.limits import NAME_BYTES_MAX, SESSION_ID_BYTES_MAX
from turnfold.model.event import NewEvent
from turnfold.model.message import Message
from turnfold.model.parts import ToolResultPart

Parts = list[tuple[str, bytes]]
Row = dict[str, Any]
TOKEN_BYTES = 4
"""Bytes of payload per token in the stored estimate, as for appended messages."""
ID_ROOM_BYTES = 300
"""What the importer may put before and behind an id."""
AT_S_MAX = 1 << 35
"""A time in seconds beyond this is one in milliseconds, and so on."""
_encode = msgspec.json.Encoder().encode


# ---- from a database ---------------------------------------------------------------------------------------------------------------------


@contextmanager
def snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for one consistent look at it.

    Raises:
        FormatError: It cannot be opened or read.
    """
    with open_database(path) as connection:
        try:
            connection.execute("BEGIN")
            yield connection
        except DATABASE_ERRORS as error:
            raise FormatError(f"{path}: {error}", hint="is the file whole?", path=str(path)) from error


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
        lines.append(unreadable(what, f"the rest could not be read: {error}"))


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


def text_of(value: Any) -> str:
    """Return the value if it is text, else an empty string."""
    return value if isinstance(value, str) else ""


def text_or_none(value: Any) -> str | None:
    """Return the value if it is non-empty text."""
    return value if isinstance(value, str) and value else None


def name_of(value: Any) -> str | None:
    """Return the value if it can stand in an envelope field."""
    return value if isinstance(value, str) and value and len(value.encode(errors="replace")) <= NAME_BYTES_MAX else None


def object_of(value: Any) -> dict[str, Any]:
    """Return the value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """Return the value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def count_of(value: Any) -> int:
    """Return the value if it is a count that every store can hold, else 0."""
    return value if type(value) is int and 0 <= value < 1 << 53 else 0


def microusd_of(value: Any) -> int:
    """Return a cost in dollars as millionths of one."""
    return round(value * 1_000_000) if type(value) in {int, float} and 0 <= value < 1e9 else 0


def at_of(value: Any) -> int | None:
    """Return a time in microseconds: RFC 3339 or SQL text, or a number of seconds, milliseconds or microseconds since the epoch."""
    if isinstance(value, str):
        return parse_at(value)
    if type(value) not in {int, float} or not 0 < value < 1 << 62:
        return None
    scale: int = 1_000_000 if value < AT_S_MAX else 1_000 if value < AT_S_MAX * 1_000 else 1
    at: int = round(value * scale)
    return at


def problem_of(text: str) -> str:
    """Return a problem's text as it is shown."""
    return text[:PROBLEM_CHARS_MAX]


# ---- from lines to events ----------------------------------------------------------------------------------------------------------------

Handler = Callable[[Line, Row, Row], list[Projected]]
"""Projects a line: the physical line, its row, and the whole object."""


class RowReader:
    """Projects lines of rows. A subclass names its handlers by table; what it keeps between lines is in ``memory``, plain JSON."""

    def __init__(self, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> None:
        """Begin at the first line, or go on from a state."""
        self.find = find
        self.memory: dict[str, Any] = {"at": info.created_us, "title": None, "titled": info.title is not None, **(state or {})}
        self.next_seq = 0

    def handlers(self) -> dict[str, Handler]:
        """The handler of each table."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What is needed to go on."""
        return dict(self.memory)

    @property
    def at(self) -> int | None:
        """The time of the last dated line."""
        at: int | None = self.memory["at"]
        return at

    def feed(self, line: Line, next_seq: int) -> list[Projected]:
        """Return the events of a line; never raises on bad input."""
        self.next_seq = next_seq
        if not line.data.strip():
            return [blank(line, self.at)]
        value, problem = decode_line(line.data)
        if problem is not None or not isinstance(value, dict):
            return [opaque(line, self.at, None, problem or "a JSON value that is no object")]
        if UNREADABLE in value:
            name, what = text_of(value[UNREADABLE]), text_of(value.get("problem"))
            return [opaque(line, self.at, name, problem_of(f"{name}: {what}"))]
        table = text_of(value.get("table"))
        handler = self.handlers().get(table)
        if handler is None or not isinstance(value.get("row"), dict):
            return [opaque(line, self.at, table or None)]
        try:
            return handler(line, value["row"], value)
        except RecursionError:
            return [opaque(line, self.at, table, "the row is nested too deeply")]

    def finish(self, next_seq: int) -> list[Projected]:
        """Give the session the first typed message as its title, where nothing else gave it one."""
        self.next_seq = next_seq
        if self.memory["titled"] or not self.memory["title"]:
            return []
        self.memory["titled"] = True
        return [self.own("title", {"title": self.memory["title"]}, visibility="ui")]

    def see(self, at: int | None) -> None:
        """Take a row's time for it and for what follows without one."""
        if at is not None:
            self.memory["at"] = at

    def typed(self, message: Message) -> None:
        """Remember the first message that a person typed."""
        if self.memory["title"] is None:
            self.memory["title"] = title_of(message.text.strip().partition("\n")[0])

    def message(self, line: Line, message: Message, *, parts: Parts | None = None, **envelope: Any) -> Projected:
        """Build a message's event; ``envelope`` are fields of the event."""
        moved = [*(parts or ()), *take_out(message)]
        source, more = cut(line.data, msgspec.to_builtins(message))
        data = _encode(message)
        if envelope.get("turn_count"):
            self.typed(message)
        fields = {"at": self.at, "turn_count": 0, "message_count": 1, "token_count": -(-len(data) // TOKEN_BYTES), **envelope}
        return Projected(NewEvent(type="message", data=data, source=source, **fields), tuple(dict([*moved, *more]).items()))

    def event(self, line: Line, kind: str, data: dict[str, Any], **envelope: Any) -> Projected:
        """Build an event that is no message and keeps the line."""
        source, more = cut(line.data, data)
        fields = {"at": self.at, "visibility": "none", "turn_count": 0, "message_count": 0, **envelope}
        return Projected(NewEvent(type=kind, data=_encode(data), source=source, **fields), tuple(more))

    def own(self, kind: str, data: dict[str, Any], **envelope: Any) -> Projected:
        """Build an event that follows from the lines and keeps none."""
        fields = {"at": self.at, "visibility": "none", "turn_count": 0, "message_count": 0, **envelope}
        return Projected(NewEvent(type=kind, data=_encode(data), **fields))


def answers(message: Message) -> list[ToolResultPart]:
    """The tool results of a message."""
    return [part for part in message.parts if type(part) is ToolResultPart]
