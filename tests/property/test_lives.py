"""Random lives of a session on every store there is, against the memory store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.places import NAMES, PLACES
from tests.property.life_machine import LifeMachine
from tests.support import skip_or_fail
from turnfold.testing.faults import CannotBreak, Place

EXAMPLES = {"sqlite": 30, "files": 30, "encrypted+sqlite": 10, "composite": 5, "postgresql": 8, "redis": 8, "s3": 5}
"""How many lives each store has to live in one run; those behind a network fewer."""


@pytest.fixture(params=[name for name in NAMES if name != "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place = PLACES[request.param](tmp_path / "place")
    try:
        place.start()
    except CannotBreak as error:
        skip_or_fail(str(error))
    yield place
    place.stop()


def test_a_life_is_the_same_everywhere(place: Place) -> None:
    class Machine(LifeMachine):
        """Random lives in one place."""

        def new_url(self) -> str:
            return place.empty_url()

    examples = EXAMPLES.get(place.name.partition("?")[0], 5)
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    )
