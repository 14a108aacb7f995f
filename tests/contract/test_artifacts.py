"""The contract suite on the artifact stores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3 import in_prefix, real_bucket
from turnfold import objectstorage
from turnfold.artifacts.folder import FolderArtifacts
from turnfold.artifacts.memory import MemoryArtifacts
from turnfold.artifacts.objects import ObjectArtifacts
from turnfold.artifacts.registry import open_artifacts
from turnfold.errors import InvalidInput, StoreUnavailable
from turnfold.ports.artifacts import ArtifactStore
from turnfold.testing.contract import ArtifactContract
from turnfold.testing.contract.artifacts import named
from turnfold.testing.servers.base import free_port
from turnfold.testing.servers.s3 import MotoServer


class TestMemoryArtifacts(ArtifactContract):
    """In this process."""

    def make_artifacts(self) -> ArtifactStore:
        return MemoryArtifacts()


class TestFolderArtifacts(ArtifactContract):
    """In a directory."""

    def make_artifacts(self) -> ArtifactStore:
        return FolderArtifacts(self.tmp_path / "artifacts")

    def test_what_a_killed_writer_left_is_no_artifact(self) -> None:
        name = self.keep(b"x")
        (path,) = (self.tmp_path / "artifacts").glob("??/*/*")
        left = path.with_name(path.name + ".1.2.tmp")
        left.write_bytes(b"half")
        assert self.names() == [name]
        assert left.exists(), "a young one may be a writer's"
        os.utime(left, (1, 1))
        assert self.names() == [name]
        assert not left.exists()

    def test_a_path_that_is_no_folder(self) -> None:
        (self.tmp_path / "file").write_bytes(b"")
        with pytest.raises(StoreUnavailable, match="file"):
            FolderArtifacts(self.tmp_path / "file" / "below")


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One server for the cases below; each has its own bucket."""
    with MotoServer(tmp_path_factory.mktemp("moto")) as server:
        TestObjectArtifacts.server = server
        yield


@pytest.mark.usefixtures("moto")
class TestObjectArtifacts(ArtifactContract):
    """In a bucket."""

    server: MotoServer

    def make_artifacts(self) -> ArtifactStore:
        return open_artifacts(self.server.store_url(self.server.new_bucket(), "some/prefix"))

    def test_prefixes_keep_apart(self) -> None:
        bucket = self.server.new_bucket()
        first, second = (open_artifacts(self.server.store_url(bucket, prefix)) for prefix in ("a", "b"))
        first.put(named(b"x"), b"x")
        assert [found.name for found in first.list()] == [named(b"x")]
        assert list(second.list()) == []

    def test_no_such_bucket(self) -> None:
        artifacts = open_artifacts(self.server.store_url("missing"))
        with pytest.raises(StoreUnavailable, match="s3://missing"):
            artifacts.put(named(b"x"), b"x")


@pytest.fixture(scope="module")
def real_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket on a real server."""
    yield from real_bucket(tmp_path_factory)


@pytest.mark.real_s3
class TestObjectArtifactsOnRealServer(ArtifactContract):
    """The same on a real server."""

    url: str

    @pytest.fixture(autouse=True)
    def _with_artifacts(self, real_url: str, tmp_path: Path) -> Iterator[None]:
        self.url = real_url
        self.tmp_path = tmp_path
        self.artifacts = self.make_artifacts()
        yield
        self.artifacts.close()

    def make_artifacts(self) -> ArtifactStore:
        return open_artifacts(in_prefix(self.url))


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectstorage, "OBJECT_BACKOFF_S_MAX", 0.01)
    url = f"s3://b?endpoint=http://127.0.0.1:{free_port()}&region=r&anonymous=true"
    artifacts = ObjectArtifacts(url)
    with pytest.raises(StoreUnavailable):
        artifacts.has(named(b"x"))


@pytest.mark.parametrize("url", ["ftp://x", "files:///", "files://host/x", "files:///x?a=b", "s3://", "s3://b?secret=x"])
def test_urls_that_mean_nothing(url: str) -> None:
    with pytest.raises(InvalidInput):
        open_artifacts(url)


def test_relative_and_absolute_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("files:///here", f"files:///{tmp_path}/there"):
        open_artifacts(url).put(named(b"x"), b"x")
    assert len(list(tmp_path.glob("here/??/*/*"))) == len(list(tmp_path.glob("there/??/*/*"))) == 1
