"""The contract suite on the files store."""

from __future__ import annotations

from turnfold.ports.store import Store
from turnfold.stores.files import FilesStore
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract


class TestFilesStore(StoreContract):
    """See ``turnfold.testing.contract``."""

    def make_store(self, clock: FakeClock) -> Store:
        return FilesStore(self.tmp_path / "store", clock=clock)
