"""One table of the stores at hand, for tests that hold on every store: where each is, how it is opened, and how it is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from turnfold.stores.registry import built_in_schemes
from turnfold.testing.faults import FolderPlace, MemoryPlace, Place, PostgresPlace, RedisPlace, S3Place


class CompositePlace(FolderPlace):
    """Sessions in SQLite, artifacts in a folder."""

    name = "composite"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "composite")

    def on(self, folder: Path) -> str:
        sessions, artifacts = quote(f"sqlite:///{folder}/sessions.db", safe=""), quote(f"files:///{folder}/artifacts", safe="")
        return f"composite:?sessions={sessions}&artifacts={artifacts}"


class EncryptedPlace(FolderPlace):
    """SQLite, encrypted; the keyring is a file beside it."""

    name = "encrypted+sqlite"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "encrypted+sqlite")

    def on(self, folder: Path) -> str:
        keyring = folder / "keys"
        if not keyring.exists():
            from turnfold.stores.encrypted.specs import new_keyring

            folder.mkdir(parents=True, exist_ok=True)
            new_keyring(str(keyring)).close()
        return f"encrypted+sqlite:///{folder}/store.db?search=tokens&keyring={keyring}"


PLACES: Final[dict[str, Callable[[Path], Place]]] = {
    "memory": MemoryPlace,
    "sqlite": lambda folder: FolderPlace(folder, "sqlite"),
    "files": lambda folder: FolderPlace(folder, "files"),
    "composite": CompositePlace,
    "encrypted+sqlite": EncryptedPlace,
    "postgresql": PostgresPlace,
    "redis": RedisPlace,
    "s3": S3Place,
}
"""By the scheme of their URLs."""

NAMES: Final = tuple(name for name in PLACES if name.rpartition("+")[2] in built_in_schemes())
"""Those that this Turnfold has."""

PUSHING: Final = frozenset({"memory", "sqlite", "composite", "encrypted+sqlite", "postgresql", "redis"})
"""Stores that wake a follower in another process within 100 ms; the others are looked at."""
