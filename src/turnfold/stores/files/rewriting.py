"""Erasing what stands in a segment: redacted payloads and pruned events leave the file, everything else stays as it was."""

from __future__ import annotations

import msgspec

from turnfold.stores.files.lines import BadLine, HeadRow, Line, decode_line, encode_line, split_lines
from turnfold.stores.files.rows import EntryRow, decode_event, decode_id, encode_event
from turnfold.stores.files.state import LogState, tombstone_event


def rewrite_segment(data: bytes, state: LogState) -> bytes:
    """Return the segment without what the log erases.

    Args:
        data: All whole lines of the segment.
        state: The replay of the whole log, up to its end.
    """
    out: list[bytes] = []
    for _, raw, _ in split_lines(data):
        line = decode_line(raw)
        assert not isinstance(line, BadLine), "the segment was replayed before it is rewritten"
        out.append(_rewrite_line(raw, line, state))
    return b"".join(out)


def _rewrite_line(raw: bytes, line: Line, state: LogState) -> bytes:
    rows: list[bytes] = []
    changed = False
    for item in line.events:
        row = bytes(item)
        seq = decode_id(row).seq
        if state.is_pruned(seq):
            changed = True
            continue
        redact = state.tombstones.get(seq)
        if redact is not None:
            event = tombstone_event(decode_event(row), redact)
            row = encode_event(event, event.seq, event.branch, event.recorded_at_us)
            changed = True
        rows.append(row)
    if not changed:
        return raw + b"\n"
    head = None if line.head is None else _rewrite_head(line.head, state)
    # What this write was part of is long decided, so ``after`` and ``when`` go; ``transaction`` stays, others may look for it.
    return encode_line(msgspec.structs.replace(line, events=[], head=head, after=0, when=None), rows)


def _rewrite_head(head: HeadRow, state: LogState) -> HeadRow:
    """Take erased values out of the head change, so that replaying it still ends at the same head."""
    entries: list[EntryRow] = []
    for row in head.entries:
        live = state.entries.get((row.kind, row.name, row.branch))
        erased = state.tombstones[row.seq].entries if row.seq in state.tombstones else ()
        instead = [gone for gone in erased if (row.kind, row.name, row.branch) == (gone.kind, gone.name, gone.branch)]
        if instead:
            entries.append(instead[0])  # it took the place of what stood there before, and still does
        elif not state.is_pruned(row.seq) or (live is not None and live.seq == row.seq):
            entries.append(row)
    return msgspec.structs.replace(head, entries=tuple(entries))
