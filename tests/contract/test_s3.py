"""The contract suite on the store on object storage: on moto in every run, on a real server where one is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.s3 import bucket, in_prefix, real_bucket
from turnfold.ports.store import Store
from turnfold.stores.s3 import S3Store, segments
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract
from turnfold.testing.contract.appending import AppendCases
from turnfold.testing.contract.erasing import RangeCases, RedactionCases
from turnfold.testing.contract.heads import EntryCases, PartCases
from turnfold.testing.contract.idempotency import IdempotencyCases
from turnfold.testing.contract.reading import BranchCases, ReadCases
from turnfold.testing.contract.upkeep import CompactCases
from turnfold.testing.contract.verbatim import ContinuedCases, VerbatimCases


@pytest.fixture(scope="module")
def bucket_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket for this module."""
    yield from bucket(tmp_path_factory)


@pytest.fixture(scope="module")
def real_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket on a real server."""
    yield from real_bucket(tmp_path_factory)


@pytest.fixture
def small_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nearly every commit write a new segment and a new base."""
    monkeypatch.setattr(segments, "OBJECT_TAIL_BYTES_MAX", 500)
    monkeypatch.setattr(segments, "OBJECT_SEGMENT_BYTES_MAX", 3_000)
    monkeypatch.setattr(segments, "OBJECT_ROWS_BYTES_MAX", 100)


class OnObjects:
    """A new prefix for every test."""

    url_of_bucket: str

    def make_store(self, clock: FakeClock) -> Store:
        return S3Store(in_prefix(self.url_of_bucket), clock=clock)


class OnMoto(OnObjects):
    @pytest.fixture(autouse=True)
    def _url(self, bucket_url: str) -> None:
        self.url_of_bucket = bucket_url


class OnRealServer(OnObjects):
    @pytest.fixture(autouse=True)
    def _url(self, real_url: str) -> None:
        self.url_of_bucket = real_url


class TouchingSegments(
    AppendCases,
    IdempotencyCases,
    ReadCases,
    BranchCases,
    EntryCases,
    PartCases,
    RedactionCases,
    RangeCases,
    VerbatimCases,
    ContinuedCases,
    CompactCases,
):
    """The themes whose answers come out of segments and bases."""


class TestS3Store(OnMoto, StoreContract):
    """See ``turnfold.testing.contract``."""


@pytest.mark.usefixtures("small_objects")
class TestS3StoreInManyObjects(OnMoto, TouchingSegments):
    """The same with many small objects."""


@pytest.mark.real_s3
class TestS3StoreOnRealServer(OnRealServer, StoreContract):
    """The same on a real server."""


@pytest.mark.real_s3
@pytest.mark.usefixtures("small_objects")
class TestS3StoreOnRealServerInManyObjects(OnRealServer, StoreContract):
    """The same on a real server with many small objects."""
