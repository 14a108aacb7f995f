"""Reading one session's log: replaying its lines up to the end, going on from there, fetching events from their places.

Theory of operation. Readers hold no OS lock. What a process knows of a log is a replay (``LogState``) up to a place in the last segment.
``refresh`` compares the size of that file with the place: equal means nothing happened, larger means reading on. A segment is only ever
appended to; whoever must change what stands in it (redaction, pruning) writes a new file and renames it over the old one, so a process whose
open file has lost its name, or that finds another inode, reads everything again. What stands behind the last whole line is a write that goes
on or was interrupted: readers leave it alone.
"""

from __future__ import annotations

import contextlib
import os
import threading
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import msgspec

from turnfold.errors import StoreCorrupt, StoreUnavailable
from turnfold.limits import MIB
from turnfold.model.event import Event
from turnfold.model.session import SessionKey
from turnfold.stores._disk import as_turnfold_error, try_lock, write_atomically
from turnfold.stores.files import layout
from turnfold.stores.files.disk import OpenFile, open_log_file
from turnfold.stores.files.lines import BadLine, Line, decode_line, row_places, settled_mark, torn_only
from turnfold.stores.files.rows import decode_event, decode_id
from turnfold.stores.files.sealed import SEALED_SUFFIX, SealedFile
from turnfold.stores.files.snapshots import (
    INDEX_FILE,
    INDEX_LINES_MIN,
    FileSign,
    Position,
    decode_snapshot,
    encode_snapshot,
    restore,
    sign_of,
    tail_of,
)
from turnfold.stores.files.state import LogState, Place, tombstone_event

READ_BYTES = 4 * MIB
READ_GAP_BYTES = 64 * 1024
"""A larger stretch between two wanted events is skipped rather than read."""
RELOADS_MAX = 20
"""How often a log that is being rewritten under its reader is read again before that is an error."""


class Moved(Exception):
    """The files are not those that were read any more."""


class Grave(msgspec.Struct, omit_defaults=True):
    """What a deletion leaves: segments up to ``last_segment`` are gone or may go; fences up to ``fence`` are spent."""

    last_segment: int = 0
    fence: int = 0
    incarnation: str = ""
    deleted_at_us: int = 0


class ReadableLog:
    """One session's log as readers need it. ``lock`` guards what is known of it."""

    _holds_lock = False
    """Whether this process holds the OS lock of the log."""

    def __init__(self, root: Path, relative: str) -> None:
        """Name the log; nothing is opened.

        Args:
            root: The store's directory.
            relative: The log's directory from there.
        """
        self.root = root
        self.relative = relative
        self.path = root / relative
        self.lock = threading.RLock()
        self.forget()

    def forget(self) -> None:
        """Let go of all that was read; the next look reads it again."""
        self._state: LogState | None = None
        self._file: OpenFile | None = None
        self._number = 0
        self._end = 0
        self._rolled = False
        self._stopped = False
        self._fresh = True
        self._grave = Grave()
        self._spent: list[int] = []
        self._signs: dict[int, FileSign] = {}
        self._unerased: dict[int, int] = {}  # the segment of each event that a file still holds
        self._unwritten: dict[int, bytes] = {}
        self._line_count = 0
        self._unsettled: set[str] = set()

    def refresh(self) -> LogState | None:
        """Return the log as it is now, None where there is no such session. Call it with ``lock`` held."""
        if self._state is None or not self._is_current():
            self._look()
        return None if self._state is None or self._state.deleted else self._state

    @property
    def known(self) -> LogState | None:
        """The log as it was at the last look."""
        return None if self._state is None or self._state.deleted else self._state

    def stamp(self) -> tuple[int, FileSign] | None:
        """Number and sign of the last segment, by which a later look knows the log again; None while something is undecided."""
        if self._file is None or self._rolled:
            return None
        stat = os.fstat(self._file.fd)
        return (self._number, sign_of(stat)) if stat.st_size == self._end else None

    def _is_current(self) -> bool:
        """Whether nothing happened since the last look; forgets everything where the files are others."""
        assert self._file is not None
        assert self._state is not None
        stat = os.fstat(self._file.fd)
        if not stat.st_nlink or stat.st_size < self._end or self._state.deleted:
            self.forget()
            return False
        return stat.st_size == self._end and not self._rolled

    def _look(self) -> None:
        """Read on, or everything."""
        for _ in range(RELOADS_MAX):
            try:
                if self._state is None:
                    self._load()
                else:
                    self._read_on()
                return
            except Moved:
                self.forget()
            except OSError as error:
                self.forget()
                raise as_turnfold_error(error, self.path) from error
            except StoreCorrupt:
                self.forget()
                raise
        raise StoreUnavailable(f"{self.path} is being rewritten all the time", hint="try again", path=str(self.path))

    # ---- replaying -------------------------------------------------------------------------------------------------------------------
    def _load(self) -> None:
        """Read the log from its beginning."""
        self.forget()
        try:
            names = [path.name for path in self.path.iterdir()]
        except FileNotFoundError:
            return
        if layout.GRAVE_FILE in names:
            self._grave = self._read_grave()
        first = self._grave.last_segment + 1
        self._spent = [number for number in layout.segment_numbers(names) if number < first]
        numbers = [number for number in layout.segment_numbers(names) if number >= first]
        if numbers != list(range(first, first + len(numbers))):
            path = self.path / layout.segment_name(min(set(range(first, numbers[-1])) - set(numbers)))
            raise StoreCorrupt(f"{path} is missing", hint="restore it from a backup", path=str(path))
        done = self._restore(numbers) if INDEX_FILE in names and numbers else 0
        for number in numbers:
            if number < done:
                continue
            if number > done:
                self._open(number)
            self._consume(is_last=number == numbers[-1])
        self._follow_roll()
        if self._line_count > INDEX_LINES_MIN:
            self._keep_snapshot()

    def _read_grave(self) -> Grave:
        path = self.path / layout.GRAVE_FILE
        try:
            return msgspec.json.decode(path.read_bytes(), type=Grave)
        except msgspec.MsgspecError as error:
            raise StoreCorrupt(f"{path} is damaged", path=str(path)) from error

    def _read_on(self) -> None:
        """Read what was appended since the last look."""
        self._fresh = False
        if not self._rolled:
            self._consume(is_last=True)
        self._follow_roll()

    def _follow_roll(self) -> None:
        """Go on in the next segments, as far as there are any."""
        while self._rolled and (self.path / layout.segment_name(self._number + 1)).exists():
            self._open(self._number + 1)
            self._consume(is_last=True)

    def _open(self, number: int, *, create: bool = False) -> None:
        if self._file is not None:
            self._signs[self._number] = sign_of(os.fstat(self._file.fd))
        try:
            self._file = self.open_segment(number, create=create)
        except FileNotFoundError as error:
            raise Moved from error
        self._number, self._end, self._rolled = number, 0, False

    def open_segment(self, number: int, *, create: bool = False) -> OpenFile:
        """Open a segment, plain or compressed."""
        path = self.path / layout.segment_name(number)
        try:
            return open_log_file(path, create=create)
        except FileNotFoundError:
            return SealedFile(path.with_name(path.name + SEALED_SUFFIX))

    def _consume(self, *, is_last: bool) -> None:
        """Read and apply the lines from the known place to the end of the open segment."""
        assert self._file is not None
        size = READ_BYTES
        self._stopped = False
        while not self._stopped:
            data = self._file.read(self._end, size)
            used = self._apply_lines(data, is_last=is_last)
            self._end += used
            if len(data) < size:
                break
            if not used:
                size *= 2  # one line is longer than that
        if not is_last and not self._rolled and self._file.size() > self._end:
            raise self._corrupt(self._end, "it is not complete, and a later segment follows")

    def _apply_lines(self, data: bytes, *, is_last: bool) -> int:
        """Apply whole lines; return the number of bytes they took."""
        at = 0
        while (newline := data.find(b"\n", at)) >= 0:
            place = self._end + at
            line = decode_line(data[at:newline])
            if isinstance(line, BadLine):
                if not is_last or not torn_only(self._rest(place)):
                    raise self._corrupt(place, line.problem)
                self._stopped = True
                return at
            if line.when is not None and not self._holds(line, place):
                self._stopped = True
                return at
            self._apply(line, place)
            self._line_count += 1
            at = newline + 1
        return at

    def _rest(self, offset: int) -> bytes:
        assert self._file is not None
        return self._file.read(offset, max(self._file.size() - offset, 0))

    def _corrupt(self, offset: int, problem: str) -> Exception:
        """The error for damage at a place; or, where only the last lines were read, the order to read from the beginning first."""
        assert self._file is not None
        if not self._fresh:
            return Moved()
        line_number = self._file.read(0, offset).count(b"\n") + 1
        return StoreCorrupt(
            f"{self._file.path}, line {line_number}: {problem}",
            hint="restore the file from a backup, or cut the line out to go on without it",
            path=str(self._file.path),
            line=line_number,
        )

    def _apply(self, line: Line, offset: int) -> None:
        if line.genesis is not None:
            key = SessionKey(line.genesis.tenant, line.genesis.session_id)
            if self._state is not None or self.relative != layout.relative_path(key):
                raise self._corrupt(offset, f"it begins session {key.session_id!r} of tenant {key.tenant!r}, which has its own place")
            self._state = LogState(key, line.genesis, self._grave.fence)
        elif self._state is None:
            raise self._corrupt(offset, "the log does not begin with the creation of a session")
        rows = [bytes(row) for row in line.events]
        found = [decode_id(row) for row in rows]
        places = [(one.seq, one.id, offset + at, size) for one, (at, size) in zip(found, row_places(rows), strict=True)]
        if line.prune or line.redacts:
            self._note_unerased(line)
        self._take_in(line, places)

    def _take_in(self, line: Line, places: list[tuple[int, str, int, int]]) -> None:
        """Apply a line whose events are at these places (seq, id, offset, size)."""
        assert self._state is not None
        if line.settled:
            self._unsettled.discard(line.settled)
        if line.next_segment:
            self._rolled = True
        self._state.apply(line, Place(self._number, places))

    def _note_unerased(self, line: Line) -> None:
        """Note the segments that still hold what this line erases: whoever wrote it was interrupted, or is about to go on."""
        state = self._state
        assert state is not None
        for item in line.prune:
            for seq in range(item.first_seq, min(item.last_seq, state.last_seq) + 1):
                if not state.is_pruned(seq):
                    self._unerased[seq] = state.segment_of(seq)
        for redact in line.redacts:
            if redact.seq <= state.last_seq and not state.is_pruned(redact.seq):
                event = self._row(state, redact.seq)
                if event == tombstone_event(event, redact):
                    self._unerased.pop(redact.seq, None)
                elif not event.redacted or redact.seq in state.tombstones:  # else the file has a later tombstone of this event already
                    self._unerased[redact.seq] = state.segment_of(redact.seq)

    def _row(self, state: LogState, seq: int) -> Event:
        """The event as its file has it, whatever the log says of it since."""
        if seq in self._unwritten:
            return decode_event(self._unwritten[seq])
        offset, size = state.offsets[seq - 1], state.sizes[seq - 1]
        segment = self._segment(state.segment_of(seq))
        return decode_event(segment.read(offset, size))

    # ---- the cache beside the log ----------------------------------------------------------------------------------------------------
    def _restore(self, numbers: Sequence[int]) -> int:
        """Begin with what another process learned; return the number of the segment to read on in, 0 where nothing fits the files."""
        try:
            snapshot = decode_snapshot((self.path / INDEX_FILE).read_bytes())
        except OSError:
            return 0
        if snapshot is None:
            return 0
        position = snapshot.position
        signs = position.signs
        if position.number not in numbers or sorted(signs) != [number for number in numbers if number < position.number]:
            return 0
        if any(_sign_at(self.path / layout.segment_name(number)) != sign for number, sign in signs.items()):
            return 0
        self._open(position.number)
        assert self._file is not None
        if self._file.inode != position.inode or tail_of(self._file, position.end) != position.tail:
            self._file = None
            return 0
        self._state, self._end, self._signs = restore(snapshot), position.end, dict(signs)
        return position.number

    def _keep_snapshot(self) -> None:
        """Leave what a long replay taught, if nobody is writing and nothing is left to be done; else the next one may."""
        state, file = self._state, self._file
        if state is None or file is None or state.deleted or self._rolled or self._unerased or self._unsettled:
            return
        with contextlib.suppress(OSError):  # not allowed to write here, or no space: then not
            folder = OpenFile(self.path, os.O_RDONLY | os.O_DIRECTORY)  # its own lock, which also excludes this process's writer
            if not self._holds_lock and not try_lock(folder.fd):
                return
            stat = os.fstat(file.fd)
            if stat.st_nlink and stat.st_size == self._end:
                position = Position(self._number, file.inode, self._end, tail_of(file, self._end), self._signs)
                write_atomically(self.path / INDEX_FILE, encode_snapshot(state, position), durable=False)

    # ---- lines that depend on another log --------------------------------------------------------------------------------------------
    def _holds(self, line: Line, offset: int) -> bool:
        """Whether a line of another session's commit holds: it says so itself later on, or that session's log has the commit."""
        assert line.when is not None
        if settled_mark(line.transaction) in self._rest(offset):
            return True
        try:
            source = ReadableLog(self.root, line.when.log).open_segment(line.when.segment)
        except FileNotFoundError:
            return False
        size = READ_GAP_BYTES
        while True:
            data = source.read(line.when.offset, size)
            newline = data.find(b"\n")
            if newline >= 0 or len(data) < size:
                break
            size *= 2
        found = decode_line(data[:newline]) if newline >= 0 else BadLine("it is not complete")
        if isinstance(found, BadLine) or found.transaction != line.transaction:
            return False
        self._unsettled.add(line.transaction)
        return True

    # ---- events ----------------------------------------------------------------------------------------------------------------------
    def read(self, seqs: Sequence[int], *, with_source: bool = True) -> list[Event | None]:
        """Return the events at these places, in any order, None where one was pruned; also those about to be written with the next ones."""
        state = self._state
        assert state is not None
        found = {seq: decode_event(self._unwritten[seq]) for seq in seqs if seq in self._unwritten}
        wanted = sorted({seq for seq in seqs if seq not in found and not state.is_pruned(seq)})
        found.update(zip(wanted, self.fetch(state, wanted, with_source=with_source), strict=True))
        return [found.get(seq) for seq in seqs]

    def fetch(self, state: LogState, seqs: Sequence[int], *, with_source: bool = True) -> list[Event]:
        """Read events of ascending places that hold one, neighbours together."""
        events: list[Event] = []
        at = 0
        while at < len(seqs):
            number = state.segment_of(seqs[at])
            start = end = state.offsets[seqs[at] - 1]
            upto = at
            after = bisect_right(state.segment_firsts, seqs[at])
            stop_seq = state.segment_firsts[after] if after < len(state.segment_firsts) else state.last_seq + 1
            while upto < len(seqs) and seqs[upto] < stop_seq:
                offset = state.offsets[seqs[upto] - 1]
                if upto > at and (offset - end > READ_GAP_BYTES or offset - start > READ_BYTES):
                    break
                end = offset + state.sizes[seqs[upto] - 1]
                upto += 1
            segment = self._segment(number)  # held by name: it closes with its last reference
            data = memoryview(segment.read(start, end - start))
            for seq in seqs[at:upto]:
                offset = state.offsets[seq - 1] - start
                events.append(self._event(state, seq, data[offset : offset + state.sizes[seq - 1]], with_source=with_source))
            at = upto
        return events

    def _segment(self, number: int) -> OpenFile:
        """A segment to read from; Moved where it is another file than the one that was replayed."""
        if number == self._number and self._file is not None:
            return self._file
        try:
            segment = self.open_segment(number)
        except FileNotFoundError as error:
            raise Moved from error
        if sign_of(os.fstat(segment.fd)) != self._signs[number]:
            raise Moved
        return segment

    def _event(self, state: LogState, seq: int, row: memoryview, *, with_source: bool) -> Event:
        try:
            event = decode_event(row, with_source=with_source)
        except msgspec.MsgspecError as error:
            path = self.path / layout.segment_name(state.segment_of(seq))
            raise StoreCorrupt(f"{path}: the event at seq {seq} is damaged", path=str(path), seq=seq) from error
        redact = state.tombstones.get(seq)
        return event if redact is None or event.redacted else tombstone_event(event, redact)


def _sign_at(path: Path) -> FileSign | None:
    """The sign of a segment's file, plain or compressed; None where there is neither."""
    for one in (path, path.with_name(path.name + SEALED_SUFFIX)):
        with contextlib.suppress(FileNotFoundError):
            return sign_of(one.stat())
    return None
