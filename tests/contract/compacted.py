"""Stores that compact everything after every commit, in blocks of a few events: the contract must not notice."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from turnfold.core import cold
from turnfold.model.commit import Commit, Committed
from turnfold.ports.store import Store
from turnfold.stores.files import FilesStore, sealed
from turnfold.stores.files import compacting as files_compacting
from turnfold.stores.sql import blocks
from turnfold.stores.sqlite import SqliteStore, compacting

STEPS_MAX = 1_000


def make_everything_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every event be cold at once."""
    monkeypatch.setattr(cold, "COMPACT_IDLE_S", -10.0)
    monkeypatch.setattr(cold, "COMPACT_QUIET_S", -10.0)


def make_blocks_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the SQL stores' blocks of at most three events, worth it or not."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 300)
    monkeypatch.setattr(blocks, "BLOCK_EVENTS_MAX", 3)
    monkeypatch.setattr(blocks, "BLOCK_RATIO_MAX", 1e9)
    monkeypatch.setattr(compacting, "BLOCK_EVENTS_MAX", 3)
    monkeypatch.setattr(compacting, "BLOCK_RATIO_MAX", 1e9)


def make_segments_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the files store compress every segment, however small, in pieces smaller than a line."""
    monkeypatch.setattr(files_compacting, "FILE_BYTES_MIN", 0)
    monkeypatch.setattr(files_compacting, "BLOCK_RATIO_MAX", 1e9)
    monkeypatch.setattr(sealed, "BLOCK_BYTES", 100)


def compact_all(store: Store) -> None:
    """Compact until there is nothing left to do."""
    for _ in range(STEPS_MAX):
        if not store.compact().more:
            return
    raise AssertionError("compact never comes to an end")


class CompactedFilesStore(FilesStore):
    """Compacts after every commit."""

    def commit(self, commit: Commit) -> Committed:
        done = super().commit(commit)
        compact_all(self)
        return done

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        done = super().commit_many(commits)
        compact_all(self)
        return done


class CompactedSqliteStore(SqliteStore):
    """Compacts after every commit."""

    def commit(self, commit: Commit) -> Committed:
        done = super().commit(commit)
        compact_all(self)
        return done

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        done = super().commit_many(commits)
        compact_all(self)
        return done
