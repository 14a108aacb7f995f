"""The encrypted store against the model: random commits, everything read back after each."""

from __future__ import annotations

import secrets

from hypothesis import HealthCheck, settings

from tests.property.store_machine import StoreMachine
from turnfold.ports.store import Store
from turnfold.stores.encrypted import EncryptedStore
from turnfold.stores.encrypted.derived import DerivedKeyring
from turnfold.stores.memory import MemoryStore
from turnfold.testing.clock import FakeClock


class EncryptedMachine(StoreMachine):
    """Random commits on an encrypted memory store."""

    def make_store(self, clock: FakeClock) -> Store:
        return EncryptedStore(MemoryStore(clock=clock), DerivedKeyring([secrets.token_bytes(32)], "a test"), search="tokens")


TestEncryptedMachine = EncryptedMachine.TestCase
TestEncryptedMachine.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
