"""The PostgreSQL store keeps the contract, as a role that row-level security binds: one database per process, emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import application_role, empty, fresh_database
from turnfold.stores.postgres import PostgresStore
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    yield from fresh_database("contract")


@pytest.fixture(scope="session")
def application(database: str) -> Iterator[str]:
    yield from application_role(database)


class TestPostgresStore(StoreContract):
    database: str
    application: str

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _place(cls, database: str, application: str) -> None:
        cls.database, cls.application = database, application

    def make_store(self, clock: FakeClock) -> PostgresStore:
        empty(self.database)
        return PostgresStore(self.application, clock=clock)
