"""PostgreSQL: Turnfold and the hand-written floor, on a server of the benchmark's own; each run has a database of its own.

The floor is one statement per append: it moves the session's counter and inserts the event, with the body made by json, ids by uuid, as
anybody would write it with psycopg, prepared and in binary. Durable or not, it is the same server that both use.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import time
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from benchmarks.contestant import Contestant, contestant
from benchmarks.conversation import Item
from benchmarks.messages import from_message, to_message
from benchmarks.ours import Ours, OursAsync
from benchmarks.servers import VARIABLE

_TABLES = """
CREATE TABLE IF NOT EXISTS talk(name text PRIMARY KEY, owner text, agent text, last_seq bigint NOT NULL, changed bigint NOT NULL)
  WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS entry(talk text, seq bigint, id uuid NOT NULL, at bigint NOT NULL, body bytea NOT NULL, PRIMARY KEY(talk, seq));
"""
_APPEND = (
    "WITH moved AS (UPDATE talk SET last_seq = last_seq + 1, changed = %s WHERE name = %s RETURNING last_seq) "
    "INSERT INTO entry SELECT %s, last_seq, %s, %s, %s FROM moved RETURNING seq"
)


def database(folder_name: str) -> str:
    """Return the URL of this run's database, made by whoever comes first."""
    import psycopg

    server = os.environ[VARIABLE]
    name = "bench_" + "".join(char if char.isalnum() else "_" for char in folder_name)
    there = contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation)
    with psycopg.connect(server, autocommit=True) as connection, there:
        connection.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0".encode())
    parts = urlsplit(server)
    return urlunsplit((parts.scheme, parts.netloc, f"/{name}", "", ""))


class _Postgres:
    SCHEME = "postgres"
    SERVER = "postgresql"

    def load_library(self: Any) -> None:
        super().load_library()  # type: ignore[misc]
        self.database = database(self.folder.name)

    def url(self: Any) -> str:
        return str(self.database)


@contestant
class Postgres(_Postgres, Ours):
    """PostgreSQL, sync."""

    NAME = "turnfold-postgresql"


@contestant
class PostgresAsync(_Postgres, OursAsync):
    """PostgreSQL, async."""

    NAME = "turnfold-postgresql-async"


class Writer:
    """A writer's own connection and its session."""

    __slots__ = ("cursor", "name")

    def __init__(self, cursor: Any, name: str) -> None:
        self.cursor, self.name = cursor, name


class _Floor(Contestant):
    SERVER = "postgresql"

    def load_library(self) -> None:
        importlib.import_module("psycopg")
        self.database = database(self.folder.name)

    def native(self, items: Sequence[Item]) -> list[Any]:
        from turnfold.model.message import encode_message

        return [json.loads(encode_message(to_message(item))) for item in items]

    def neutral(self, natives: list[Any]) -> list[Item]:
        import msgspec

        from turnfold.model.message import Message

        return [from_message(msgspec.convert(one, Message)) for one in natives]

    @staticmethod
    def values(name: str, body: Any) -> tuple[Any, ...]:
        """What one append sends."""
        at = time.time_ns() // 1_000
        return (at, name, name, uuid.uuid4(), at, json.dumps(body).encode())


@contestant
class Raw(_Floor):
    """psycopg, one prepared statement per append."""

    NAME = "raw-postgresql"

    def open(self) -> Any:
        self.cursor = self._cursor()
        self.cursor.execute(_TABLES, prepare=False, binary=False)

    def _cursor(self) -> Any:
        import psycopg

        return psycopg.connect(self.database, autocommit=True).cursor(binary=True)

    def session(self, name: str, user: str, agent: str, *, new: bool) -> Any:
        if new:
            self.cursor.execute("INSERT INTO talk VALUES(%s, %s, %s, 0, 0)", (name, user, agent))
        return Writer(self.cursor, name)

    def writer(self, name: str, user: str, agent: str) -> Any:
        return Writer(self._cursor(), name)

    def append(self, handle: Any, batch: Any) -> Any:
        assert len(batch) == 1
        handle.cursor.execute(_APPEND, self.values(handle.name, batch[0]), prepare=True).fetchone()

    def load(self, handle: Any) -> Any:
        rows = handle.cursor.execute("SELECT body FROM entry WHERE talk = %s ORDER BY seq", (handle.name,)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def close(self) -> Any:
        self.cursor.connection.close()

    # ---- following -------------------------------------------------------------------------------------------------------------------
    def follow(self, take: Any, ready: Any) -> None:
        """LISTEN, and read on from a cursor."""
        listener = self._cursor().connection
        listener.execute("LISTEN entry")
        after = self.cursor.execute("SELECT last_seq FROM talk WHERE name = 'shared'").fetchone()[0]
        ready()
        for _ in listener.notifies():
            rows = self.cursor.execute("SELECT seq, body FROM entry WHERE talk = 'shared' AND seq > %s ORDER BY seq", (after,)).fetchall()
            for seq, body in rows:
                after = seq
                if take(json.loads(body)["parts"][0]["content"]):
                    listener.close()
                    return


@contestant
class RawNotify(Raw):
    """The same with a NOTIFY in each append."""

    NAME = "raw-postgresql-notify"

    def append(self, handle: Any, batch: Any) -> Any:
        sql = f"{_APPEND}, pg_notify('entry', '')"
        handle.cursor.execute(sql, self.values(handle.name, batch[0]), prepare=True).fetchone()


@contestant
class RawAsync(_Floor):
    """psycopg's async connection, one prepared statement per append; 16 of them for 16 tasks."""

    NAME = "raw-postgresql-async"
    ASYNC = True

    async def open(self) -> None:
        import psycopg

        self.connections: list[Any] = []
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(_TABLES)
        self.cursor = await self._cursor()

    async def _cursor(self) -> Any:
        import psycopg

        connection = await psycopg.AsyncConnection.connect(self.database, autocommit=True)
        self.connections.append(connection)
        return connection.cursor(binary=True)

    async def session(self, name: str, user: str, agent: str, *, new: bool) -> Any:
        if new:
            await self.cursor.execute("INSERT INTO talk VALUES(%s, %s, %s, 0, 0)", (name, user, agent))
        return Writer(self.cursor, name)

    async def writer(self, name: str, user: str, agent: str) -> Any:
        return Writer(await self._cursor(), name)

    async def append(self, handle: Any, batch: Any) -> None:
        await handle.cursor.execute(_APPEND, self.values(handle.name, batch[0]), prepare=True)
        await handle.cursor.fetchone()

    async def load(self, handle: Any) -> Any:
        await handle.cursor.execute("SELECT body FROM entry WHERE talk = %s ORDER BY seq", (handle.name,))
        return [json.loads(row[0]) for row in await handle.cursor.fetchall()]

    async def close(self) -> None:
        for connection in self.connections:
            await connection.close()
