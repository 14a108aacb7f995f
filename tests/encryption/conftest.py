"""Encrypted stores whose inner store, file and keyring a test can get at."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from turnfold.client import Client
from turnfold.model.settings import Settings
from turnfold.ports.store import Store
from turnfold.stores.encrypted import EncryptedStore
from turnfold.stores.encrypted.derived import DerivedKeyring
from turnfold.stores.encrypted.filering import FileKeyring
from turnfold.stores.files import FilesStore
from turnfold.stores.memory import MemoryStore
from turnfold.stores.sqlite import SqliteStore

QUIET = Settings(upkeep=False)


def wrapper(client: Client) -> EncryptedStore:
    """The encrypted store of a client."""
    assert isinstance(client.store, EncryptedStore)
    return client.store


class Place(NamedTuple):
    """Where an encrypted store is."""

    folder: Path
    make: Callable[[Path], Store]

    @property
    def keys(self) -> Path:
        """The keyring file."""
        return self.folder / "keys.jsonl"

    def keyring(self) -> FileKeyring:
        """Open the keyring, which is made when it is first asked for."""
        return FileKeyring(self.keys) if self.keys.exists() else FileKeyring.create_file(self.keys)

    def inner(self) -> Store:
        """Open the store without the wrapper."""
        (self.folder / "data").mkdir(exist_ok=True)
        return self.make(self.folder / "data")

    def store(self, *, search: str = "off") -> EncryptedStore:
        """Open the store with it."""
        return EncryptedStore(self.inner(), self.keyring(), search=search)

    def client(self, *, search: str = "off") -> Client:
        """Open a client."""
        return Client(self.store(search=search), settings=QUIET)


@pytest.fixture(params=["sqlite", "files"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A store on disk."""
    makers: dict[str, Callable[[Path], Store]] = {
        "sqlite": lambda folder: SqliteStore(folder / "a.db", durability="normal"),
        "files": lambda folder: FilesStore(folder / "sessions", durability="normal"),
    }
    return Place(tmp_path, makers[request.param])


class InMemory(NamedTuple):
    """A memory store and the wrapper around it."""

    inner: MemoryStore
    store: EncryptedStore
    client: Client


@pytest.fixture
def memory() -> Iterator[InMemory]:
    """A store in memory, with keys from a master key."""
    inner = MemoryStore()
    store = EncryptedStore(inner, DerivedKeyring([secrets.token_bytes(32)], "a test"))
    with Client(store, settings=QUIET) as client:
        yield InMemory(inner, store, client)
