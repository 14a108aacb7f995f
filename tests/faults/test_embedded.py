"""The fault suite on the stores that need no server."""

from __future__ import annotations

from pathlib import Path

from tests.places import CompositePlace, EncryptedPlace
from turnfold.ports.store import Clock, Store
from turnfold.stores.files import FilesStore
from turnfold.stores.memory import MemoryStore
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.faults import FaultCases, FolderPlace, MemoryPlace, Place


class TimedMemory(MemoryPlace):
    def open_with_clock(self, clock: Clock) -> Store:
        return MemoryStore(clock=clock)


class TimedSqlite(FolderPlace):
    def open_with_clock(self, clock: Clock) -> Store:
        return SqliteStore(self.folder / "timed.db", clock=clock)


class TimedFiles(FolderPlace):
    def open_with_clock(self, clock: Clock) -> Store:
        return FilesStore(self.folder / "timed", clock=clock)


class TestMemory(FaultCases):
    def make_place(self, folder: Path) -> Place:
        return TimedMemory(folder)


class TestSqlite(FaultCases):
    def make_place(self, folder: Path) -> Place:
        return TimedSqlite(folder, "sqlite")


class TestComposite(FaultCases):
    def make_place(self, folder: Path) -> Place:
        return CompositePlace(folder)


class TestEncrypted(FaultCases):
    def make_place(self, folder: Path) -> Place:
        return EncryptedPlace(folder)


class TestFiles(FaultCases):
    def make_place(self, folder: Path) -> Place:
        return TimedFiles(folder, "files")
