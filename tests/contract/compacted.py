"""Stores that compact everything after every commit, in blocks of a few events: the contract must not notice."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from turnfold.core import cold
from turnfold.model.commit import Commit, Committed
from turnfold.stores.sqlite import SqliteStore, compacting

STEPS_MAX = 1_000


def make_everything_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every event be cold at once."""
    monkeypatch.setattr(cold, "COMPACT_IDLE_S", -10.0)
    monkeypatch.setattr(cold, "COMPACT_QUIET_S", -10.0)


def make_blocks_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make SQLite's blocks of at most three events, worth it or not."""
    monkeypatch.setattr(compacting, "BLOCK_BYTES", 300)
    monkeypatch.setattr(compacting, "BLOCK_EVENTS_MAX", 3)
    monkeypatch.setattr(compacting, "BLOCK_RATIO_MAX", 1e9)


class CompactedSqliteStore(SqliteStore):
    """Compacts after every commit."""

    def commit(self, commit: Commit) -> Committed:
        done = super().commit(commit)
        self.compact_all()
        return done

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        done = super().commit_many(commits)
        self.compact_all()
        return done

    def compact_all(self) -> None:
        for _ in range(STEPS_MAX):
            if not self.compact().more:
                return
        raise AssertionError("compact never comes to an end")
