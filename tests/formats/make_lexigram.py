"""Lets genuine lexigram-ai-session fill its stores: ``python make_lexigram.py FOLDER [record]``.

Needs ``lexigram-ai-session``. The cache store runs over a dict, the database store over the standard library's SQLite: the package's own
adapters for both fail at the first call, the stores above them are the package's.
"""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lexigram.ai.session.branching.branch_manager import BranchManager
from lexigram.ai.session.config import SessionConfig
from lexigram.ai.session.manager.core import SessionManagerImpl
from lexigram.ai.session.stores.cache import CacheSessionStore
from lexigram.ai.session.stores.database import DatabaseSessionStore
from lexigram.contracts.ai.session import SessionTurn

AT = datetime(2026, 3, 4, 5, 0, tzinfo=UTC)


class Cache:
    """A cache as the store asks for it, in a dict."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def get(self, key: str) -> str | None:
        return self.values.get(key)

    async def set(self, key: str, value: str, ttl: int | None = None) -> None:
        self.values[key] = value

    async def delete(self, key: str) -> None:
        self.values.pop(key, None)


class Database:
    """A database as the store asks for it, on SQLite."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.row_factory = sqlite3.Row

    @asynccontextmanager
    async def scoped_context(self) -> AsyncIterator[None]:
        yield

    async def get_scoped_connection(self) -> Database:
        return self

    async def execute(self, sql: str, *values: Any) -> Any:
        return self.connection.execute(re.sub(r"\$(\d+)", r"?\1", sql), values)

    async def fetch(self, sql: str, *values: Any) -> Any:
        return (await self.execute(sql, *values)).fetchall()

    async def fetchrow(self, sql: str, *values: Any) -> Any:
        return (await self.execute(sql, *values)).fetchone()


def turn(number: int, role: str, content: str, **more: Any) -> SessionTurn:
    return SessionTurn(turn_id=f"turn-{number}", role=role, content=content, timestamp=AT + timedelta(minutes=number), **more)


async def fill(store: Any) -> None:
    """Write a session with checkpoints, one of which it was restored from, and a fork of it."""
    manager = SessionManagerImpl(SessionConfig(auto_checkpoint_interval=None), store)
    session_id = (await manager.create("ada", {"channel": "web"})).session_id
    calls = [{"id": "c1", "name": "search", "arguments": {"q": "cats"}}, {"id": "c2", "function": {"name": "add", "arguments": '{"a": 1}'}}]
    await manager.add_turn(session_id, turn(1, "user", "Look for cats."))
    results = [{"tool_call_id": "c1", "result": "3 hits"}, {"skill": "unpaired", "ok": True}]
    more = {"tokens_used": 7, "cost": 0.002, "model": "m1", "provider": "p1"}
    await manager.add_turn(session_id, turn(2, "assistant", "I look.", tool_calls=calls, skill_results=results, **more))
    first = await manager.checkpoint(session_id)
    await manager.add_turn(session_id, turn(3, "tool", "three", metadata={"tool_call_id": "c2"}))
    await manager.add_turn(session_id, turn(4, "assistant", "Three ünïcode cats."))
    await manager.checkpoint(session_id)
    await manager.restore(first.checkpoint_id)
    await manager.add_turn(session_id, turn(5, "user", "And dogs?"))
    state = await store.load(session_id)
    state.variables["topic"] = "animals"
    await store.save(state)
    fork = await BranchManager(store).fork(session_id, "what-if")
    await manager.add_turn(fork.session_id, turn(6, "assistant", "No dogs."))
    await manager.suspend(session_id)


def make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cache = Cache()
    asyncio.run(fill(CacheSessionStore(cache)))
    (folder / "cache.json").write_text(json.dumps(cache.values, indent=1))
    for key, value in cache.values.items():
        if "user" not in key and key.startswith("ai:session:") and '"branch_name":null' in value.replace(" ", ""):
            (folder / "session.json").write_text(value)
    database = Database(folder / "lexigram.db")
    store = DatabaseSessionStore(database)

    async def both() -> None:
        await store._ensure_tables()
        await fill(store)

    asyncio.run(both())
    (folder / "lexigram.sql").write_text("\n".join(database.connection.iterdump()))
    database.connection.close()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    make(place)
    if len(sys.argv) > 2:
        files = {path.name: path.read_text() for path in sorted(place.iterdir()) if path.suffix in {".json", ".sql"}}
        (Path(__file__).parent / "recorded" / "lexigram.json").write_text(json.dumps(files, indent=1) + "\n")
