"""Peers: the session classes that a user would otherwise pick, used as their documentation intends, with their default durability."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from typing import Any

from benchmarks.contestant import Contestant, contestant
from benchmarks.conversation import Item, Kind, from_openai, openai_items


@contestant
class OpenAISqlite(Contestant):
    """SQLiteSession of openai-agents."""

    NAME = "openai-agents"
    ASYNC = True
    IMPORT = "from agents import SQLiteSession; SQLiteSession('a', '{path}/s.db')"

    def load_library(self) -> None:
        os.environ.setdefault("OPENAI_AGENTS_DISABLE_TRACING", "1")
        from agents import SQLiteSession

        self.make = SQLiteSession

    async def open(self) -> None:
        self.handles: list[Any] = []

    async def session(self, name: str, user: str, agent: str, *, new: bool) -> Any:
        handle = self.make(name, str(self.folder / "s.db"))
        self.handles.append(handle)
        return handle

    async def writer(self, name: str, user: str, agent: str) -> Any:
        return await self.session(name, user, agent, new=False)

    def native(self, items: Sequence[Item]) -> list[Any]:
        return openai_items(tuple(items))

    async def append(self, handle: Any, batch: Any) -> None:
        await handle.add_items(batch)

    async def shared(self, handle: Any, batch: Any) -> None:
        await handle.add_items(batch)

    async def load(self, handle: Any) -> Any:
        return await handle.get_items()

    async def tail(self, handle: Any, count: int) -> Any:
        return await handle.get_items(limit=count)

    def neutral(self, natives: list[Any]) -> list[Item]:
        return from_openai(natives)

    async def close(self) -> None:
        for handle in self.handles:
            handle.close()


@contestant
class EventsourcingSqlite(Contestant):
    """The SQLite recorder of eventsourcing, its lowest level: the caller encodes, decodes and counts."""

    NAME = "eventsourcing"
    IMPORT = "import eventsourcing.sqlite as s; s.SQLiteApplicationRecorder(s.SQLiteDatastore('{path}/s.db')).create_table()"
    MODULE = "eventsourcing.sqlite"

    def load_library(self) -> None:
        import importlib

        from eventsourcing import persistence, utils

        importlib.import_module(self.MODULE)
        self.persistence, self.environment = persistence, utils.Environment

    def open(self) -> None:
        values = {"PERSISTENCE_MODULE": self.MODULE, "SQLITE_DBNAME": str(self.folder / "s.db"), "SQLITE_LOCK_TIMEOUT": "30"}
        self.factory: Any = self.persistence.InfrastructureFactory.construct(self.environment(name="", env=values))
        self.recorder: Any = self.factory.application_recorder()

    def session(self, name: str, user: str, agent: str, *, new: bool) -> Any:
        talk = uuid.uuid5(uuid.NAMESPACE_URL, name)
        return [talk, 0 if new else self._next(talk)]

    def _next(self, talk: uuid.UUID) -> int:
        last = list(self.recorder.select_events(talk, desc=True, limit=1))
        return int(last[0].originator_version) + 1 if last else 0

    def native(self, items: Sequence[Item]) -> list[Any]:
        return [json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode() for one in openai_items(tuple(items))]

    def append(self, handle: Any, batch: Any) -> None:
        make = self.persistence.StoredEvent
        self.recorder.insert_events([make(handle[0], at, "m", body) for at, body in enumerate(batch, handle[1])])
        handle[1] += len(batch)

    def shared(self, handle: Any, batch: Any) -> None:
        for _ in range(1_000):  # optimistic: a conflict is the caller's to retry
            try:
                self.append(handle, batch)
            except self.persistence.IntegrityError:
                handle[1] = self._next(handle[0])
            else:
                return
        raise RuntimeError("1,000 version conflicts")

    def load(self, handle: Any) -> Any:
        return [json.loads(event.state) for event in self.recorder.select_events(handle[0])]

    def tail(self, handle: Any, count: int) -> Any:
        events = list(self.recorder.select_events(handle[0], desc=True, limit=count))
        return [json.loads(event.state) for event in reversed(events)]

    def neutral(self, natives: list[Any]) -> list[Item]:
        return from_openai(natives)

    def close(self) -> None:
        self.factory.close()


@contestant
class EventsourcingMemory(EventsourcingSqlite):
    """The in-memory recorder of eventsourcing."""

    NAME = "eventsourcing-memory"
    LASTING = False
    IMPORT = ""
    MODULE = "eventsourcing.popo"


@contestant
class SessionLinker(Contestant):
    """SessionManager of agent-session-linker over its SQLite backend: the whole session as JSON with every save."""

    NAME = "agent-session-linker"
    IMPORT = (
        "from agent_session_linker.session.manager import SessionManager; from agent_session_linker.storage.sqlite import SQLiteBackend; "
        "SessionManager(SQLiteBackend('{path}/s.db'))"
    )

    def load_library(self) -> None:
        from agent_session_linker.branching.branch_manager import BranchManager
        from agent_session_linker.session.manager import SessionManager
        from agent_session_linker.storage.sqlite import SQLiteBackend

        self.manager_type, self.backend_type, self.branches = SessionManager, SQLiteBackend, BranchManager

    def open(self) -> None:
        self.manager: Any = self.manager_type(self.backend_type(self.folder / "s.db"))

    def session(self, name: str, user: str, agent: str, *, new: bool) -> Any:
        if not new:
            return {"name": name, "state": None}
        state = self.manager.create_session(agent_id=f"{user}/{agent}")  # it has no field for the user
        state.session_id = name
        return {"name": name, "state": state}

    def native(self, items: Sequence[Item]) -> list[Any]:
        out: list[Any] = []
        for item in items:
            if item.kind in {"user", "answer"}:
                out.append(("user" if item.kind == "user" else "assistant", item.text, "conversation"))
            else:
                body = json.dumps({"id": item.call_id, "tool": item.tool, "value": item.value}, ensure_ascii=False)
                out.append(("assistant", body, "tool_call") if item.kind == "call" else ("tool", body, "tool_result"))
        return out

    def append(self, handle: Any, batch: Any) -> None:
        if handle["state"] is None:
            handle["state"] = self.manager.load_session(handle["name"])
        for role, content, kind in batch:
            handle["state"].add_segment(role, content, segment_type=kind)
        self.manager.save_session(handle["state"])

    def shared(self, handle: Any, batch: Any) -> None:
        handle["state"] = self.manager.load_session(handle["name"])  # the documented flow: load, change, save
        self.append(handle, batch)

    def load(self, handle: Any) -> Any:
        handle["state"] = self.manager.load_session(handle["name"])
        return handle["state"].segments

    def tail(self, handle: Any, count: int) -> Any:
        return self.load(handle)[-count:]

    def fork(self, handle: Any, at: int, name: str) -> Any:
        source = self.manager.load_session(handle["name"])
        branch = self.branches(handle["name"]).create_branch(source, name).session
        branch.segments, branch.session_id = branch.segments[:at], name
        self.manager.save_session(branch)
        return {"name": name, "state": None}

    def find(self, user: str, agent: str, limit: int) -> Any:
        return self.manager.list_sessions_for_agent(f"{user}/{agent}")[:limit]

    def neutral(self, natives: list[Any]) -> list[Item]:
        out: list[Item] = []
        for segment in natives:
            if segment.segment_type == "conversation":
                out.append(Item("user" if segment.role == "user" else "answer", segment.content))
            else:
                body = json.loads(segment.content)
                kind: Kind = "call" if segment.segment_type == "tool_call" else "result"
                out.append(Item(kind, call_id=body["id"], tool=body["tool"], value=body["value"]))
        return out
