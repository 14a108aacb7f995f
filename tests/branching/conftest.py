"""Every store there is, for tests of what branches, merges and checkpoints promise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import turnfold as tf
from tests.places import NAMES, PLACES
from tests.support import skip_or_fail
from turnfold.testing.faults import CannotBreak, Place


@pytest.fixture(scope="package", params=NAMES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = PLACES[request.param](tmp_path_factory.mktemp("place"))
    try:
        place.start()
    except CannotBreak as error:
        skip_or_fail(str(error))
    yield place
    place.stop()


@pytest.fixture
def store_url(place: Place) -> str:
    return place.empty_url()


@pytest.fixture
def client(store_url: str) -> Iterator[tf.Client]:
    with tf.connect(store_url) as client:
        yield client


@pytest.fixture
def session(client: tf.Client) -> tf.Session:
    session = client.open("s", owner="alice")
    session.append(tf.user("p1"))
    return session
