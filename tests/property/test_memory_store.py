"""The memory store against the model."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.property.store_machine import StoreMachine
from turnfold.ports.store import Store
from turnfold.stores.memory import MemoryStore
from turnfold.testing.clock import FakeClock


class MemoryMachine(StoreMachine):
    """Random commits on the memory store."""

    def make_store(self, clock: FakeClock) -> Store:
        return MemoryStore(clock=clock)


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=80, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
