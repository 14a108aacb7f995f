"""Turnfold as a plug-in of the other harness: ``BENCH_EXTRA=benchmarks.harness_plugin`` with this repository on ``PYTHONPATH``.

That harness brings its own conversations, floors and a dozen peers; what is here only calls the public client.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchkit.base import Contestant, register

from benchmarks.conversation import Item
from benchmarks.messages import from_message, to_message

_KINDS = {"user": "user", "assistant": "answer", "tool_call": "call", "tool_result": "result"}
_NAMES = {ours: theirs for theirs, ours in _KINDS.items()}


def _item(neutral: dict[str, Any]) -> Item:
    value = neutral.get("args", neutral.get("output"))
    kind: Any = _KINDS[neutral["kind"]]
    return Item(kind, neutral.get("text", ""), neutral.get("id", ""), neutral.get("name", ""), value)


def _neutral(item: Item) -> dict[str, Any]:
    kind = _NAMES[item.kind]
    if item.kind in {"user", "answer"}:
        return {"kind": kind, "text": item.text}
    payload = "args" if item.kind == "call" else "output"
    return {"kind": kind, "id": item.call_id, "name": item.tool or "?", payload: item.value}


class _Turnfold(Contestant):  # type: ignore[misc]  # the other harness is untyped
    PEER = "turnfold"
    DISTS = ("turnfold",)
    TAIL = FORK = LIST = "native"
    FOLLOW = True
    URL = ""

    def imports(self) -> None:
        import turnfold

        self.library = turnfold

    def url(self) -> str:
        return self.URL.format(folder=Path(self.dir).resolve(), options="?durability=normal" if self.seed else "")

    def prepare(self, items: list[dict[str, Any]], sid: str) -> list[Any]:
        return [to_message(_item(neutral)) for neutral in items]

    def neutral(self, natives: Sequence[Any]) -> list[dict[str, Any]]:
        return _named([_neutral(from_message(message)) for message in natives])


def _named(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give results the name of their call, where the call was read too: a result holds the call's id, not its name."""
    names = {item["id"]: item["name"] for item in items if item["kind"] == "tool_call"}
    return [item | {"name": names.get(item["id"], "?")} if item["kind"] == "tool_result" else item for item in items]


class _Sync(_Turnfold):
    def open(self) -> None:
        self.client = self.library.connect(self.url())

    def new(self, sid: str, user: str, agent: str) -> Any:
        return self.client.open(sid, owner=user, agent=agent)

    def get(self, sid: str, user: str, agent: str) -> Any:
        return self.client.open(sid, owner=user, agent=agent)

    def append(self, session: Any, natives: list[Any]) -> None:
        session.append(natives[0] if len(natives) == 1 else natives)

    def load(self, session: Any) -> list[Any]:
        return list(session.messages())

    def tail(self, session: Any, count: int) -> list[Any]:
        return list(session.messages(last=count))

    def fork(self, session: Any, at: int, name: str) -> Any:
        return session.fork(name, at=at + 1)

    def list(self, user: str, agent: str, limit: int) -> list[str]:
        return [info.id for info in self.client.sessions(owner=user, agent=agent, limit=limit).items]

    def close(self) -> None:
        self.client.close()


class _Async(_Turnfold):
    ASYNC = True
    CONC = "asyncio"

    async def open(self) -> None:
        self.client = self.library.connect_async(self.url())

    async def new(self, sid: str, user: str, agent: str) -> Any:
        return await self.client.open(sid, owner=user, agent=agent)

    async def get(self, sid: str, user: str, agent: str) -> Any:
        return await self.client.open(sid, owner=user, agent=agent)

    async def append(self, session: Any, natives: list[Any]) -> None:
        await session.append(natives[0] if len(natives) == 1 else natives)

    async def load(self, session: Any) -> Any:
        return await session.messages()

    async def tail(self, session: Any, count: int) -> Any:
        return await session.messages(last=count)

    async def fork(self, session: Any, at: int, name: str) -> Any:
        return await session.fork(name, at=at + 1)

    async def list(self, user: str, agent: str, limit: int) -> list[str]:
        page = await self.client.sessions(owner=user, agent=agent, limit=limit)
        return [info.id for info in page.items]

    async def close(self) -> None:
        await self.client.close()


@register
class OurSqlite(_Sync):
    """SQLite, sync."""

    NAME = "our-sqlite"
    IMPORT = "import turnfold.client, turnfold.connecting, turnfold.stores.sqlite"
    BACKEND = "sqlite"
    DURABILITY = "WAL, synchronous=FULL"
    URL = "sqlite:///{folder}/our.db{options}"


@register
class OurSqliteAsync(_Async):
    """SQLite, async."""

    NAME = "our-sqlite-async"
    IMPORT = "import turnfold.client_async, turnfold.connecting, turnfold.stores.sqlite"
    BACKEND = "sqlite"
    DURABILITY = "WAL, synchronous=FULL"
    URL = "sqlite:///{folder}/our.db{options}"


@register
class OurFiles(_Sync):
    """Files, sync."""

    NAME = "our-files"
    IMPORT = "import turnfold.client, turnfold.connecting, turnfold.stores.files"
    BACKEND = "file"
    DURABILITY = "write + fdatasync"
    URL = "files:///{folder}/our{options}"


@register
class OurMemory(_Sync):
    """Memory, sync, through the client."""

    NAME = "our-memory"
    IMPORT = "import turnfold.client, turnfold.connecting, turnfold.stores.memory"
    BACKEND = "memory"
    COLD = False
    DURABILITY = "none (process memory)"
    URL = "memory://"
