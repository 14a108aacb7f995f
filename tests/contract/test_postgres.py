"""The PostgreSQL store keeps the contract, as a role that row-level security binds: one database per process, emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.contract.compacted import compact_all, make_blocks_small, make_everything_cold
from tests.postgres import application_role, empty, fresh_database
from turnfold.model.commit import Commit, Committed
from turnfold.stores.postgres import PostgresStore
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract
from turnfold.testing.contract.erasing import RangeCases, RedactionCases
from turnfold.testing.contract.following import FollowerCases
from turnfold.testing.contract.idempotency import IdempotencyCases
from turnfold.testing.contract.reading import BranchCases, ReadCases, VisibilityCases
from turnfold.testing.contract.upkeep import CompactCases
from turnfold.testing.contract.verbatim import VerbatimCases
from turnfold.testing.contract.views import ViewCases


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    yield from fresh_database("contract")


@pytest.fixture(scope="session")
def application(database: str) -> Iterator[str]:
    yield from application_role(database)


class OnOneDatabase:
    """The store of the application's role, on the process's database."""

    database: str
    application: str
    KIND: type[PostgresStore] = PostgresStore

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _place(cls, database: str, application: str) -> None:
        cls.database, cls.application = database, application

    def make_store(self, clock: FakeClock) -> PostgresStore:
        empty(self.database)
        return self.KIND(self.application, clock=clock)


class TestPostgresStore(OnOneDatabase, StoreContract):
    pass


class CompactedPostgresStore(PostgresStore):
    """Compacts after every commit."""

    def commit(self, commit: Commit) -> Committed:
        done = super().commit(commit)
        compact_all(self)
        return done

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        done = super().commit_many(commits)
        compact_all(self)
        return done


class TestPostgresStoreCompacted(
    OnOneDatabase,
    IdempotencyCases,
    ReadCases,
    BranchCases,
    VisibilityCases,
    RedactionCases,
    RangeCases,
    VerbatimCases,
    FollowerCases,
    ViewCases,
    CompactCases,
):
    """What reads events or changes them, with everything in blocks of three events as soon as it is written."""

    KIND = CompactedPostgresStore

    @pytest.fixture(autouse=True)
    def _cold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make_everything_cold(monkeypatch)
        make_blocks_small(monkeypatch)
