"""A bundle is read in pieces, as a copy is: of any size, interrupted and gone on with, and never over something else."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from tests.copying import worlds
from tests.copying.worlds import CLOSED, EMBEDDED, RICH, SCOPE, append, create, everything, log_of, seal
from turnfold.engine.bundle import write_bundle
from turnfold.engine.unbundling import read_bundle
from turnfold.engine.verify import verify_session
from turnfold.errors import IdempotencyConflict, StoreUnavailable
from turnfold.model.commit import Commit, Committed
from turnfold.model.session import SessionKey
from turnfold.stores.memory import MemoryStore
from turnfold.testing.contract import build

KEYS = [RICH, CLOSED, SCOPE]


@pytest.fixture(params=[(1, 0), (3, 0), (2_000, 0), (3, 1 << 30)], ids=["1, read anew", "3, read anew", "2000, read anew", "3, held"])
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnfold.engine.copying.pieces.COPY_PIECE_EVENTS", request.param[0])
    monkeypatch.setattr("turnfold.engine.unbundling.BUNDLE_HELD_BYTES", request.param[1])


@pytest.fixture
def source() -> MemoryStore:
    store = MemoryStore()
    worlds.fill(store)
    seal(store, CLOSED)
    append(store, CLOSED, *(build.delta(f"{number}") for number in range(3)), lifecycle=True)
    append(store, CLOSED, prune=(build.range_of(log_of(store, CLOSED)[-2:]),), lifecycle=True)
    return store


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("name", EMBEDDED)
def test_equal_in_every_store_and_again(name: str, source: MemoryStore, tmp_path: Path) -> None:
    write_bundle(source, KEYS, tmp_path / "b")
    store = EMBEDDED[name](tmp_path)
    first = read_bundle(store, tmp_path / "b", "default")
    assert [(item.id, item.repeated) for item in first] == [(key.session_id, False) for key in KEYS]
    wanted = {key: content for key, content in everything(source).items() if key in KEYS}
    found = everything(store)
    for key in KEYS:
        assert found[key][1:] == wanted[key][1:]
        verify_session(store, key)
    assert [item.repeated for item in read_bundle(store, tmp_path / "b", "default")] == [True, True, True]
    assert everything(store) == found
    store.close()


class Failing(MemoryStore):
    """Goes away at a commit."""

    left = 1 << 30

    def commit(self, commit: Commit) -> Committed:
        if self.left == 0:
            raise StoreUnavailable("gone")
        self.left -= 1
        return super().commit(commit)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 11, 20])
def test_interrupted_and_gone_on_with(count: int, source: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnfold.engine.copying.pieces.COPY_PIECE_EVENTS", 3)
    write_bundle(source, KEYS, tmp_path / "b")
    store = Failing()
    store.left = count
    with pytest.raises(StoreUnavailable):
        read_bundle(store, tmp_path / "b", "default")
    for key in everything(store):
        verify_session(store, key)
    store.left = 1 << 30
    read_bundle(store, tmp_path / "b", "default")
    whole = MemoryStore()
    read_bundle(whole, tmp_path / "b", "default")
    assert everything(store) == everything(whole)


@pytest.mark.usefixtures("_pieces")
def test_a_session_with_other_events_is_left_alone(source: MemoryStore, tmp_path: Path) -> None:
    write_bundle(source, [RICH], tmp_path / "b")
    store = MemoryStore()
    events = log_of(source, RICH)
    store.commit(build.verbatim(RICH, source.get_session(RICH), events[:3], [], []))
    append(store, RICH, "of its own")
    before = everything(store)
    with pytest.raises(IdempotencyConflict):
        read_bundle(store, tmp_path / "b", "default")
    assert everything(store) == before


@pytest.mark.slow
def test_a_session_larger_than_the_memory_that_an_import_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnfold.engine.copying.pieces.COPY_PIECE_BYTES", 500_000)
    monkeypatch.setattr("turnfold.engine.unbundling.BUNDLE_HELD_BYTES", 500_000)
    key = SessionKey("default", "large")
    first, second = EMBEDDED["sqlite"](tmp_path / "1"), EMBEDDED["sqlite"](tmp_path / "2")
    create(first, key)
    for number in range(40):
        append(first, key, *(f"{number} {text}" for text in ["x" * 100_000] * 8))
    write_bundle(first, [key], tmp_path / "b")
    tracemalloc.start()
    read_bundle(second, tmp_path / "b", "default")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert log_of(second, key) == log_of(first, key)
    first.close()
    second.close()
    assert peak < 8_000_000, f"{peak} bytes for a session of 32,000,000"
