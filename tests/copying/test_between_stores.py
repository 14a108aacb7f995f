"""Copies between all stores there are, plain and encrypted: there and back, first and later runs, in large pieces and small ones."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.copying import worlds
from tests.copying.worlds import CLOSED, PRUNED, RICH, append, everything, log_of, redact
from tests.places import NAMES, PLACES
from tests.support import skip_or_fail
from turnfold.engine.copying.report import CopyReport
from turnfold.engine.copying.stores import copy_stores
from turnfold.engine.verify import verify_session
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store
from turnfold.stores.encrypted import EncryptedStore
from turnfold.stores.encrypted.derived import DerivedKeyring
from turnfold.stores.memory import MemoryStore
from turnfold.testing.contract import build
from turnfold.testing.faults import CannotBreak, Place


@pytest.fixture(params=[name for name in NAMES if name != "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place = PLACES[request.param](tmp_path / "place")
    try:
        place.start()
    except CannotBreak as error:
        skip_or_fail(str(error))
    yield place
    place.stop()


def clean(report: CopyReport) -> CopyReport:
    assert report.problems == []
    return report


def change(store: Store) -> None:
    """Do to a store what a second copy has to bring along."""
    append(store, RICH, "more", build.state_event(s=3))
    worlds.seal(store, RICH)
    redact(store, CLOSED, log_of(store, CLOSED)[3])
    append(store, PRUNED, build.delta("1"), build.delta("2"))
    append(store, PRUNED, "whole", prune=(build.range_of(log_of(store, PRUNED)[-2:]),))
    worlds.create(store, SessionKey("a third tenant", "new"))


def there_and_back(store: Store) -> None:
    """Copy from memory into a store and from it into memory, twice."""
    first, last = MemoryStore(), MemoryStore()
    worlds.fill(first)
    assert clean(copy_stores(first, store)).copied_count == 4
    clean(copy_stores(store, last))
    assert everything(last) == everything(first)
    change(first)
    report = clean(copy_stores(first, store))
    assert (report.copied_count, report.extended_count, report.replaced_count, report.unchanged_count) == (1, 2, 1, 1)
    clean(copy_stores(first, store, verify_only=True))
    clean(copy_stores(store, last))
    assert everything(last) == everything(first) == everything(store)
    assert clean(copy_stores(store, last)).unchanged_count == 5
    for key in (RICH, CLOSED, PRUNED):
        verify_session(store, key)


@pytest.mark.parametrize("size", [3, 2_000], ids=lambda size: f"pieces of {size}")
def test_there_and_back(size: int, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnfold.engine.copying.pieces.COPY_PIECE_EVENTS", size)
    store = place.open()
    there_and_back(store)
    store.close()


def test_there_and_back_encrypted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnfold.engine.copying.pieces.COPY_PIECE_EVENTS", 3)
    store = EncryptedStore(place.open(), DerivedKeyring([secrets.token_bytes(32)], "a test"), search="tokens")
    there_and_back(store)
    store.close()


def test_from_one_key_to_another() -> None:
    one, other = (EncryptedStore(MemoryStore(), DerivedKeyring([secrets.token_bytes(32)], "a test")) for _ in range(2))
    worlds.fill(one)
    clean(copy_stores(one, other))
    assert everything(other) == everything(one)
