"""Turnfold through its public client, sync and async, on each embedded store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from benchmarks.contestant import Contestant, contestant
from benchmarks.conversation import Item
from benchmarks.messages import from_message, to_message

_IMPORT = "import turnfold; turnfold.connect('{url}', upkeep=False)"


class Ours(Contestant):
    """The sync client."""

    SCHEME: ClassVar[str] = ""

    def load_library(self) -> None:
        import importlib

        import turnfold

        turnfold.connect("memory://").close()  # public names are imported on first use
        importlib.import_module("turnfold.client_async")
        importlib.import_module(f"turnfold.stores.{self.SCHEME}")  # a store when it is opened: import has a goal of its own

    def url(self) -> str:
        return f"{self.SCHEME}://"

    def open(self) -> Any:
        import turnfold

        self.client: Any = turnfold.connect(self.url(), upkeep=self.background)

    def session(self, name: str, user: str, agent: str, *, new: bool) -> Any:
        return self.client.open(name, owner=user, agent=agent, create=new)

    def native(self, items: Sequence[Item]) -> list[Any]:
        return [to_message(item) for item in items]

    def batch(self, natives: list[Any]) -> Any:
        return natives[0] if len(natives) == 1 else natives

    def append(self, handle: Any, batch: Any) -> Any:
        handle.append(batch)

    def load(self, handle: Any) -> Any:
        return handle.messages()

    def tail(self, handle: Any, count: int) -> Any:
        return handle.messages(last=count)

    def neutral(self, natives: list[Any]) -> list[Item]:
        return [from_message(message) for message in natives]

    def fork(self, handle: Any, at: int, name: str) -> Any:
        return handle.fork(name, at=at + 1)  # seq 1 is the session's creation

    def find(self, user: str, agent: str, limit: int) -> Any:
        return [info.id for info in self.client.sessions(owner=user, agent=agent, limit=limit).items]

    def close(self) -> Any:
        self.client.close()


class OursAsync(Ours):
    """The async client."""

    ASYNC = True

    async def open(self) -> None:
        import turnfold

        self.client = turnfold.connect_async(self.url(), upkeep=self.background)

    async def session(self, name: str, user: str, agent: str, *, new: bool) -> Any:
        return await self.client.open(name, owner=user, agent=agent, create=new)

    async def writer(self, name: str, user: str, agent: str) -> Any:
        return await self.session(name, user, agent, new=False)

    async def append(self, handle: Any, batch: Any) -> None:
        await handle.append(batch)

    async def load(self, handle: Any) -> Any:
        return await handle.messages()

    async def tail(self, handle: Any, count: int) -> Any:
        return await handle.messages(last=count)

    async def fork(self, handle: Any, at: int, name: str) -> Any:
        return await handle.fork(name, at=at + 1)

    async def find(self, user: str, agent: str, limit: int) -> Any:
        page = await self.client.sessions(owner=user, agent=agent, limit=limit)
        return [info.id for info in page.items]

    async def close(self) -> None:
        await self.client.close()


class _Sqlite:
    SCHEME = "sqlite"
    IMPORT = _IMPORT.format(url="sqlite:////{path}/ours.db")

    def url(self: Any) -> str:
        return f"sqlite:///{self.folder / 'ours.db'}" + ("" if self.durable else "?durability=normal")


class _Files:
    SCHEME = "files"
    IMPORT = _IMPORT.format(url="files:////{path}/ours")

    def url(self: Any) -> str:
        return f"files:///{self.folder / 'ours'}" + ("" if self.durable else "?durability=normal")


@contestant
class Sqlite(_Sqlite, Ours):
    """SQLite, sync."""

    NAME = "turnfold-sqlite"


@contestant
class EncryptedSqlite(_Sqlite, Ours):
    """SQLite with everything sealed, keys in a file beside it."""

    NAME = "turnfold-sqlite-encrypted"

    def load_library(self) -> None:
        import importlib

        super().load_library()
        for name in ("turnfold.stores.encrypted.specs", "cryptography.hazmat.primitives.ciphers.aead", "cryptography.exceptions"):
            importlib.import_module(name)

    def url(self: Any) -> str:
        return f"encrypted+{super().url()}"

    def open(self) -> Any:
        import turnfold

        keys = self.folder / "keys.jsonl"
        if not keys.exists():
            turnfold.new_keyring(str(keys))
        self.client = turnfold.connect(self.url(), keyring=str(keys), upkeep=self.background)


@contestant
class SqliteAsync(_Sqlite, OursAsync):
    """SQLite, async."""

    NAME = "turnfold-sqlite-async"


@contestant
class Files(_Files, Ours):
    """Files, sync."""

    NAME = "turnfold-files"


@contestant
class FilesAsync(_Files, OursAsync):
    """Files, async."""

    NAME = "turnfold-files-async"


@contestant
class Memory(Ours):
    """Memory, sync."""

    NAME = "turnfold-memory"
    LASTING = False
    SCHEME = "memory"


@contestant
class MemoryAsync(OursAsync):
    """Memory, async."""

    NAME = "turnfold-memory-async"
    LASTING = False
    SCHEME = "memory"
