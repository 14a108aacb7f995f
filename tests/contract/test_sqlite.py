"""The SQLite store keeps the contract."""

from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract


class TestSqliteStore(StoreContract):
    def make_store(self, clock: FakeClock) -> SqliteStore:
        return SqliteStore(self.tmp_path / "sessions.db", clock=clock)
