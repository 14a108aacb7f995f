"""How far a file has been imported, and what to do with it when it is met again.

The cursor of a source is the payload of the session's latest ``import.cursor`` event, and so an entry of its head. That event is the last one of
every batch and commits with it, so that cursor and lines cannot part. One event per batch (not per line, and none for an unchanged
file) is what an honest fold of the log costs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from turnfold.engine.importing.source import Facts, SourceFile
from turnfold.model.event import Event
from turnfold.model.session import Head
from turnfold.model.usage import Usage


class Sums(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What events added to the head; usage by model."""

    message_count: int = 0
    turn_count: int = 0
    token_count: int = 0
    usage: dict[str, Usage] = {}

    def add(self, event: Event) -> None:
        """Count an event."""
        self.message_count += event.message_count
        self.turn_count += event.turn_count
        self.token_count += event.token_count
        if event.usage:
            model = event.usage.model
            self.usage[model] = self.usage[model] + event.usage if model in self.usage else event.usage


NAMING = frozenset({"branch.created", "checkpoint"})
"""What gives a name in the session's head. A name stays given when the line that gave it is taken back, so the giving stays to be found."""


class Tail(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The end that may still become another: its events can be taken back and the lines read again.

    Of a file: the last line, where it had no newline yet. Of a document's session: the lines after its settled ones.

    Attributes:
        offset, line: Where it begins.
        before: Hash of what precedes it (``SourceFile.fingerprint``).
        state: The reader's before it.
        ranges: Its events: branch, first and last seq. Other writers' events may lie between.
        sums: What its events added to the head.
        branched: It made a branch or a checkpoint, whose name cannot be taken back, and gave it no native id: the reader could not find it.
    """

    offset: int
    line: int
    before: str = ""
    state: dict[str, Any] | None = None
    ranges: list[tuple[str, int, int]] = []
    sums: Sums = msgspec.field(default_factory=Sums)
    branched: bool = False

    def add(self, first_seq: int, events: Iterable[Event]) -> None:
        """Note events, the first of them at that seq."""
        for seq, event in enumerate(events, first_seq):
            last = self.ranges[-1] if self.ranges else None
            if last is not None and (last[0], last[2]) == (event.branch, seq - 1):
                self.ranges[-1] = (last[0], last[1], seq)
            else:
                self.ranges.append((event.branch, seq, seq))
            self.sums.add(event)
            self.branched = self.branched or (event.type in NAMING and b'"uuid"' not in (event.meta_raw or b""))


class Cursor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far a file has been read.

    Attributes:
        source: Key of the source: ``<format>:<native id>``.
        path, size, mtime_ns, inode: The file as it was; equal again means unchanged without reading it. Of a document's session: the
            document's path, the size of its lines, and a hash of them in place of the time.
        packed_size: Of a compressed file: its own size; ``size`` is that of its content.
        offset, line: Bytes and lines read.
        head, tail: Hashes of the first bytes and of the last before ``offset`` (of a document's session: of all before ``offset``).
        generation: 1, and one more each time the file was replaced by other content; it begins after ``begin_seq``.
        revision: How often the end was taken back and read again.
        state: The reader's.
        at_us: Time of the last event; lines without a time get that of the one before.
        finished: The file's end was reached and the reader told so.
        unfinished: See ``Tail``.
        redacted: Hashes of lines whose events were redacted in an earlier generation: they are not read again.
        files: Hash of the small companion files kept with the session.
    """

    source: str
    format: str
    path: str
    size: int = 0
    mtime_ns: int = 0
    inode: int = 0
    packed_size: int = 0
    offset: int = 0
    line: int = 0
    head: str = ""
    tail: str = ""
    generation: int = 1
    begin_seq: int = 0
    revision: int = 0
    state: dict[str, Any] | None = None
    at_us: int = 0
    finished: bool = False
    unfinished: Tail | None = None
    redacted: list[str] = []
    files: str = ""


_decoder = msgspec.json.Decoder(Cursor)


def cursor_of(head: Head, source: str) -> Cursor | None:
    """The cursor of a source in a session's head, or None."""
    entry = head.entry("import", source)
    return None if entry is None or entry.value is None else _decoder.decode(entry.value)


Next = Literal["go_on", "retake", "compare", "replaced", "shortened"]


def without_reading(cursor: Cursor, path: str, on_disk: Facts) -> bool:
    """Whether the file system alone shows that nothing has changed."""
    was = Facts(cursor.packed_size or cursor.size, cursor.mtime_ns, cursor.inode)
    return cursor.finished and cursor.path == path and was == on_disk and cursor.size == cursor.offset


def next_step(cursor: Cursor, path: str, facts: Facts, fingerprint: tuple[str, str]) -> Next:
    """What to do with a file that is known.

    ``compare``: first and last bytes agree, but it may be another file (moved, restored, rewritten): all bytes have to be compared with the
    kept lines before going on.
    """
    if facts.size < cursor.offset:
        return "shortened"
    if fingerprint != (cursor.head, cursor.tail):
        return "replaced"
    same_file = cursor.path == path and cursor.inode == facts.inode
    if same_file and (facts.size > cursor.offset or not cursor.finished):
        return "go_on"
    return "compare"


def next_step_of_document(cursor: Cursor, file: SourceFile) -> Next:
    """What to do with a document's session that is known; whole contents are compared, so there is no ``compare``.

    ``retake``: only the end that may change is another one.
    """
    if file.facts.size >= cursor.offset and file.fingerprint(cursor.offset)[1] == cursor.tail:
        return "go_on"
    tail = cursor.unfinished
    if tail is not None and not tail.branched and file.facts.size >= tail.offset and file.fingerprint(tail.offset)[1] == tail.before:
        return "retake"
    return "shortened" if file.facts.size < cursor.offset else "replaced"
