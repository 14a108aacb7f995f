"""How far a file has been imported, and what to do with it when it is met again.

The cursor of a source is the payload of the session's latest ``import.cursor`` event, and so an entry of its head. That event is the last one of
every batch and commits with it, so that cursor and lines cannot part. One event per batch (not per line, and none for an unchanged
file) is what an honest fold of the log costs.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from turnfold.engine.importing.source import Facts
from turnfold.model.session import Head
from turnfold.model.usage import Usage


class Tail(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The last line, where it had no newline yet: its events can be taken back when it turns out to go on.

    ``state`` is the reader's before that line; the sums are what its events added to the head.
    """

    offset: int
    line: int
    first_seq: int
    last_seq: int
    branch: str
    state: dict[str, Any] | None = None
    message_count: int = 0
    turn_count: int = 0
    token_count: int = 0
    usage: Usage = Usage()


class Cursor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far a file has been read.

    Attributes:
        source: Key of the source: ``<format>:<native id>``.
        path, size, mtime_ns, inode: The file as it was; equal again means unchanged without reading it.
        offset, line: Bytes and lines read.
        head, tail: Hashes of the first bytes and of the last before ``offset``.
        generation: 1, and one more each time the file was replaced by other content; it begins after ``begin_seq``.
        state: The reader's.
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
    offset: int = 0
    line: int = 0
    head: str = ""
    tail: str = ""
    generation: int = 1
    begin_seq: int = 0
    state: dict[str, Any] | None = None
    finished: bool = False
    unfinished: Tail | None = None
    redacted: list[str] = []
    files: str = ""

    def facts(self) -> Facts:
        """The file's facts when it was read last."""
        return Facts(self.size, self.mtime_ns, self.inode)


_decoder = msgspec.json.Decoder(Cursor)


def cursor_of(head: Head, source: str) -> Cursor | None:
    """The cursor of a source in a session's head, or None."""
    entry = head.entry("import", source)
    return None if entry is None or entry.value is None else _decoder.decode(entry.value)


Next = Literal["unchanged", "go_on", "compare", "replaced", "shortened"]


def without_reading(cursor: Cursor, path: str, facts: Facts) -> bool:
    """Whether the file system alone shows that nothing has changed."""
    return cursor.finished and cursor.path == path and cursor.facts() == facts and facts.size == cursor.offset


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
