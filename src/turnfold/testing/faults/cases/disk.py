"""A disk that is full or read-only, and a store that refuses writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnfold.errors import TurnfoldError
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store
from turnfold.testing.faults.cases.base import FaultBase
from turnfold.testing.faults.children import Writer
from turnfold.testing.faults.disk import SmallDisk
from turnfold.testing.writers import TENANT

DISK_BYTES = 4 * 1024 * 1024
ATTEMPTS = 400
"""A store may have room of its own left on a full disk; by then it is used up."""
FILE_BYTES = 300_000


class DiskCases(FaultBase):
    """Of stores in a folder."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> SmallDisk:
        """A small disk, or a skip that says why there is none."""
        self.can(lambda: self.place.on(tmp_path))
        try:
            return SmallDisk(tmp_path / "disk", DISK_BYTES)
        except OSError as error:
            pytest.skip(f"no small disk: {error}")

    def test_full_disk(self, disk: SmallDisk) -> None:
        """A commit that does not fit is an error, and leaves nothing; what is there can be read; with room again it goes on."""
        with disk:
            store = self.place.open(self.place.on(disk.folder))
            try:
                for number in range(5):
                    self.ledger.write(store, self.offer(number))
                filler = disk.fill()
                refused = self._write_until_refused(store, 5)
                assert self._last_seq(store) > 0, "what is there cannot be read"
                assert isinstance(self.attempt(store, self.offer(refused + 1)), TurnfoldError)
                filler.unlink()
                self.insist(store, self.offer(refused + 1), 5)
                self.ledger.check(store)
            finally:
                store.close()
            again = self.place.open(self.place.on(disk.folder))
            try:
                self.ledger.check(again)
            finally:
                again.close()

    def test_opened_on_a_full_disk(self, disk: SmallDisk) -> None:
        """What was written can be read, or opening says what is wrong; nothing is lost either way."""
        with disk:
            url = self.place.on(disk.folder)
            store = self.place.open(url)
            for number in range(5):
                self.ledger.write(store, self.offer(number))
            store.close()
            filler = disk.fill()
            try:
                full = self.place.open(url)
            except TurnfoldError as error:
                assert error.retryable, repr(error)
            else:
                assert self._last_seq(full) > 0
                full.close()
            filler.unlink()
            self._check_and_close(url)

    def test_read_only_disk(self, disk: SmallDisk) -> None:
        """The same on a disk that takes no writes."""
        with disk:
            url = self.place.on(disk.folder)
            store = self.place.open(url)
            for number in range(5):
                self.ledger.write(store, self.offer(number))
            store.close()
            disk.make_read_only()
            try:
                frozen = self.place.open(url)
            except TurnfoldError as error:
                assert str(disk.folder) in str(error), "the error names no path"
            else:
                assert self._last_seq(frozen) > 0
                assert isinstance(self.attempt(frozen, self.offer(5)), TurnfoldError)
                frozen.close()
            disk.make_writable()
            self._check_and_close(url)

    def test_file_that_may_not_grow(self) -> None:
        """The same as a full disk to one process, on any machine; another process goes on."""
        self.can(lambda: self.place.on(self.place.folder))
        limited = Writer(self.place.url, self.session_id, "limited", file_size_max=FILE_BYTES)
        self._children.append(limited)
        assert limited.process.wait(60) == 1, limited.story()
        assert limited.lines()[-1][0] == "error", limited.story()
        assert limited.lines()[-1][2] == "store_unavailable", limited.story()
        writer = self.writer("other", count=10)
        writer.finish(30)
        self.check()

    def _write_until_refused(self, store: Store, first: int) -> int:
        for number in range(first, first + ATTEMPTS):
            if isinstance(self.attempt(store, self.offer(number)), TurnfoldError):
                return number
        raise AssertionError("the disk is full, and everything was taken")

    def _last_seq(self, store: Store) -> int:
        return store.read_events(EventQuery(key=SessionKey(TENANT, self.session_id), limit=10)).last_seq

    def _check_and_close(self, url: str) -> None:
        store = self.place.open(url)
        try:
            self.ledger.check(store)
        finally:
            store.close()


class ReadOnlyCases(FaultBase):
    """A store that is open becomes read-only, and writable again."""

    def test_read_only(self) -> None:
        """It refuses writes by an error that blames the store, answers reads, and goes on when it may."""
        store = self.opened()
        self.ledger.write(store, self.offer(0))
        context = self.place.read_only()
        self.can(context.__enter__)
        try:
            error = self.attempt(store, self.offer(1))
            assert isinstance(error, TurnfoldError), "a read-only store took a commit"
            page = store.read_events(EventQuery(key=SessionKey(TENANT, self.session_id)))
            assert page.last_seq == 2, "what is there cannot be read"
        finally:
            context.__exit__(None, None, None)
        self.insist(store, self.offer(1), 10)
        self.check()
