"""Floors: the least that hand-written Python could do for the same durable result, on the bytes that Turnfold stores as payloads.

No ids, digests, times, types or counters: a session number, a seq and the payload. What Turnfold adds is paid between the floor and ours.
"""

from __future__ import annotations

import ctypes
import json
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from benchmarks.contestant import Contestant, contestant
from benchmarks.conversation import Item
from benchmarks.messages import from_message, to_message
from turnfold.model.message import Message, decode_message, encode_message

SCHEMA = """
CREATE TABLE IF NOT EXISTS talk(
    id INTEGER PRIMARY KEY, name TEXT UNIQUE, user TEXT, agent TEXT, changed INTEGER, parent INTEGER, parent_seq INTEGER);
CREATE INDEX IF NOT EXISTS talk_of ON talk(user, agent, changed DESC);
CREATE TABLE IF NOT EXISTS entry(talk INTEGER, seq INTEGER, body BLOB, PRIMARY KEY(talk, seq));
"""


class Place:
    """Where a floor's handle writes: session, next seq, and the parent that a branch reads through."""

    __slots__ = ("next", "parent", "parent_seq", "talk")

    def __init__(self, talk: int, following: int, parent: int | None = None, parent_seq: int = 0) -> None:
        self.talk, self.next, self.parent, self.parent_seq = talk, following, parent, parent_seq


class Bytes(Contestant):
    """A floor that is handed payload bytes and reads JSON."""

    @staticmethod
    def decoder() -> Callable[[bytes], Any]:
        """What turns stored bytes into objects."""
        return json.loads

    def native(self, items: Sequence[Item]) -> list[Any]:
        return [encode_message(to_message(item)) for item in items]

    def neutral(self, natives: list[Any]) -> list[Item]:
        return [from_message(one if isinstance(one, Message) else msgspec.convert(one, Message)) for one in natives]


@contestant
class Sqlite(Bytes):
    """sqlite3, WAL, synchronous=FULL, one autocommit INSERT; loads with the standard library's json."""

    NAME = "raw-sqlite"
    IMPORT = "import sqlite3, json; sqlite3.connect('{path}/raw.db').execute('PRAGMA journal_mode=WAL')"

    def open(self) -> Any:
        self.db = self.connect()
        self.db.executescript(SCHEMA)
        self.clock = self.db.execute("SELECT ifnull(max(changed), 0) FROM talk").fetchone()[0]

    def connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.folder / "raw.db", isolation_level=None, check_same_thread=False, timeout=60)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={'FULL' if self.durable else 'NORMAL'}")
        return db

    def session(self, name: str, user: str, agent: str, *, new: bool) -> Any:
        if new:
            self.clock += 1
            sql = "INSERT INTO talk(name, user, agent, changed) VALUES(?, ?, ?, ?)"
            talk = self.db.execute(sql, (name, user, agent, self.clock)).lastrowid
            assert talk is not None
            return Place(talk, 1)
        talk, parent, parent_seq = self.db.execute("SELECT id, parent, parent_seq FROM talk WHERE name = ?", (name,)).fetchone()
        last = self.db.execute("SELECT ifnull(max(seq), 0) FROM entry WHERE talk = ?", (talk,)).fetchone()[0]
        return Place(talk, max(last, parent_seq or 0) + 1, parent, parent_seq or 0)

    def writer(self, name: str, user: str, agent: str) -> Any:
        return self.connect(), self.session(name, user, agent, new=False).talk

    def append(self, handle: Any, batch: Any) -> Any:
        if len(batch) == 1:
            self.db.execute("INSERT INTO entry VALUES(?, ?, ?)", (handle.talk, handle.next, batch[0]))
        else:
            self.db.execute("BEGIN IMMEDIATE")
            self.db.executemany(
                "INSERT INTO entry VALUES(?, ?, ?)", [(handle.talk, at, body) for at, body in enumerate(batch, handle.next)]
            )
            self.db.execute("COMMIT")
        handle.next += len(batch)

    def shared(self, handle: Any, batch: Any) -> Any:
        db, talk = handle  # the place is given out inside the statement, so writers need to know nothing of each other
        db.execute("INSERT INTO entry SELECT ?1, ifnull(max(seq), 0) + 1, ?2 FROM entry WHERE talk = ?1", (talk, batch[0]))

    def load(self, handle: Any) -> Any:
        rows: list[Any] = []
        select = "SELECT body FROM entry WHERE talk = ? AND seq <= ? ORDER BY seq"
        if handle.parent is not None:
            rows = self.db.execute(select, (handle.parent, handle.parent_seq)).fetchall()
        rows += self.db.execute(select, (handle.talk, handle.next)).fetchall()
        decode = self.decoder()
        return [decode(row[0]) for row in rows]

    def tail(self, handle: Any, count: int) -> list[Any]:
        rows = self.db.execute("SELECT body FROM entry WHERE talk = ? ORDER BY seq DESC LIMIT ?", (handle.talk, count)).fetchall()
        decode = self.decoder()
        return [decode(row[0]) for row in reversed(rows)]

    def fork(self, handle: Any, at: int, name: str) -> Any:
        sql = (
            "INSERT INTO talk(name, user, agent, changed, parent, parent_seq) SELECT ?, user, agent, changed, id, ? FROM talk WHERE id = ?"
        )
        talk = self.db.execute(sql, (name, at, handle.talk)).lastrowid
        assert talk is not None
        return Place(talk, at + 1, handle.talk, at)

    def find(self, user: str, agent: str, limit: int) -> list[str]:
        sql = "SELECT name FROM talk WHERE user = ? AND agent = ? ORDER BY changed DESC LIMIT ?"
        return [row[0] for row in self.db.execute(sql, (user, agent, limit))]

    def close(self) -> Any:
        self.db.close()


@contestant
class SqliteFast(Sqlite):
    """The same, decoding with msgspec into Message objects: what the fastest typed load could be."""

    NAME = "raw-sqlite+msgspec"

    @staticmethod
    def decoder() -> Callable[[bytes], Any]:
        return decode_message


@contestant
class SqliteJson(Sqlite):
    """The same with json.dumps inside the timed append: what any library must do too."""

    NAME = "raw-sqlite+json"

    def native(self, items: Sequence[Item]) -> list[Any]:
        return [json.loads(body) for body in super().native(items)]

    def append(self, handle: Any, batch: Any) -> None:
        super().append(handle, [json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode() for one in batch])


@contestant
class File(Bytes):
    """One file per session, one line per item, write + fdatasync."""

    NAME = "raw-file"
    IMPORT = "import json, os; os.open('{path}/a.jsonl', os.O_CREAT | os.O_APPEND | os.O_WRONLY)"

    def open(self) -> None:
        self.folder.mkdir(exist_ok=True)

    def session(self, name: str, user: str, agent: str, *, new: bool) -> Any:
        path = self.folder / f"{name}.jsonl"
        return os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY), path

    def append(self, handle: Any, batch: Any) -> None:
        os.write(handle[0], b"\n".join(batch) + b"\n")
        if self.durable:
            os.fdatasync(handle[0])

    def load(self, handle: Any) -> list[Any]:
        with handle[1].open("rb") as file:
            return [json.loads(line) for line in file]

    def tail(self, handle: Any, count: int) -> list[Any]:
        with handle[1].open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            back = 64 * 1024
            while True:
                file.seek(max(0, size - back))
                lines = file.read().split(b"\n")
                if len(lines) > count + 1 or back >= size:
                    return [json.loads(line) for line in lines[-count - 1 : -1]]
                back *= 2


@contestant
class Dict(Bytes):
    """A list per session in a dict: what a memory store cannot be faster than."""

    NAME = "raw-dict"
    LASTING = False

    def open(self) -> None:
        self.talks: dict[str, list[bytes]] = {}

    def session(self, name: str, user: str, agent: str, *, new: bool) -> Any:
        return self.talks.setdefault(name, [])

    def append(self, handle: Any, batch: Any) -> None:
        handle.extend(batch)

    def load(self, handle: Any) -> list[Any]:
        return [json.loads(body) for body in handle]

    def tail(self, handle: Any, count: int) -> list[Any]:
        return [json.loads(body) for body in handle[-count:]]


@contestant
class SqliteFollowed(Sqlite):
    """Follows by inotify on the WAL and ``data_version``: no latency that is not the machine's."""

    NAME = "raw-sqlite-inotify"

    def follow(self, take: Callable[[str], bool], ready: Callable[[], None]) -> None:
        """Call ``take`` with the text of every entry that others append; it says when it has enough."""
        libc = ctypes.CDLL(None, use_errno=True)
        notify = libc.inotify_init1(0)
        last = self.session("shared", "", "", new=False).next - 1
        libc.inotify_add_watch(notify, os.fsencode(self.folder / "raw.db-wal"), 2)  # IN_MODIFY
        version = self.db.execute("PRAGMA data_version").fetchone()[0]
        ready()
        while True:
            os.read(notify, 4_096)
            end = time.monotonic() + 0.02  # the write wakes the reader before the commit is visible, so it looks for a while
            while (seen := self.db.execute("PRAGMA data_version").fetchone()[0]) == version and time.monotonic() < end:
                time.sleep(0.00002)
            version = seen
            for seq, body in self.db.execute("SELECT seq, body FROM entry WHERE seq > ? ORDER BY seq", (last,)).fetchall():
                last = seq
                if take(json.loads(body)["parts"][0]["content"]):
                    return
