"""The contract suite on the composite store."""

from __future__ import annotations

from turnfold.artifacts.folder import FolderArtifacts
from turnfold.artifacts.memory import MemoryArtifacts
from turnfold.ports.store import Store
from turnfold.stores.composite import CompositeStore
from turnfold.stores.memory import MemoryStore
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract


class TestMemorySessionsAndFolder(StoreContract):
    """Sessions in memory, artifacts in a folder."""

    def make_store(self, clock: FakeClock) -> Store:
        return CompositeStore(MemoryStore(clock=clock), FolderArtifacts(self.tmp_path / "artifacts"), clock=clock)


class TestSqliteSessionsAndFolder(StoreContract):
    """Sessions in SQLite, artifacts in a folder."""

    def make_store(self, clock: FakeClock) -> Store:
        artifacts = FolderArtifacts(self.tmp_path / "artifacts")
        return CompositeStore(SqliteStore(self.tmp_path / "sessions.db", clock=clock), artifacts, clock=clock)


class TestCompositeOfComposite(StoreContract):
    """A composite whose sessions are a composite: the marker is a part of its own, and becomes an artifact of the inner one."""

    def make_store(self, clock: FakeClock) -> Store:
        inner = CompositeStore(MemoryStore(clock=clock), MemoryArtifacts(), clock=clock)
        return CompositeStore(inner, FolderArtifacts(self.tmp_path / "artifacts"), clock=clock)
