"""Changing one session's log: the OS lock, putting in order what an interrupted writer left, appending, erasing, deleting.

Theory of operation. Everything here happens with the OS lock of the session's directory held, which the kernel releases when its owner dies.
So a writer knows: what it finds half done, nobody is doing. It completes what was committed (erasures, deletions, lines of a commit that
reached its commit point elsewhere) and takes back what was not (torn lines, lines of a commit that never reached it).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from turnfold.errors import StoreUnavailable
from turnfold.limits import SEGMENT_BYTES_MAX
from turnfold.model.session import SessionKey
from turnfold.stores._disk import sync_directory, take_lock, unlock, write_all, write_atomically
from turnfold.stores.files import layout
from turnfold.stores.files.disk import OpenFile, read_range
from turnfold.stores.files.lines import BadLine, Line, decode_line, encode_line, row_places
from turnfold.stores.files.parts import PartFolder
from turnfold.stores.files.replay import Grave, ReadableLog
from turnfold.stores.files.rewriting import rewrite_segment
from turnfold.stores.files.sealed import SEALED_SUFFIX, SealedFile, pack
from turnfold.stores.files.snapshots import INDEX_FILE, FileSign, sign_of
from turnfold.stores.files.staging import Staged
from turnfold.stores.files.state import LogState


def _is_left_over(path: Path) -> bool:
    """Whether a compressed segment still has its plain one beside it, which is the one that counts."""
    return path.name.endswith(SEALED_SUFFIX) and path.with_name(path.name.removesuffix(SEALED_SUFFIX)).exists()


class Written(NamedTuple):
    """Lines just written: the file, its size before, and how many of them."""

    file: OpenFile
    before: int
    line_count: int


class SessionLog(ReadableLog):
    """One session's log as its writer needs it."""

    def __init__(self, root: Path, relative: str, *, durable: bool, lock_wait_s: float) -> None:
        """Name the log.

        Args:
            root: The store's directory.
            relative: The log's directory from there.
            durable: Sync before a write counts as done.
            lock_wait_s: How long to wait for another process.
        """
        super().__init__(root, relative)
        self.parts = PartFolder(self.path / layout.PARTS, durable=durable)
        self._durable = durable
        self._lock_wait_s = lock_wait_s
        self._directory: OpenFile | None = None
        self._new_names = False

    # ---- the OS lock -----------------------------------------------------------------------------------------------------------------
    def take(self, *, create: bool) -> bool:
        """Take the OS lock; False where there is no such directory and none should be made."""
        while self._directory is None:
            try:
                self._directory = OpenFile(self.path, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                if not create:
                    return False
                self.path.mkdir(parents=True, exist_ok=True)
        take_lock(self._directory.fd, self.path, self._lock_wait_s)
        self._holds_lock = True
        return True

    def release(self) -> None:
        """Release the OS lock."""
        self._holds_lock = False
        if self._directory is not None:
            unlock(self._directory.fd)

    def refresh_locked(self) -> LogState | None:
        """Put in order what an interrupted writer left, and return the log as it is now. Call it with ``lock`` and the OS lock held."""
        state = self._state
        if state is not None and self._is_current() and not self._is_disorderly():
            return state
        assert self._directory is not None
        if not os.fstat(self._directory.fd).st_nlink:
            self._directory = None
            raise StoreUnavailable(f"{self.path} was removed", hint="try again", path=str(self.path))
        state = self.refresh()
        refusal = None if self._file is None else self._file.refusal
        if refusal is not None:
            self.forget()  # the next attempt may be allowed
            raise refusal
        while self._put_in_order():
            state = self.refresh()
        return state

    def _is_disorderly(self) -> bool:
        """Whether something that is known was left half done, or the open segment cannot be written."""
        return bool(self._spent or self._unsettled or self._unerased) or (self._file is not None and self._file.refusal is not None)

    def _put_in_order(self) -> bool:
        """Complete or take back one thing that was left half done; False where there is none."""
        if self._spent:
            return self._clear_spent()
        if self._file is None:
            return False
        if self._state is not None and self._state.deleted:
            self._bury(self._state)
        elif self._file.size() != self._end:
            self._cut_tail()
        elif self._unsettled:
            self.write_line(Line(settled=min(self._unsettled)))
        elif self._unerased and self._state is not None:
            self._erase(self._state)
        else:
            return False
        return True

    def _cut_tail(self) -> None:
        """Move what stands behind the last whole line out of the segment; forget it where it never counted."""
        assert self._file is not None
        tail = self._rest(self._end)
        first = decode_line(tail[: tail.find(b"\n")]) if b"\n" in tail else BadLine("")
        if isinstance(first, BadLine):
            write_atomically(
                self._file.path.with_name(f"{self._file.path.name}.{self._end}{layout.TORN_SUFFIX}"), tail, durable=self._durable
            )
        os.ftruncate(self._file.fd, self._end)
        if self._durable:
            os.fdatasync(self._file.fd)

    # ---- appending -------------------------------------------------------------------------------------------------------------------
    @property
    def place(self) -> tuple[int, int]:
        """Segment and offset where the next line goes."""
        return self._number, self._end

    def begin(self) -> None:
        """Make sure that there is a segment that takes more lines."""
        if self._file is None:
            self._open(self._grave.last_segment + 1, create=True)
            self._new_names = True
        elif self._end >= SEGMENT_BYTES_MAX and not self._rolled:
            write_all(self._file.fd, encode_line(Line(next_segment=self._number + 1)))
            if self._durable:
                os.fdatasync(self._file.fd)
            self._rolled = True
        if self._rolled:
            self._open(self._number + 1, create=True)
            self._new_names = True

    def add(self, staged: Staged, before: int) -> None:
        """Apply a staged commit to what is known, as if its line stood in the file already.

        Args:
            staged: Built against the log as it is known now.
            before: Bytes of the lines that are to be written before this one.
        """
        offset = self._end + before
        places = [(seq, name, offset + at, size) for (seq, name), (at, size) in zip(staged.ids, row_places(staged.rows), strict=True)]
        if staged.line.genesis is not None:
            key = SessionKey(staged.line.genesis.tenant, staged.line.genesis.session_id)
            self._state = LogState(key, staged.line.genesis, self._grave.fence)
        if staged.line.prune or staged.line.redacts:
            self._note_unerased(staged.line)
        self._take_in(staged.line, places)
        self._unwritten.update((seq, row) for (seq, _), row in zip(staged.ids, staged.rows, strict=True))

    def append(self, lines: Sequence[bytes]) -> Written:
        """Write lines at the end, all of them or, where the disk is full, as many as fit.

        Raises:
            OSError: None could be written; the file is as it was.
        """
        file, before = self._file, self._end
        assert file is not None
        self._unwritten.clear()
        data = b"".join(lines)
        try:
            write_all(file.fd, data)
        except OSError:
            written = read_range(file.fd, before, len(data))
            count = written.count(b"\n")
            os.ftruncate(file.fd, before + sum(len(line) for line in lines[:count]))
            self.forget()
            if not count:
                raise
            return Written(file, before, count)
        self._end = before + len(data)
        return Written(file, before, len(lines))

    def sync(self, written: Written) -> None:
        """Make lines durable, and the names of new files; lines that cannot be made so are taken back.

        Raises:
            OSError: The device failed.
        """
        if not self._durable:
            return
        try:
            os.fdatasync(written.file.fd)
            if self._new_names:
                for folder in (self.path, self.path.parent, self.path.parent.parent):
                    sync_directory(folder)
                self._new_names = False
        except OSError:
            self.take_back(written)
            raise

    def take_back(self, written: Written) -> None:
        """Remove lines that were not acknowledged, under a new inode, so that whoever has read them reads again."""
        with contextlib.suppress(OSError):  # after a failed sync nothing is certain; what stays is seen as unacknowledged
            data = read_range(written.file.fd, 0, written.before)
            write_atomically(written.file.path, data, durable=self._durable)
        self.forget()

    def write_line(self, line: Line) -> None:
        """Append and apply a line without events, durably."""
        self.begin()
        written = self.append([encode_line(line)])
        self._take_in(line, [])
        self.sync(written)

    # ---- compressing -----------------------------------------------------------------------------------------------------------------
    def roll(self) -> None:
        """Let the next line go into a new, empty segment, and make that segment, so that nothing is undecided. Hold everything."""
        if not self._rolled:
            self.write_line(Line(next_segment=self._number + 1))
            self._rolled = True
        self._open(self._number + 1, create=True)
        if self._durable:
            sync_directory(self.path)

    def beginning(self, size: int) -> bytes:
        """The first bytes of the open segment. Call it with ``lock`` held, after a look."""
        assert self._file is not None
        return self._file.read(0, min(size, self._end))

    def plain_segments(self) -> list[int]:
        """The numbers of the rolled segments that are not compressed. Call it with ``lock`` held, after a look."""
        return [number for number in sorted(self._signs) if number < self._number and (self.path / layout.segment_name(number)).exists()]

    def content_of(self, number: int) -> tuple[FileSign, bytes]:
        """A rolled segment and its sign. Call it with ``lock`` held, after a look."""
        segment = self._segment(number)
        return self._signs[number], segment.read(0, segment.size())

    def seal(self, number: int, sign: FileSign, packed: bytes) -> bool:
        """Put the compressed form in place of a plain segment, if it is still the one that was read. Hold everything, in order."""
        path = self.path / layout.segment_name(number)
        try:
            if sign_of(path.stat()) != sign:
                return False
        except FileNotFoundError:
            return False
        write_atomically(path.with_name(path.name + SEALED_SUFFIX), packed, durable=self._durable)
        path.unlink()
        if self._durable:
            sync_directory(self.path)
        self.forget()
        return True

    # ---- erasing ---------------------------------------------------------------------------------------------------------------------
    def _erase(self, state: LogState) -> None:
        """Take erased payloads out of the files; the log says already that they are gone."""
        self.parts.keep(state.parts)
        self._sweep()
        with self._without_rows():
            for number in sorted(set(self._unerased.values())):
                segment = self._segment(number)
                size = self._end if number == self._number else segment.size()
                content = rewrite_segment(segment.read(0, size), state)
                sealed = isinstance(segment, SealedFile)
                write_atomically(segment.path, pack(content) if sealed else content, durable=self._durable)
        self.forget()

    @contextlib.contextmanager
    def _without_rows(self) -> Iterator[None]:
        """Remove the rows that list this session, which hold some of what is being erased, and let nobody write them meanwhile."""
        folder = self.root / layout.CATALOGS
        folder.mkdir(exist_ok=True)
        directory = OpenFile(folder, os.O_RDONLY | os.O_DIRECTORY)
        take_lock(directory.fd, folder, self._lock_wait_s)
        for path in folder.glob(f"{self.path.parent.name}.*"):
            path.unlink(missing_ok=True)
        if self._durable:
            os.fsync(directory.fd)
        yield
        unlock(directory.fd)

    def _sweep(self) -> None:
        """Remove the cache, and what interrupted writers left beside the log: they may hold what is being erased."""
        for path in self.path.iterdir():
            if path.name == INDEX_FILE or path.name.endswith((layout.TORN_SUFFIX, layout.TEMPORARY_SUFFIX)) or _is_left_over(path):
                path.unlink(missing_ok=True)

    def delete(self, now_us: int) -> None:
        """End the log for good. Call it with everything held and refreshed."""
        assert self._state is not None
        self.write_line(Line(at_us=now_us, deleted=True))
        self.refresh_locked()

    def _bury(self, state: LogState) -> None:
        """Remove a deleted log, keeping its spent fences and the number where a next one begins."""
        grave = Grave(self._number, state.lease.fence, state.incarnation, state.deleted_at_us)
        with self._without_rows():
            self._write_grave(grave)
        self.forget()
        self._spent = list(range(1, grave.last_segment + 1))
        self._clear_spent()

    def _write_grave(self, grave: Grave) -> None:
        write_atomically(self.path / layout.GRAVE_FILE, msgspec.json.encode(grave) + b"\n", durable=self._durable)

    def _clear_spent(self) -> bool:
        """Remove the segments of a deleted log, and all that came with them; False where there is nothing."""
        if not self._spent:
            return False
        if self._file is None:  # nothing here belongs to a living log
            self.parts.remove_all()
        self._sweep()
        for number in self._spent:
            for suffix in ("", SEALED_SUFFIX):
                (self.path / (layout.segment_name(number) + suffix)).unlink(missing_ok=True)
        if self._durable:
            sync_directory(self.path)
        self._spent = []
        return True
