"""Feeds the lines of a file to its format's reader, batch by batch, and takes back what the file no longer says."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from turnfold.codec.residual import part_ref, whole
from turnfold.engine.importing.batch import Batch, Naming, Target
from turnfold.engine.importing.cursor import Cursor, Sums, Tail
from turnfold.engine.importing.kept import REPLACED, collect_replaced, redacted_lines, redaction_count
from turnfold.engine.importing.packed import PackedFile
from turnfold.engine.importing.result import FileImport, Outcome, Progress, ProgressCallback, display_path
from turnfold.engine.importing.source import Facts, Piece, SourceFile
from turnfold.engine.reading import read_all
from turnfold.formats.base import Format, Line, Projected, Reader, SourceInfo
from turnfold.formats.lines import decode_line
from turnfold.formats.pieces import Piece as GluedRecord
from turnfold.formats.pieces import pieces
from turnfold.limits import LINE_BYTES_MAX
from turnfold.model.commit import Genesis
from turnfold.model.event import MAIN, NewEvent
from turnfold.model.session import Head
from turnfold.model.usage import NO_USAGE

_replace = msgspec.structs.replace


class Start(msgspec.Struct):
    """Where an attempt begins.

    ``retake`` if the end that was read last time is to be taken back first, ``moved`` if the same content has another path or form now.
    """

    session_id: str
    cursor: Cursor
    head: Head | None
    outcome: Outcome
    reason: str | None = None
    genesis: Genesis | None = None
    retake: bool = False
    moved: bool = False


class Feed:
    """Feeds a file to a reader, batch by batch."""

    def __init__(
        self,
        target: Target,
        fmt: Format,
        start: Start,
        *,
        file: SourceFile,
        info: SourceInfo,
        result: FileImport,
        progress: ProgressCallback | None,
    ) -> None:
        self._file = file
        self._format = fmt
        self._info = info
        self._start = start
        self._target = target
        self._result = result
        self._progress = progress
        self._cursor = start.cursor
        self._key = target.key(start.session_id)
        self._tail: Tail | None = None
        self.counted_bytes = 0
        """The file's first bytes whose usage counts in another session."""

    @property
    def last_seq(self) -> int:
        """The session's last seq after ``run``, as far as this import knows."""
        return self._batch.next_seq - 1

    def run(self) -> None:
        """Import from where the start says to the file's end."""
        head = self._start.head
        if self._start.outcome == "replaced":
            self._cursor = self._next_generation()
        cursor = self._cursor
        self._naming = Naming(cursor.source, cursor.generation, cursor.revision)
        self._batch = Batch(
            self._target,
            self._key,
            self._naming,
            self._result,
            last_seq=0 if head is None else head.info.last_seq,
            begin_seq=cursor.begin_seq,
            genesis=self._start.genesis,
            at_us=cursor.at_us,
        )
        if self._start.outcome == "replaced":
            self._take_back_all()
        self._add_files()
        self._reader = self._open_reader(cursor.state)
        self._offset, self._line = cursor.offset, cursor.line
        if cursor.unfinished is not None:
            self._go_on_after(cursor.unfinished)
        self._feed()

    def _open_reader(self, state: dict[str, Any] | None) -> Reader:
        return self._format.reader(self._file.named, self._info, state, self._batch.find)

    # ---- lines -----------------------------------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        redacted = frozenset(self._cursor.redacted)
        for line in self._file.lines(self._offset, self._line + 1):
            if self._file.settled(line):
                self._tail = None
            elif self._tail is None:
                before = self._file.fingerprint_keeping(line.offset)[1]
                self._tail = Tail(offset=line.offset, line=line.number, before=before, state=self._reader.state())
            if isinstance(line, Piece):
                self._feed_piece(line)
            else:
                self._feed_line(line, redacted)
            if self._batch.full:
                self._commit(self._reader.state())
        if self._batch.empty and self._cursor.finished:
            if self._start.moved:  # so that the next run need not compare contents
                self._commit(self._reader.state(), finished=True)
            return
        for index, item in enumerate(self._reader.finish(self._batch.next_seq)):
            self._batch.add_own(item, "finish", self._offset, index)
        self._commit(self._reader.state(), finished=True)

    def _feed_line(self, line: Line, redacted: frozenset[str]) -> None:
        line_hash = self._naming.line_hash(line.data)
        if line_hash in redacted:
            projected = [_own("redacted", None)]
        elif line.data.endswith(b"\n") or decode_line(line.data)[1] is None:
            projected = self._read(line)
            if len(projected) == 1 and projected[0].problem is not None and projected[0].event.type == "opaque":
                records = pieces(line.data)
                if len(records) > 1:
                    self._feed_records(line, records, redacted)
                    return
        else:  # torn in the middle by a crash or by our looking too early
            projected = [_own("torn line", whole(line.data), "the last line is cut off; it is read again when the file goes on")]
        self._add(line, projected, line_hash)

    def _feed_records(self, line: Line, records: list[GluedRecord], redacted: frozenset[str]) -> None:
        """Feed the records of a line that its reader could not read one by one: two processes had appended to the file at once."""
        offset = line.offset
        for index, record in enumerate(records):
            one = Line(line.number, offset, record.data)
            line_hash = self._naming.line_hash(one.data)
            projected = [_own("redacted", None)] if line_hash in redacted else self._read(one)
            if record.problem is not None and projected[0].problem is None:
                projected[0] = _replace(projected[0], problem=record.problem)
            self._add(one, projected, line_hash, new_line=index == 0)
            offset += len(record.data)

    def _read(self, line: Line) -> list[Projected]:
        projected = self._reader.feed(line, self._batch.next_seq)
        if line.offset < self.counted_bytes:
            projected = [_replace(item, event=_replace(item.event, usage=NO_USAGE)) for item in projected]
        return projected

    def _feed_piece(self, piece: Piece) -> None:
        line = Line(piece.number, piece.offset, piece.data)
        newline = piece.data.endswith(b"\n")
        content = piece.data[:-1] if newline else piece.data
        ref = part_ref(content)
        source = (b"R" if newline else b"r") + b"\x01@" + ref[7:].encode() + b"\x02"
        problem = f"the line is longer than LINE_BYTES_MAX = {LINE_BYTES_MAX} bytes and is kept without being read" if piece.first else None
        item = _own("long line", source, problem)
        item = _replace(item, parts=((ref, content),))
        self._add(line, [item], self._naming.line_hash(piece.data), new_line=piece.first)

    def _add(self, line: Line, projected: list[Projected], line_hash: str, *, new_line: bool = True) -> None:
        first_seq = self._batch.next_seq
        events = self._batch.add_line(line, projected, line_hash, new_line=new_line)
        if self._tail is not None:
            self._tail.add(first_seq, events)
        self._offset, self._line = line.offset + len(line.data), line.number

    def _commit(self, state: dict[str, Any], *, finished: bool = False) -> None:
        head_hash, tail_hash = self._file.fingerprint_keeping(self._offset)
        size, mtime_ns, inode = self._facts()
        cursor = _replace(
            self._cursor,
            path=display_path(self._file.path),
            size=size,
            mtime_ns=mtime_ns,
            inode=inode,
            packed_size=self._file.on_disk.size if isinstance(self._file, PackedFile) else 0,
            offset=self._offset,
            line=self._line,
            head=head_hash,
            tail=tail_hash,
            state=state,
            at_us=self._batch.at_us,
            finished=finished,
            unfinished=self._tail,
        )
        self._batch.commit(cursor)
        self._cursor = cursor
        if self._progress is not None:
            total = max(self._file.facts.size, self._offset)
            self._progress(Progress(self._result.path, self._offset, total, self._result.event_count))

    def _facts(self) -> Facts:
        """The file's facts of when it was opened; its size is at least what was read since."""
        facts = self._file.facts
        return facts if self._offset <= facts.size else facts._replace(size=self._offset)

    # ---- what was there before ---------------------------------------------------------------------------------------------------------

    def _goes_on(self) -> bool:
        """Whether more follows on a last line that had no newline."""
        return self._cursor.unfinished is not None and self._file.facts.size > self._cursor.offset

    def _go_on_after(self, tail: Tail) -> None:
        """What was read last may have become something else.

        A document's end is taken back where the start says so, else it may still change. The last line of a file, which had no newline, was
        complete or has to be read again.
        """
        if self._start.retake:
            self._take_back(tail, "the source says it otherwise now")
        elif self._file.native_id is not None or not self._goes_on():
            self._tail = tail
        else:
            line = next(self._file.lines(tail.offset, tail.line))
            rest = line.data[self._cursor.offset - tail.offset :]
            if isinstance(line, Line) and rest.strip() == b"" and rest.endswith(b"\n"):
                ending = Line(tail.line, self._cursor.offset, rest)
                self._add(ending, [_own("newline", whole(rest))], self._naming.line_hash(rest), new_line=False)
            else:
                self._take_back(tail, "the line was unfinished")

    def _take_back(self, tail: Tail, reason: str) -> None:
        """Take the events of the end out again, and go back to before it. What is read in their place gets ids of its own."""
        self._cursor = _replace(self._cursor, revision=self._cursor.revision + 1)
        self._naming = self._batch.naming = Naming(self._cursor.source, self._cursor.generation, self._cursor.revision)
        ranges = [(first, last) for _, first, last in tail.ranges]
        if redaction_count(self._target.store, self._key, self._target.owner):
            redacted = redacted_lines(read_all(self._target.store, self._key, owner=self._target.owner), tail.ranges)
            self._cursor = _replace(self._cursor, redacted=sorted({*self._cursor.redacted, *redacted}))
        by_branch: dict[str, list[tuple[int, int]]] = {}
        for branch, first, last in tail.ranges:
            by_branch.setdefault(branch, []).append((first, last))
        self._retract(by_branch, tail.sums, reason, offset=tail.offset)
        self._batch.finder.forget(ranges)
        self._offset, self._line = tail.offset, tail.line - 1
        self._reader = self._open_reader(tail.state)

    def _retract(self, by_branch: dict[str, list[tuple[int, int]]], sums: Sums, reason: str, *, offset: int, what: str = "retract") -> None:
        """Take events out of the views of their branches, and what they had added out of the head."""
        usages = [_replace(NO_USAGE - usage, model=model) for model, usage in sums.usage.items()]
        counts = (-sums.message_count, -sums.turn_count, -sums.token_count)
        for index, (branch, ranges) in enumerate(by_branch.items()):
            new = _own_event("retract", {"ranges": ranges, "reason": reason})
            if index == 0:  # the sums are the session's, so one event takes all of them back
                new = _replace(new, message_count=counts[0], turn_count=counts[1], token_count=counts[2])
                new = _replace(new, usage=usages[0]) if usages else new
            self._batch.add_on(branch, new, what, offset, self._batch.next_seq)
        for usage in usages[1:]:
            extra = NewEvent(type="usage", data={"reason": reason}, usage=usage, visibility="none", message_count=0)
            self._batch.add_on(next(iter(by_branch)), extra, what, offset, self._batch.next_seq)

    def _next_generation(self) -> Cursor:
        old = self._cursor
        head = self._start.head
        assert head is not None
        return Cursor(
            source=old.source,
            format=old.format,
            path=old.path,
            generation=old.generation + 1,
            begin_seq=head.info.last_seq,
            at_us=old.at_us,
            redacted=old.redacted,
        )

    def _take_back_all(self) -> None:
        """Take the lines of the generation before out of the file (they stay in the log) and begin a branch for the new ones."""
        before = Naming(self._cursor.source, self._cursor.generation - 1)
        events = read_all(self._target.store, self._key, owner=self._target.owner, with_source=True)
        old = collect_replaced(events, f"i{before.generation}.")
        self._cursor = _replace(self._cursor, redacted=sorted({*self._cursor.redacted, *old.redacted}))
        self._retract({before.root: old.ranges}, old.sums, "the file was replaced", offset=0, what=REPLACED)
        fork = {"name": self._naming.root, "parent": MAIN, "fork_seq": 1, "reason": "the file was replaced"}
        self._batch.add_on(self._naming.root, _own_event("branch.created", fork), "branch", 0)
        self._batch.add_on(self._naming.root, _own_event("branch.switched", {"name": self._naming.root}), "switch", 0)

    def _add_files(self) -> None:
        """Keep small companion files with the session, where they are new or have changed."""
        if not self._info.files:
            return
        digest = hashlib.sha256(msgspec.json.encode(self._info.files, order="sorted")).hexdigest()[:32]
        if digest == self._cursor.files:
            return
        self._batch.add_on(
            self._naming.root, _own_event("snapshot", {"kind": "companions", "files": self._info.files}), "files", 0, self._batch.next_seq
        )
        self._cursor = _replace(self._cursor, files=digest)


def _own(native_type: str, source: bytes | None, problem: str | None = None) -> Projected:
    data = {"native_type": native_type} | ({"problem": problem} if problem else {})
    event = NewEvent(type="opaque", data=data, visibility="none", source=source, message_count=0, turn_count=0)
    return Projected(event, (), problem)


def _own_event(event_type: str, data: dict[str, Any]) -> NewEvent:
    return NewEvent(type=event_type, data=data, visibility="none", meta={"import": True}, message_count=0, turn_count=0)
