"""The PostgreSQL store keeps the contract: one database per process, emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import empty, fresh_database
from turnfold.stores.postgres import PostgresStore
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    for url in fresh_database("contract"):
        PostgresStore(url).close()
        yield url


class TestPostgresStore(StoreContract):
    url: str

    @pytest.fixture(autouse=True)
    def _database(self, database: str, _with_nothing: None) -> None:
        type(self).url = database

    @pytest.fixture(autouse=True)
    def _with_nothing(self, database: str) -> None:
        empty(database)
        type(self).url = database

    def make_store(self, clock: FakeClock) -> PostgresStore:
        return PostgresStore(self.url, clock=clock)
