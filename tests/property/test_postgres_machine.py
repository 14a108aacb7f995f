"""The PostgreSQL store against the model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.postgres import empty, fresh_database
from tests.property.store_machine import StoreMachine
from turnfold.ports.store import Store
from turnfold.stores.postgres import PostgresStore
from turnfold.testing.clock import FakeClock


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    for url in fresh_database("machine"):
        PostgresStore(url).close()
        yield url


def test_machine(database: str) -> None:
    class PostgresMachine(StoreMachine):
        """Random commits on the PostgreSQL store."""

        def make_store(self, clock: FakeClock) -> Store:
            empty(database)
            return PostgresStore(database, clock=clock)

    quick = settings(max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(PostgresMachine, settings=quick)
