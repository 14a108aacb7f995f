"""Every import and export test that takes a store runs on each embedded one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.importing.sessions import SCHEMES, OpenStore, opener
from turnfold.ports.store import Store


@pytest.fixture(params=SCHEMES)
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Open new empty stores of one kind; closed at the end."""
    pytest.importorskip(f"turnfold.stores.{request.param}")
    open_new, opened = opener(request.param, tmp_path), []

    def remember() -> Store:
        opened.append(open_new())
        return opened[-1]

    yield remember
    for store in opened:
        store.close()


@pytest.fixture
def store(new_store: OpenStore) -> Store:
    """Give one empty store."""
    return new_store()
