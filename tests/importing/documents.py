"""Two small document formats, for what the importer does with documents: chats in a JSON file, and chats in a SQLite database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from turnfold.codec.residual import cut
from turnfold.errors import FormatError
from turnfold.formats.base import Document, Find, Line, Projected, Reader, SourceInfo
from turnfold.formats.documents import UNREADABLE, head_value, line_of, open_database, tables_of, unreadable
from turnfold.formats.heads import SQLITE_MAGIC
from turnfold.formats.lines import decode_line, opaque
from turnfold.formats.registry import Formats
from turnfold.model.event import NewEvent
from turnfold.model.message import Message, assistant, user
from turnfold.model.usage import Usage

Chat = dict[str, Any]
"""``{"id", "title", "entries": [{"id", "from", "text", "done", "parent"?}]}``"""


def chat(chat_id: str, texts: Iterable[str], *, title: str = "", open_text: str | None = None) -> Chat:
    """A chat with a prompt and an answer per text; with ``open_text`` one more answer that is still being written."""
    entries = []
    for number, text in enumerate(texts):
        entries.append({"id": f"u{number}", "from": "me", "text": f"{text}?", "done": True})
        entries.append({"id": f"a{number}", "from": "it", "text": f"{text}!", "done": True})
    if open_text is not None:
        entries.append({"id": f"a{len(entries)}", "from": "it", "text": open_text, "done": False})
    return {"id": chat_id, "title": title, "entries": entries}


class ChatReader:
    """Reads the lines of a chat: header, entries, title."""

    def __init__(self, state: dict[str, Any] | None, find: Find) -> None:
        self._count = 0 if state is None else state["count"]
        self._find = find

    def feed(self, line: Line, next_seq: int) -> list[Projected]:
        value, problem = decode_line(line.data)
        if problem is not None or not isinstance(value, dict):
            return [opaque(line, None, None, problem or "no object")]
        if UNREADABLE in value:
            return [opaque(line, None, "entry", f"{value[UNREADABLE]}: {value['problem']}")]
        if value.get("kind") == "entry":
            return [self._entry(line, value)]
        if value.get("kind") == "title":
            return [self._event(line, "title", {"title": value["title"]}, {})]
        return [opaque(line, None, str(value.get("kind")))]

    def _entry(self, line: Line, value: dict[str, Any]) -> Projected:
        self._count += 1
        parent = value.get("parent")
        found = self._find(parent) if parent is not None else None
        meta = {"uuid": value["id"]} | ({"parent_seq": found.seq if found else None} if parent is not None else {})
        message = user(value["text"]) if value["from"] == "me" else assistant(value["text"])
        return self._event(line, "message", message, meta)

    def _event(self, line: Line, event_type: str, data: Message | dict[str, Any], meta: dict[str, Any]) -> Projected:
        source, parts = cut(line.data, msgspec.to_builtins(data))
        is_message = isinstance(data, Message)
        is_prompt = isinstance(data, Message) and data.role == "user"
        event = NewEvent(
            type=event_type,
            data=msgspec.json.encode(data),
            meta=meta,
            message_count=int(is_message),
            turn_count=int(is_prompt),
            usage=Usage(output_tokens=10, model=f"m{self._count % 2}") if is_message else Usage(),
            source=source,
        )
        return Projected(event, tuple(parts))

    def state(self) -> dict[str, Any]:
        return {"count": self._count}

    def finish(self, next_seq: int) -> list[Projected]:
        data = {"count": self._count}
        return [Projected(NewEvent(type="x.count", data=data, visibility="none", message_count=0, turn_count=0))]


class _Chats:
    """What both formats share."""

    name = "?"

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        first = json.loads(next(iter(head)))
        return SourceInfo(native_id=first["id"], agent="chatter", created_us=1_700_000_000_000_000)

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        return ChatReader(state, find)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        yield from sorted(home.glob(".chatter/*"))

    def companions(self, path: Path) -> list[Path]:
        return []

    def export_name(self, session_id: str) -> str:
        return f"{session_id}.json"

    def covered(self, path: Path) -> Iterable[Path]:
        return []


def _document(chat_id: str, header: dict[str, Any], entries: Iterable[Any], title: str) -> Document:
    lines = [line_of({"kind": "chat", "id": chat_id} | header)]
    settled_count: int | None = None
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
            lines.append(unreadable(f"entry {number}", "it has no text", json.dumps(entry).encode()))
            continue
        if not entry.get("done", True) and settled_count is None:
            settled_count = len(lines)
        lines.append(line_of({"kind": "entry"} | entry))
    settled_count = len(lines) if settled_count is None else settled_count
    if title:
        lines.append(line_of({"kind": "title", "title": title}))
    return Document(native_id=chat_id, lines=lines, settled_count=settled_count)


class JsonChats(_Chats):
    """``{"chatter": 1, "chats": [Chat, …]}``."""

    name = "json-chats"

    def sniff(self, path: Path, head: bytes) -> float:
        value = head_value(head)
        if isinstance(value, dict):
            return 0.9 if "chatter" in value else 0.0
        return 0.8 if head.startswith(b'{"chatter"') else 0.0

    def documents(self, path: Path) -> Iterator[Document]:
        try:
            value = json.loads(path.read_bytes())
        except ValueError as error:
            raise FormatError(f"{path}: {error}", path=str(path)) from error
        for one in value["chats"]:
            if one == "damaged":
                raise FormatError(f"{path}: the rest is damaged", path=str(path))
            yield _document(one["id"], {}, one["entries"], one["title"])


class DatabaseChats(_Chats):
    """Tables ``chat(id, title)`` and ``entry(chat, number, json)``."""

    name = "database-chats"

    def sniff(self, path: Path, head: bytes) -> float:
        return 0.9 if head.startswith(SQLITE_MAGIC) and {"chat", "entry"} <= set(tables_of(path, head)) else 0.0

    def documents(self, path: Path) -> Iterator[Document]:
        with open_database(path) as connection:
            try:
                chats = connection.execute("SELECT id, title FROM chat ORDER BY id").fetchall()
            except sqlite3.Error as error:
                raise FormatError(f"{path}: {error}", path=str(path)) from error
            for row in chats:
                entries = connection.execute("SELECT json FROM entry WHERE chat = ? ORDER BY number", (row["id"],)).fetchall()
                yield _document(row["id"], {}, [json.loads(entry["json"]) for entry in entries], row["title"])

    def covered(self, path: Path) -> Iterable[Path]:
        return [path.with_name(path.name + "-notes.json")]


class _Point:
    def __init__(self, kind: Callable[[], Any]) -> None:
        self.name = kind().name
        self._kind = kind

    def load(self) -> Any:
        return self._kind


def formats_with_chats() -> Formats:
    """The built-in formats and these two."""
    return Formats([_Point(JsonChats), _Point(DatabaseChats)])


def write_json(path: Path, chats: list[Any]) -> None:
    path.write_text(json.dumps({"chatter": 1, "chats": chats}))


def write_database(path: Path, chats: list[Any]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE IF NOT EXISTS chat (id, title)")
        connection.execute("CREATE TABLE IF NOT EXISTS entry (chat, number, json)")
        connection.execute("DELETE FROM chat")
        connection.execute("DELETE FROM entry")
        for one in chats:
            connection.execute("INSERT INTO chat VALUES (?, ?)", (one["id"], one["title"]))
            rows = [(one["id"], number, json.dumps(entry)) for number, entry in enumerate(one["entries"])]
            connection.executemany("INSERT INTO entry VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")


WRITERS: dict[str, Callable[[Path, list[Any]], None]] = {"chats.json": write_json, "chats.db": write_database}
"""By the name of the file."""
