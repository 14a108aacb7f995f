"""SQLite and files against the model, with compacting between any two commits."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, rule

from tests.contract.compacted import compact_all, make_blocks_small, make_everything_cold, make_segments_small
from tests.property.store_machine import StoreMachine
from turnfold.model.query import EventQuery
from turnfold.ports.store import Store
from turnfold.stores.files import FilesStore
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.clock import FakeClock


@pytest.fixture(autouse=True)
def _cold(monkeypatch: pytest.MonkeyPatch) -> None:
    make_everything_cold(monkeypatch)
    make_blocks_small(monkeypatch)
    make_segments_small(monkeypatch)


class CompactingMachine(StoreMachine):
    """Compacts now and then."""

    folder: Path

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)

    @rule()
    def compact(self) -> None:
        compact_all(self.store)

    @invariant()
    def nothing_is_damaged(self) -> None:
        assert self.store.check().problems == ()


class SqliteMachine(CompactingMachine):
    """Random commits on a SQLite store."""

    @rule()
    def everything_is_in_blocks(self) -> None:
        """So that the others test what they mean to; a redacted event came out again."""
        compact_all(self.store)
        facts = self.store.check().facts
        redacted = sum(
            item is not None and item.redacted for key in self.model for item in self.store.read_events(EventQuery(key=key)).events
        )
        assert int(facts["compacted_event_count"]) >= int(facts["event_count"]) - redacted

    def make_store(self, clock: FakeClock) -> Store:
        self.folder = Path(tempfile.mkdtemp())
        return SqliteStore(self.folder / "s.db", clock=clock, durability="normal")


class FilesMachine(CompactingMachine):
    """Random commits on a files store."""

    def make_store(self, clock: FakeClock) -> Store:
        self.folder = Path(tempfile.mkdtemp())
        return FilesStore(self.folder / "s", clock=clock, durability="normal")


_SETTINGS = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TestSqliteMachine = SqliteMachine.TestCase
TestSqliteMachine.settings = _SETTINGS
TestFilesMachine = FilesMachine.TestCase
TestFilesMachine.settings = _SETTINGS
