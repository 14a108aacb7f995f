"""What the lines of a log add up to: the head, the rows beside it, and where each event is. A cache: replaying the log builds it again."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import msgspec

from turnfold.core import checks
from turnfold.core.fold import branches_from, build_head
from turnfold.model.event import MAIN, Event, RangeTombstone, Seal
from turnfold.model.run import Run
from turnfold.model.session import Branch, Entry, Head, SessionInfo, SessionKey
from turnfold.model.usage import NO_USAGE, Usage
from turnfold.stores.files.lines import GenesisRow, HeadRow, LeaseRow, Line, RedactRow
from turnfold.stores.files.rows import NO_RAW, entry_of

EntryKey = tuple[str, str, str]
_SUMS = ("message_count", "turn_count", "token_count", "branch_count")


class Place:
    """Where one line's events are: the segment, and per event its seq, id, offset and size."""

    __slots__ = ("events", "segment")

    def __init__(self, segment: int, events: list[tuple[int, str, int, int]]) -> None:
        self.segment = segment
        self.events = events


class LogState:
    """The replay of one log."""

    def __init__(self, key: SessionKey, genesis: GenesisRow, fence: int) -> None:
        """Begin a log with its genesis; ``fence`` is the highest that an earlier incarnation spent."""
        self.key = key
        self.genesis = genesis
        self.incarnation = genesis.incarnation
        self.entries: dict[EntryKey, Entry] = {}
        self.by_model: dict[str, Usage] = {}
        self.runs: dict[str, Run] = {}
        self.seals: list[Seal] = []
        self.ranges: list[RangeTombstone] = []
        self.tombstones: dict[int, RedactRow] = {}
        self.lease = LeaseRow(fence)
        self.parts: set[str] = set()
        self.targets: set[str] = set()
        self.deleted = False
        self.deleted_at_us = 0
        self.checkpoint_count = 0
        self.ids: dict[str, int] = {}
        self.offsets = array("Q")
        self.sizes = array("I")
        self.segment_firsts: list[int] = []
        self.segment_numbers: list[int] = []
        self._head: Head | None = None
        self._branches: dict[str, Branch] | None = None
        self.fields: dict[str, Any] = {
            "owner": genesis.owner,
            "agent": genesis.agent,
            "status": genesis.status,
            "kind": genesis.kind,
            "end_reason": None,
            "created_at_us": genesis.created_at_us,
            "updated_at_us": genesis.created_at_us,
            "expires_at_us": genesis.expires_at_us,
            "last_seq": 0,
            "message_count": 0,
            "turn_count": 0,
            "token_count": 0,
            "branch_count": 1,
            "usage": NO_USAGE,
            "active_branch": MAIN,
        }

    # ---- replay ----------------------------------------------------------------------------------------------------------------------
    def apply(self, line: Line, place: Place) -> None:
        """Take in the next line of the log."""
        if place.events:
            self._add_events(place)
        if line.head is not None:
            self._apply_head(line.head)
        if place.events and self.genesis.ttl_s is not None:
            self.fields["expires_at_us"] = line.at_us + int(self.genesis.ttl_s * 1_000_000)
        if line.updated_at_us is not None:
            self.fields["updated_at_us"] = max(self.fields["updated_at_us"], line.updated_at_us)
        for run in line.runs:
            self.runs[run.id] = run
        for item in (*line.ranges, *line.prune):
            self._add_range(item)
        if line.last_seq is not None:
            self._fill_to(line.last_seq)
        self.parts.update(line.parts)
        for redact in line.redacts:
            self._redact(redact)
        self.seals.extend(line.seals)
        if line.lease is not None:
            self.lease = line.lease
        self.targets.update(line.targets)
        if line.deleted:
            self.deleted, self.deleted_at_us = True, line.at_us
        self._head = None

    def _add_events(self, place: Place) -> None:
        first = place.events[0][0]
        if not self.segment_numbers or self.segment_numbers[-1] != place.segment:
            self.segment_numbers.append(place.segment)
            self.segment_firsts.append(first)
        for seq, event_id, offset, size in place.events:
            if len(self.offsets) != seq - 1:  # a copy of a log whose events before this one were pruned
                self._fill_to(seq - 1)
            self.offsets.append(offset)
            self.sizes.append(size)
            self.ids[event_id] = seq
        self.fields["last_seq"] = len(self.offsets)

    def _fill_to(self, last_seq: int) -> None:
        missing = last_seq - len(self.offsets)
        if missing > 0:
            self.offsets.extend([0] * missing)
            self.sizes.extend([0] * missing)
        self.fields["last_seq"] = len(self.offsets)

    def _apply_head(self, head: HeadRow) -> None:
        fields = self.fields
        for name in _SUMS:
            fields[name] += getattr(head, name)
        self.checkpoint_count += head.checkpoint_count
        if head.usage:
            fields["usage"] += head.usage
        for usage in head.usage_by_model:
            self.by_model[usage.model] = self.by_model.get(usage.model, Usage(model=usage.model)) + usage
        for row in head.entries:
            self.entries[row.kind, row.name, row.branch] = entry_of(row)
            if row.kind == "branch":
                self._branches = None
        if head.status is not None:
            fields["status"], fields["end_reason"] = head.status, head.end_reason
        if head.active_branch is not None:
            fields["active_branch"] = head.active_branch
        if head.expires_at_us is not None:
            fields["expires_at_us"] = head.expires_at_us or None

    def _add_range(self, item: RangeTombstone) -> None:
        self._fill_to(item.last_seq)
        self.ranges = sorted([*(other for other in self.ranges if not checks.covers(item, other)), item], key=lambda one: one.first_seq)
        for index in range(item.first_seq - 1, item.last_seq):
            self.sizes[index] = 0
        for seq, event_id in enumerate(item.ids, item.first_seq):
            self.ids[event_id] = seq

    def _redact(self, redact: RedactRow) -> None:
        self.tombstones[redact.seq] = redact
        self.parts.difference_update(redact.parts)
        for row in redact.entries:
            key = (row.kind, row.name, row.branch)
            entry = self.entries.get(key)
            if entry is not None and entry.seq == redact.seq:
                self.entries[key] = entry_of(row)

    # ---- where events are ------------------------------------------------------------------------------------------------------------
    @property
    def last_seq(self) -> int:
        """The last place of the log."""
        return len(self.offsets)

    def segment_of(self, seq: int) -> int:
        """The number of the segment that holds an event."""
        return self.segment_numbers[max(bisect_right(self.segment_firsts, seq) - 1, 0)]

    def is_pruned(self, seq: int) -> bool:
        """Whether the event at that place is gone."""
        return self.sizes[seq - 1] == 0

    # ---- what it shows ---------------------------------------------------------------------------------------------------------------
    def head(self, now_us: int) -> Head:
        """The head as readers see it at a time."""
        if self._head is None:
            self._head = build_head(
                self.key.session_id,
                self.key.tenant,
                self.incarnation,
                fields=self.fields,
                entries=self.entries.values(),
                by_model=dict(self.by_model),
                ttl_s=self.genesis.ttl_s,
            )
        head = self._head
        status = checks.effective_status(head.info.status, head.info.expires_at_us, now_us)
        if status == head.info.status:
            return head
        return msgspec.structs.replace(head, info=msgspec.structs.replace(head.info, status=status))

    def info(self) -> SessionInfo:
        """The light row, its status as stored."""
        return self.head(0).info

    def branches(self) -> dict[str, Branch]:
        """All branches but ``main``."""
        if self._branches is None:
            self._branches = branches_from(self.entries.values())
        return self._branches

    def for_checks(self) -> checks.State:
        """What ``core.checks`` needs to know."""
        fields = self.fields
        return checks.State(
            status=fields["status"],
            expires_at_us=fields["expires_at_us"],
            leased=self.lease.holder is not None,
            fence=self.lease.fence,
            active_branch=fields["active_branch"],
            last_seq=len(self.offsets),
            turn_count=fields["turn_count"],
            message_count=fields["message_count"],
            branch_count=fields["branch_count"],
            checkpoint_count=self.checkpoint_count,
        )


def tombstone_event(event: Event, redact: RedactRow) -> Event:
    """The event with its payload erased."""
    data = redact.tombstone_base64 if redact.tombstone is NO_RAW else bytes(redact.tombstone)
    return msgspec.structs.replace(event, data_raw=data, meta_raw=None, source=None, salt=b"", redacted=True)


def whole_ranges(ranges: Sequence[RangeTombstone], low: int, high: int) -> tuple[RangeTombstone, ...]:
    """The ranges that overlap ``low..high``."""
    return tuple(item for item in ranges if item.first_seq <= high and item.last_seq >= low)
