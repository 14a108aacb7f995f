"""The kept lines of a session: written out, compared with a file, taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from turnfold.codec.residual import join
from turnfold.core.fold import payload_of
from turnfold.engine.importing.cursor import Sums
from turnfold.engine.importing.source import SourceFile
from turnfold.engine.reading import read_all
from turnfold.formats.base import native_lines
from turnfold.model.event import Event
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store

REPLACED = "replaced"
"""In the ids of the events that take a generation back: they are written by the next one, and are none of its lines."""
_RETRACT = frozenset({"retract"})
_decode = msgspec.json.Decoder().decode


def kept_lines(store: Store, key: SessionKey, owner: str | None) -> Iterator[bytes]:
    """Yield the session's kept lines as they were in its file, in order."""
    retractions = list(read_all(store, key, owner=owner, types=_RETRACT))
    for event in native_lines(retractions, read_all(store, key, owner=owner, with_source=True)):
        assert event.source is not None
        yield join(event.source, _decode(event.data_raw), part_reader(store, key, owner))


def part_reader(store: Store, key: SessionKey, owner: str | None) -> Callable[[str], bytes]:
    """Return what reads an out-of-line part of the session."""
    return lambda ref: store.read_part(key, ref, owner=owner)


def begins_with(file: SourceFile, lines: Iterator[bytes], size: int) -> bool:
    """Whether the kept lines are the file's first ``size`` bytes; of a file that is shorter, all its bytes are a beginning of them."""
    file.file.seek(0)
    left = min(size, file.facts.size)
    for line in lines:
        if left <= 0:
            return True
        expected = line[:left]
        if file.file.read(len(expected)) != expected:
            return False
        left -= len(expected)
    return left == 0


class Replaced(msgspec.Struct):
    """What an earlier generation of a file left in the log.

    Attributes:
        ranges: Stretches of seqs of events with kept lines.
        sums: What those events added to the head.
        redacted: Hashes of lines whose events were redacted.
    """

    ranges: list[tuple[int, int]] = []
    sums: Sums = msgspec.field(default_factory=Sums)
    redacted: list[str] = []


def collect_replaced(events: Iterator[Event], prefix: str) -> Replaced:
    """Go over a session and collect what a generation put there.

    Args:
        events: All events, with their kept lines.
        prefix: What the ids of that generation's events begin with.
    """
    out = Replaced()
    for event in events:
        if not event.id.startswith(prefix) or event.type in {"session.created", "import.cursor"} or event.id.split(".")[2] == REPLACED:
            continue
        if event.redacted:
            out.redacted.append(event.id.split(".")[2])
        if event.source is not None or event.redacted:
            if out.ranges and out.ranges[-1][1] == event.seq - 1:
                out.ranges[-1] = (out.ranges[-1][0], event.seq)
            else:
                out.ranges.append((event.seq, event.seq))
        out.sums.add(event)
    return out


def redacted_lines(events: Iterator[Event], ranges: Iterable[tuple[str, int, int]]) -> list[str]:
    """Hashes of the lines in those stretches (branch, first and last seq) whose events were redacted."""
    inside = {seq for _, first, last in ranges for seq in range(first, last + 1)}
    return [event.id.split(".")[2] for event in events if event.redacted and event.seq in inside]


def redaction_count(store: Store, key: SessionKey, owner: str | None) -> int:
    """How many payloads of the session were erased."""
    events = read_all(store, key, owner=owner, types=frozenset({"redaction"}))
    return sum(len(payload_of(event).targets) for event in events)
