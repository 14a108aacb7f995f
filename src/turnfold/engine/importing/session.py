"""Imports one file into its session: finds out where it belongs and how far it is, then feeds its lines to the format's reader.

Safe to stop at any moment: whatever was committed has its cursor with it, and whatever was not is read again. Another writer to the session
makes a batch conflict; the import then begins again at the cursor that it finds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from turnfold.codec.residual import part_ref, whole
from turnfold.engine.importing.batch import Batch, Naming, Target, genesis_of, session_fields
from turnfold.engine.importing.continued import origin_of
from turnfold.engine.importing.cursor import Cursor, Tail, cursor_of, next_step, without_reading
from turnfold.engine.importing.kept import begins_with, collect_replaced, kept_lines, redaction_count
from turnfold.engine.importing.result import FileImport, Outcome, Progress, ProgressCallback, display_path
from turnfold.engine.importing.source import Facts, Piece, SourceFile
from turnfold.engine.reading import read_all
from turnfold.errors import IdempotencyConflict, InvalidInput, SequenceConflict, SessionNotFound
from turnfold.formats.base import Format, Line, Projected, Reader, SourceInfo
from turnfold.formats.lines import decode_line
from turnfold.ids import check_session_id
from turnfold.limits import IMPORT_RETRIES_MAX, LINE_BYTES_MAX
from turnfold.model.commit import Genesis
from turnfold.model.event import MAIN, Event, NewEvent
from turnfold.model.session import Head
from turnfold.model.usage import NO_USAGE

_replace = msgspec.structs.replace


class _Start(msgspec.Struct):
    """Where an attempt begins."""

    session_id: str
    cursor: Cursor
    head: Head | None
    outcome: Outcome
    reason: str | None = None
    genesis: Genesis | None = None


class FileImporter:
    """Imports one file; used once."""

    def __init__(self, target: Target, fmt: Format, path: Path, result: FileImport, progress: ProgressCallback | None) -> None:
        """Set up; ``result`` is filled as batches commit."""
        self._target = target
        self._format = fmt
        self._path = path
        self._result = result
        self._progress = progress

    def run(self) -> None:
        """Import what is new in the file.

        Raises:
            OSError: The file cannot be read.
            TurnfoldError: The session takes no events, or the store fails.
        """
        for attempt in range(IMPORT_RETRIES_MAX):
            try:
                self._attempt()
            except (SequenceConflict, IdempotencyConflict):
                if attempt == IMPORT_RETRIES_MAX - 1:
                    raise
            else:
                return

    def _attempt(self) -> None:
        with SourceFile(self._path) as file:
            if file.facts.size == 0:
                self._result.outcome, self._result.reason = "skipped", "the file is empty"
                return
            info = self._format.describe(self._path, file.first_lines())
            origin = origin_of(self._target, info, file)
            if origin is not None and file.facts.size == origin.byte_count:
                self._result.session_id, self._result.reason = origin.session_id, "written from this session, and nothing was added since"
                return
            start = self._start(file, info)
            self._result.session_id = start.session_id
            if self._result.outcome in {"unchanged", "skipped"}:
                self._result.outcome, self._result.reason = start.outcome, start.reason
            if start.outcome not in {"unchanged", "skipped"}:
                feed = _Feed(self._target, self._format, start, file=file, info=info, result=self._result, progress=self._progress)
                feed.counted_bytes = 0 if origin is None else origin.byte_count
                feed.run()

    # ---- where it belongs ------------------------------------------------------------------------------------------------------------

    def _start(self, file: SourceFile, info: SourceInfo) -> _Start:
        """Choose the session.

        It is the native id; with the format's name before it where another format has that id; with a hash of the path behind it where
        another file of the same format has it too.
        """
        copy = False
        for session_id in self._candidates(info):
            if copy and "~" not in session_id:
                continue
            try:
                head = self._target.store.get_session(self._target.key(session_id), owner=self._target.owner)
            except SessionNotFound:
                if self._taken(session_id):
                    continue
                return self._new(file, info, session_id)
            native = head.info.native or {}
            if native.get("format") != self._format.name or native.get("id") != info.native_id:
                continue
            found = self._known(file, info, head)
            if found is not None:
                return found
            copy = True
        raise InvalidInput(f"{display_path(self._path)}: every session id for it is taken by something else")

    def _candidates(self, info: SourceInfo) -> Iterator[str]:
        native = info.native_id
        path_hash = hashlib.sha256(str(self._path).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        ids = [native, f"{self._format.name}-{native}", f"{native}~{path_hash}", f"{self._format.name}-{native}~{path_hash}"]
        yield from map(check_session_id, ids)

    def _taken(self, session_id: str) -> bool:
        """Whether the id exists outside this owner's view (another owner's session is not found, yet cannot be created)."""
        key = self._target.key(session_id)
        return self._target.owner is not None and key in self._target.store.last_seqs([key])

    def _new(self, file: SourceFile, info: SourceInfo, session_id: str) -> _Start:
        cursor = Cursor(source=self._source(info), format=self._format.name, path=display_path(self._path))
        at_us = info.created_us if info.created_us is not None else file.facts.mtime_ns // 1000
        extra = {"title": info.title, "metadata": info.metadata, "parent": info.parent}
        fields = session_fields(self._format.name, info.native_id, display_path(self._path), extra)
        genesis = genesis_of(self._target, Naming(cursor.source, 1), agent=info.agent, at_us=at_us, fields=fields)
        return _Start(session_id, cursor, None, "imported", genesis=genesis)

    def _source(self, info: SourceInfo) -> str:
        return f"{self._format.name}:{info.native_id}"

    def _known(self, file: SourceFile, info: SourceInfo, head: Head) -> _Start | None:
        """What to do with a file whose session exists; None if that session is another file's."""
        session_id, path = head.info.id, display_path(self._path)
        cursor = cursor_of(head, self._source(info))
        if cursor is None:  # created by somebody else from the same native session (a bundle, a copy by hand)
            return None
        if without_reading(cursor, path, file.facts):
            return _Start(session_id, cursor, head, "unchanged")
        step = next_step(cursor, path, file.facts, file.fingerprint(cursor.offset))
        other_file = cursor.path != path and Path(cursor.path).exists()
        if step == "compare":
            step = "go_on" if self._same(file, head, cursor) else "replaced"
        elif step == "shortened" and other_file and self._same(file, head, cursor):
            return _Start(session_id, cursor, head, "unchanged", f"an older copy of {cursor.path}")
        if step == "go_on":
            grown = file.facts.size > cursor.offset or not cursor.finished
            return _Start(session_id, cursor, head, "updated" if grown else "unchanged")
        if other_file:
            return None
        return _Start(session_id, cursor, head, "replaced", f"the file was {step}: its content differs from what was imported before")

    def _same(self, file: SourceFile, head: Head, cursor: Cursor) -> bool:
        """Whether all that was imported is what the file begins with. Redacted lines cannot be compared: then its ends have to do."""
        key, owner = self._target.key(head.info.id), self._target.owner
        if redaction_count(self._target.store, key, owner):
            return file.facts.size >= cursor.offset and file.fingerprint(cursor.offset) == (cursor.head, cursor.tail)
        return begins_with(file, kept_lines(self._target.store, key, owner), cursor.offset)


class _Feed:
    """Feeds a file to a reader, batch by batch."""

    def __init__(
        self,
        target: Target,
        fmt: Format,
        start: _Start,
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

    def run(self) -> None:
        head = self._start.head
        if self._start.outcome == "replaced":
            self._cursor = self._next_generation()
        cursor = self._cursor
        self._naming = Naming(cursor.source, cursor.generation)
        self._batch = Batch(
            self._target,
            self._key,
            self._naming,
            self._result,
            last_seq=0 if head is None else head.info.last_seq,
            begin_seq=cursor.begin_seq,
            genesis=self._start.genesis,
        )
        if self._start.outcome == "replaced":
            self._take_back_all()
        self._add_files()
        self._reader = self._open_reader(cursor.state)
        self._offset, self._line = cursor.offset, cursor.line
        if cursor.unfinished is not None and self._file.facts.size > cursor.offset:
            self._go_on_after(cursor.unfinished)
        self._feed()

    def _open_reader(self, state: dict[str, Any] | None) -> Reader:
        return self._format.reader(self._file.path, self._info, state, self._batch.find)

    # ---- lines -----------------------------------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        redacted = frozenset(self._cursor.redacted)
        for line in self._file.lines(self._offset, self._line + 1):
            self._tail = None
            if isinstance(line, Piece):
                self._feed_piece(line)
            else:
                self._feed_line(line, redacted)
            if self._batch.full:
                self._commit(self._reader.state())
        if self._batch.empty and self._cursor.finished:
            return
        for index, item in enumerate(self._reader.finish(self._batch.next_seq)):
            self._batch.add_own(item, "finish", self._offset, index)
        self._commit(self._reader.state(), finished=True)

    def _feed_line(self, line: Line, redacted: frozenset[str]) -> None:
        line_hash = self._naming.line_hash(line.data)
        if line_hash in redacted:
            self._add(line, [_own("redacted", None)], line_hash)
        elif line.data.endswith(b"\n"):
            projected = self._reader.feed(line, self._batch.next_seq)
            if line.offset < self.counted_bytes:
                projected = [_replace(item, event=_replace(item.event, usage=NO_USAGE)) for item in projected]
            self._add(line, projected, line_hash)
        else:
            self._feed_unfinished(line, line_hash)

    def _feed_unfinished(self, line: Line, line_hash: str) -> None:
        """The file ends without a newline: its last line may be complete, or torn in the middle by a crash or by our looking too early."""
        state = self._reader.state()
        first_seq = self._batch.next_seq
        if decode_line(line.data)[1] is None:
            projected = self._reader.feed(line, first_seq)
        else:
            projected = [_own("torn line", whole(line.data), "the last line is cut off; it is read again when the file goes on")]
        events = self._add(line, projected, line_hash)
        self._tail = _tail_of(events, line, first_seq, state)

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

    def _add(self, line: Line, projected: list[Projected], line_hash: str, *, new_line: bool = True) -> list[Event]:
        events = self._batch.add_line(line, projected, line_hash, new_line=new_line)
        self._offset, self._line = line.offset + len(line.data), line.number
        return events

    def _commit(self, state: dict[str, Any], *, finished: bool = False) -> None:
        head_hash, tail_hash = self._file.fingerprint_keeping(self._offset)
        size, mtime_ns, inode = self._facts()
        cursor = _replace(
            self._cursor,
            path=display_path(self._file.path),
            size=size,
            mtime_ns=mtime_ns,
            inode=inode,
            offset=self._offset,
            line=self._line,
            head=head_hash,
            tail=tail_hash,
            state=state,
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

    def _go_on_after(self, tail: Tail) -> None:
        """The file went on after a last line without newline: the line was complete, or it has to be read again."""
        line = next(self._file.lines(tail.offset, tail.line))
        begun = self._cursor.offset - tail.offset
        rest = line.data[begun:]
        if isinstance(line, Line) and rest.strip() == b"" and rest.endswith(b"\n"):
            ending = Line(tail.line, self._cursor.offset, rest)
            self._add(ending, [_own("newline", whole(rest))], self._naming.line_hash(rest), new_line=False)
            return
        data = {"ranges": [(tail.first_seq, tail.last_seq)], "reason": "the line was unfinished"}
        new = _retract(data, -tail.message_count, -tail.turn_count, -tail.token_count)
        self._batch.add_on(tail.branch, _replace(new, usage=NO_USAGE - tail.usage), "retract", tail.offset, tail.first_seq)
        self._offset, self._line = tail.offset, tail.line - 1
        self._reader = self._open_reader(tail.state)

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
            redacted=old.redacted,
        )

    def _take_back_all(self) -> None:
        """Take the lines of the generation before out of the file (they stay in the log) and begin a branch for the new ones."""
        before = Naming(self._cursor.source, self._cursor.generation - 1)
        events = read_all(self._target.store, self._key, owner=self._target.owner, with_source=True)
        old = collect_replaced(events, f"i{before.generation}.")
        self._cursor = _replace(self._cursor, redacted=sorted({*self._cursor.redacted, *old.redacted}))
        new = _retract({"ranges": old.ranges, "reason": "the file was replaced"}, -old.message_count, -old.turn_count, -old.token_count)
        usages = [NO_USAGE - usage for usage in old.usage.values()]
        models = list(old.usage)
        first = _replace(usages[0], model=models[0]) if usages else NO_USAGE
        self._batch.add_on(before.root, _replace(new, usage=first), "retract", 0)
        for index in range(1, len(usages)):
            usage = _replace(usages[index], model=models[index])
            extra = NewEvent(type="usage", data={"reason": "the file was replaced"}, usage=usage, visibility="none", message_count=0)
            self._batch.add_on(before.root, extra, "retract", 0, index)
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


def _retract(data: dict[str, Any], message_count: int, turn_count: int, token_count: int) -> NewEvent:
    """Build a retraction of the importer's; it also takes back what the lines had added to the head."""
    return NewEvent(
        type="retract",
        data=data,
        visibility="none",
        meta={"import": True},
        message_count=message_count,
        turn_count=turn_count,
        token_count=token_count,
    )


def _tail_of(events: list[Event], line: Line, first_seq: int, state: dict[str, Any]) -> Tail:
    usage = NO_USAGE
    for event in events:
        usage = usage + event.usage if usage else event.usage
    return Tail(
        offset=line.offset,
        line=line.number,
        first_seq=first_seq,
        last_seq=first_seq + len(events) - 1,
        branch=events[0].branch,
        state=state,
        message_count=sum(event.message_count for event in events),
        turn_count=sum(event.turn_count for event in events),
        token_count=sum(event.token_count for event in events),
        usage=usage,
    )
