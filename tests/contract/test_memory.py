"""The contract suite on the memory store."""

from __future__ import annotations

from turnfold.ports.store import Store
from turnfold.stores.memory import MemoryStore
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract


class TestMemoryStore(StoreContract):
    """See ``turnfold.testing.contract``."""

    def make_store(self, clock: FakeClock) -> Store:
        return MemoryStore(clock=clock)
