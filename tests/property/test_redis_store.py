"""The Redis store against the model."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.property.store_machine import StoreMachine
from tests.redis_servers import new_prefix, open_redis, redis_url_or_stop, remove_keys, with_options
from turnfold.ports.store import Store
from turnfold.testing.clock import FakeClock


class RedisMachine(StoreMachine):
    """Random commits on a Redis."""

    prefix = ""

    def make_store(self, clock: FakeClock) -> Store:
        self.prefix = new_prefix()
        return open_redis(with_options(redis_url_or_stop(), prefix=self.prefix), clock=clock)

    def teardown(self) -> None:
        super().teardown()
        if self.prefix:
            remove_keys(redis_url_or_stop(), self.prefix)


TestRedisMachine = RedisMachine.TestCase
TestRedisMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
