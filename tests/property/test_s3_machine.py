"""The store on object storage against the model, with small objects so that every few commits write a segment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import rule, run_state_machine_as_test

from tests.property.store_machine import StoreMachine
from tests.s3 import bucket, in_prefix
from turnfold.ports.store import Store
from turnfold.stores.s3 import S3Store, segments
from turnfold.testing.clock import FakeClock

HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def bucket_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from bucket(tmp_path_factory)


def test_machine(bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "OBJECT_TAIL_BYTES_MAX", 600)
    monkeypatch.setattr(segments, "OBJECT_SEGMENT_BYTES_MAX", 4_000)
    monkeypatch.setattr(segments, "OBJECT_ROWS_BYTES_MAX", 150)

    class S3Machine(StoreMachine):
        """Random commits on object storage; now and then by a process that knows nothing yet, or after a compaction."""

        def make_store(self, clock: FakeClock) -> Store:
            self.url = in_prefix(bucket_url)
            return S3Store(self.url, clock=clock)

        @rule()
        def another_process(self) -> None:
            self.store.close()
            self.store = S3Store(self.url, clock=self.clock)

        @rule()
        def compact(self) -> None:
            self.clock.advance(2 * HOUR_US)
            self.store.compact()
            assert self.store.check().problems == ()

    quick = settings(max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(S3Machine, settings=quick)
