"""The contract suite on the files store."""

from __future__ import annotations

import pytest

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
