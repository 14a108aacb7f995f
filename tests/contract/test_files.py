"""The contract suite on the files store."""

from __future__ import annotations

import pytest

from tests.contract.compacted import CompactedFilesStore, make_everything_cold, make_segments_small
from turnfold.ports.store import Store
from turnfold.stores.files import FilesStore, log
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract


class TestFilesStore(StoreContract):
    """See ``turnfold.testing.contract``."""

    def make_store(self, clock: FakeClock) -> Store:
        return FilesStore(self.tmp_path / "store", clock=clock)


class TestFilesStoreInManySegments(StoreContract):
    """The same with a new segment for nearly every commit."""

    def make_store(self, clock: FakeClock) -> Store:
        return FilesStore(self.tmp_path / "store", clock=clock, durability="normal")

    @pytest.fixture(autouse=True)
    def _small_segments(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log, "SEGMENT_BYTES_MAX", 1_000)


class TestFilesStoreCompacted(StoreContract):
    """The same with every segment compressed as soon as it is written, in pieces smaller than a line."""

    def make_store(self, clock: FakeClock) -> Store:
        return CompactedFilesStore(self.tmp_path / "store", clock=clock, durability="normal")

    @pytest.fixture(autouse=True)
    def _cold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make_everything_cold(monkeypatch)
        make_segments_small(monkeypatch)
