"""The contract suite on the store on object storage, with moto's server behind it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from turnfold.ports.store import Store
from turnfold.stores.s3 import S3Store, segments
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract
from turnfold.testing.servers.s3 import MotoServer


@pytest.fixture(scope="module")
def bucket_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket on a server of this module's own."""
    with MotoServer(tmp_path_factory.mktemp("moto")) as server:
        yield server.url


class OnMoto(StoreContract):
    """A new prefix for every test."""

    @pytest.fixture(autouse=True)
    def _url(self, bucket_url: str) -> None:
        self.bucket_url = bucket_url

    def make_store(self, clock: FakeClock) -> Store:
        return S3Store(self.bucket_url.replace("/?", f"/{secrets.token_hex(6)}?"), clock=clock)


class TestS3Store(OnMoto):
    """See ``turnfold.testing.contract``."""


class TestS3StoreInManyObjects(OnMoto):
    """The same with a new segment, and a new base, for nearly every commit."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(segments, "OBJECT_TAIL_BYTES_MAX", 500)
        monkeypatch.setattr(segments, "OBJECT_SEGMENT_BYTES_MAX", 3_000)
        monkeypatch.setattr(segments, "OBJECT_ROWS_BYTES_MAX", 100)
