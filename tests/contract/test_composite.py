"""The contract suite on the composite store."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from turnfold.artifacts.folder import FolderArtifacts
from turnfold.artifacts.memory import MemoryArtifacts
from turnfold.artifacts.objects import ObjectArtifacts
from turnfold.ports.store import Store
from turnfold.stores.composite import CompositeStore
from turnfold.stores.encrypted import EncryptedStore
from turnfold.stores.encrypted.derived import DerivedKeyring
from turnfold.stores.memory import MemoryStore
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract
from turnfold.testing.contract.erasing import RedactionCases
from turnfold.testing.contract.heads import AlsoCases, PartCases
from turnfold.testing.contract.verbatim import VerbatimCases
from turnfold.testing.servers.s3 import MotoServer


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


class TestEncryptedComposite(StoreContract):
    """Both halves encrypted, with a key that neither sees."""

    def make_store(self, clock: FakeClock) -> Store:
        artifacts = FolderArtifacts(self.tmp_path / "artifacts")
        composite = CompositeStore(MemoryStore(clock=clock), artifacts, clock=clock)
        return EncryptedStore(composite, DerivedKeyring([secrets.token_bytes(32)], "a test"), search="tokens")


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One server for the cases below; each has its own bucket."""
    with MotoServer(tmp_path_factory.mktemp("moto")) as server:
        TestMemorySessionsAndBucket.server = server
        yield


@pytest.mark.usefixtures("moto")
class TestMemorySessionsAndBucket(PartCases, RedactionCases, AlsoCases, VerbatimCases):
    """What concerns parts, with artifacts in a bucket."""

    server: MotoServer

    def make_store(self, clock: FakeClock) -> Store:
        return CompositeStore(MemoryStore(clock=clock), ObjectArtifacts(self.server.url), clock=clock)
