"""The SQLite store keeps the contract."""

import pytest

from tests.contract.compacted import CompactedSqliteStore, make_blocks_small, make_everything_cold
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract


class TestSqliteStore(StoreContract):
    def make_store(self, clock: FakeClock) -> SqliteStore:
        return SqliteStore(self.tmp_path / "sessions.db", clock=clock)


class TestSqliteStoreCompacted(StoreContract):
    """The same with everything in blocks of three events as soon as it is written."""

    def make_store(self, clock: FakeClock) -> SqliteStore:
        return CompactedSqliteStore(self.tmp_path / "sessions.db", clock=clock, durability="normal")

    @pytest.fixture(autouse=True)
    def _cold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make_everything_cold(monkeypatch)
        make_blocks_small(monkeypatch)
