from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import turnfold as tf

STORES = ("memory", "sqlite", "files")


def url_of(kind: str, path: Path) -> str:
    return {"memory": "memory://", "sqlite": f"sqlite:///{path}/store.db", "files": f"files:///{path}/store"}[kind]


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, tmp_path)


@pytest.fixture
def client(store_url: str) -> Iterator[tf.Client]:
    with tf.connect(store_url) as client:
        yield client
