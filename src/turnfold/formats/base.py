"""What a format is: a way from the lines of a tool's file to events, and back.

Theory of operation. The importer (engine) owns files, offsets, batches and the store; a reader owns meaning. The importer feeds physical
lines in file order and says which seq the next event will get (it commits with ``expected_seq``, so it knows); the reader answers with events
and keeps what later lines need in ``state``, a small JSON object that the importer keeps with its cursor, in the same commit. A parent that is
no longer in the state is looked up through ``find``. A reader never raises on bad input: it answers with an ``opaque`` event and a problem.

Every physical line becomes at least one event that keeps the line (``codec.residual``); blank, glued and broken lines too. Export to the same
format is the kept lines in seq order, so an untouched session exports byte for byte what was imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from turnfold.core.conversation import Conversation
from turnfold.formats.loss import LossReport
from turnfold.model.event import Event, NewEvent


class Line(NamedTuple):
    """A physical line: 1-based number, byte offset in the file, bytes with the newline if it has one."""

    number: int
    offset: int
    data: bytes


class Place(NamedTuple):
    """Where an event is."""

    seq: int
    branch: str


class Projected(msgspec.Struct, frozen=True):
    """One event of a line, with the parts that go out of line, and what was wrong with the line (shown to the user), if anything."""

    event: NewEvent
    parts: tuple[tuple[str, bytes], ...] = ()
    problem: str | None = None


class SourceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the first lines of a file say about its session.

    Attributes:
        native_id: The tool's own session id (becomes the session id); ``<id>/subagents/<agent>`` for a subagent file.
        agent: Name of the tool, e.g. ``claude-code``.
        version: Of the tool.
        title: If the file has one at its head.
        created_us: Time of the first dated line.
        parent: ``{"session_id": …, "relation": "subagent"|"fork"}`` or None.
        metadata: cwd, git branch and the like: small, for the list.
        files: Exact text of small files that belong to this one (name in the same folder → text): kept with the session, and written
            again beside its exported file.
    """

    native_id: str
    agent: str
    version: str | None = None
    title: str | None = None
    created_us: int | None = None
    parent: dict[str, Any] | None = None
    metadata: dict[str, Any] = {}
    files: dict[str, str] = {}


Find = Callable[[str], Place | None]
"""Returns the place of the event with that native id (``meta.uuid``) in the session so far, all events answered before included, committed
or not; of the latest one where an id is repeated."""


class Reader(Protocol):
    """Projects one file, line by line."""

    def feed(self, line: Line, next_seq: int) -> list[Projected]:
        """Return the events of a line, at least one; the first will get ``next_seq``. Their ids are left to the importer."""
        ...

    def state(self) -> dict[str, Any]:
        """What the reader needs to go on after the last line fed: JSON types, small."""
        ...

    def finish(self, next_seq: int) -> list[Projected]:
        """Events that follow from the whole file so far (active branch, title), without a kept line; called once after the last line."""
        ...


@runtime_checkable
class Format(Protocol):
    """One tool's file format, to read."""

    name: str
    """As in ``--format``, e.g. ``claude-code``."""

    def sniff(self, path: Path, head: bytes) -> float:
        """How sure it is (0 to 1) that a file whose first 64 KiB are ``head`` is of this format. By content; the path only breaks ties."""
        ...

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the session's facts from the first lines (as many as it asks for)."""
        ...

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader that begins at the file's start, or goes on from ``state``."""
        ...

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield this tool's session files in their usual places on this machine, oldest first."""
        ...

    def companions(self, path: Path) -> list[Path]:
        """Files that belong to a session's main file: subagents' files, meta files."""
        ...

    def export_name(self, session_id: str) -> str:
        """Relative file name that the tool itself would use for an exported session."""
        ...


@runtime_checkable
class Placed(Protocol):
    """A format that says where its tool keeps sessions, so that new ones are noticed. Without it only what ``discover`` yields is followed."""

    def folders(self, home: Path, environ: dict[str, str]) -> Iterable[Path]:
        """Return the folders (or files) that ``discover`` looks into, there or not yet."""
        ...


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One session out of a document, said as lines.

    Attributes:
        native_id: The source's own id of the session; it becomes the session id.
        lines: One JSON object each, without a newline in or after it, in the order of the session. What could not be read is a line too
            (``formats.documents.unreadable``), so that it is kept and reported.
        settled_count: How many of the first lines stay as they are when the session goes on; None are all. What may still change (totals, a
            title, an answer that is still being written) comes last; it is taken back and read again when the document is met again. A name
            that is given there to a branch or a checkpoint stays given: its event has a native id (``meta.uuid``), and a reader that finds
            it does not give the name again.
    """

    native_id: str
    lines: Sequence[bytes]
    settled_count: int | None = None


@runtime_checkable
class DocumentFormat(Format, Protocol):
    """A format whose file holds sessions in another way than as lines: ``describe`` and ``reader`` get the lines of ``documents``."""

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the sessions of a file (for a folder's layout: of the file that stands for the folder), one at a time.

        Raises:
            FormatError: The file as a whole cannot be read. What is wrong with one record is a line of its session.
        """
        ...

    def covered(self, path: Path) -> Iterable[Path]:
        """The other files that ``documents(path)`` reads; a walk through folders leaves them out."""
        ...


@runtime_checkable
class Writer(Protocol):
    """Writes a conversation in a shape that it need not have come from.

    A name may stand for a ``Format`` and a ``Writer``; they may be one class or two with the same name.
    """

    name: str
    """As in ``export --format``."""
    suffix: str
    """Of a file, with the dot: ``.json``."""

    def write(self, conversation: Conversation, losses: LossReport) -> Iterator[bytes]:
        """Yield the file's content. What the target cannot hold is counted in ``losses``, never dropped in silence."""
        ...


def retracted_ranges(retractions: Iterable[Event]) -> list[tuple[int, int]]:
    """The stretches of seqs that imports took out of their file again, merged and in order.

    Args:
        retractions: The session's ``retract`` events; those of people (without ``meta.import``) do not touch the file.
    """
    ranges: list[tuple[int, int]] = []
    for event in retractions:
        if event.type == "retract" and event.meta.get("import"):
            data = event.data
            ranges += ((seq, seq) for seq in data.get("seqs", ()))
            ranges += ((first, last) for first, last in data.get("ranges", ()))
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def native_lines(retractions: Iterable[Event], events: Iterable[Event]) -> Iterator[Event]:
    """The events that carry a kept line, in seq order, without those taken out of their file again (``retract`` of an import).

    Two passes, so that a file of any size streams: the few retractions first, then everything.

    Args:
        retractions: The session's ``retract`` events.
        events: All its events in seq order, with their kept lines.
    """
    ranges = retracted_ranges(retractions)
    place = 0
    for event in events:
        while place < len(ranges) and ranges[place][1] < event.seq:
            place += 1
        out = place < len(ranges) and ranges[place][0] <= event.seq
        if event.source is not None and not out:
            yield event
