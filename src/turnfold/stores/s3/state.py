"""A session as its manifest says, decoded: what a commit is checked against and applied to, and what reads answer from.

A writer works on a ``copy``; the one that readers see is never changed. What a commit adds to entries, runs, seals and ranges is noted as hot,
so that the next manifest carries it beside the base that was written before.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from turnfold.core import checks
from turnfold.core.checks import covers, effective_status
from turnfold.core.fold import INFO_KINDS, branches_from, build_head, info_fields, latest_us
from turnfold.limits import IDEMPOTENCY_EVENTS
from turnfold.model.commit import HeadChange
from turnfold.model.event import Event, RangeTombstone, Seal
from turnfold.model.run import Run
from turnfold.model.session import BRANCH_KEYED, Branch, Entry, Head, SessionInfo, SessionKey
from turnfold.model.usage import Usage
from turnfold.objectstorage import Tag
from turnfold.stores.s3 import names
from turnfold.stores.s3.manifest import (
    ID_BYTES,
    TOKENS_KEPT,
    Fixed,
    Garbage,
    Manifest,
    Rows,
    SegmentRef,
    decode_event,
    encode_event,
    id_hash,
)

EntryKey = tuple[str, str, str]


class State:
    """One version of a session, living or deleted."""

    def __init__(self, key: SessionKey, incarnation: str, fixed: Fixed) -> None:
        """Begin an empty log."""
        self.key = key
        self.incarnation = incarnation
        self.fixed = fixed
        self.tag: Tag | None = None
        self.token = ""
        self.tokens: list[str] = []
        self.version = 0
        self.fence = 0
        self.leased = False
        self.deleted_at_us: int | None = None
        self.entries: dict[EntryKey, Entry] = {}
        self.by_model: dict[str, Usage] = {}
        self.runs: dict[str, Run] = {}
        self.seals: list[Seal] = []
        self.ranges: list[RangeTombstone] = []
        self.parts: set[str] = set()
        self.redacted: set[int] = set()
        self.base = ""
        self.hot = Hot()
        self.segments: list[SegmentRef] = []
        self.tail: list[Raw] = []
        self.tail_bytes = 0
        self._tail_events: list[Event] | None = []
        self.edits: dict[int, Event | None] = {}
        self.erases = False
        self.hurries = False
        self.uploads: dict[str, bytes] = {}
        self.recent = bytearray()
        self.recent_first_seq = 1
        self._places: dict[bytes, int] | None = {}
        self.outbox: list[bytes] = []
        self.garbage: list[Garbage] = []

    # ---- from and to a manifest ------------------------------------------------------------------------------------------------------
    @classmethod
    def of(cls, manifest: Manifest, base: Rows | None, tag: Tag) -> State:
        """Build the state of a manifest and its base."""
        state = cls(SessionKey(manifest.tenant, manifest.session_id), manifest.incarnation, manifest.fixed)
        state.tag, state.token, state.tokens, state.version = tag, manifest.token, manifest.tokens, manifest.version
        state.fence, state.leased, state.deleted_at_us = manifest.fence, manifest.leased, manifest.deleted_at_us
        if base is not None:
            state.take(base)
            state.hot = Hot(len(state.seals))
        state.base = manifest.base
        for entry in manifest.info:
            state.entries[entry.kind, entry.name, entry.branch] = entry
        state.take(manifest.hot)
        state.hot.note(manifest.hot)
        state.segments, state.tail = manifest.segments, manifest.tail
        state.tail_bytes = sum(len(memoryview(row)) for row in manifest.tail)
        state._tail_events = None
        state.recent, state.recent_first_seq = bytearray(manifest.recent_ids), manifest.recent_first_seq
        state._places = None
        state.outbox, state.garbage = manifest.outbox, manifest.garbage
        return state

    def take(self, rows: Rows) -> None:
        """Lay rows over those that are there."""
        for entry in rows.entries:
            self.entries[entry.kind, entry.name, entry.branch] = entry
        for usage in rows.by_model:
            self.by_model[usage.model] = usage
        for run in rows.runs:
            self.runs[run.id] = run
        self.seals.extend(rows.seals)
        for item in rows.ranges:
            self._put_range(item)
        self.parts.update(rows.parts)
        self.parts.difference_update(rows.parts_gone)
        self.redacted.update(rows.redacted)

    def manifest(self, token: str, version: int) -> Manifest:
        """The manifest of this state."""
        return Manifest(
            token=token,
            tokens=[*self.tokens[1 - TOKENS_KEPT :], self.token] if self.token else [],
            version=version,
            tenant=self.key.tenant,
            session_id=self.key.session_id,
            incarnation=self.incarnation,
            fence=self.fence,
            leased=self.leased,
            deleted_at_us=self.deleted_at_us,
            fixed=self.fixed,
            info=[entry for place, entry in self.entries.items() if place[0] in INFO_KINDS],
            hot=self.hot_rows(),
            base=self.base,
            segments=self.segments,
            tail=self.tail,
            recent_first_seq=self.recent_first_seq,
            recent_ids=bytes(self.recent),
            outbox=self.outbox,
            garbage=self.garbage,
        )

    def hot_rows(self) -> Rows:
        """What changed since the base."""
        hot = self.hot
        return Rows(
            entries=[self.entries[place] for place in hot.entries if place[0] not in INFO_KINDS],
            by_model=list(self.by_model.values()),
            runs=[self.runs[run_id] for run_id in hot.runs],
            seals=self.seals[hot.first_seal :],
            ranges=hot.ranges,
            parts=sorted(hot.parts),
            parts_gone=sorted(hot.parts_gone),
            redacted=sorted(hot.redacted),
        )

    def all_rows(self) -> Rows:
        """Everything that a base holds; what was removed is left out."""
        kept = (entry for place, entry in self.entries.items() if place[0] not in INFO_KINDS)
        return Rows(
            entries=[entry for entry in kept if entry.value is not None or entry.kind in BRANCH_KEYED],
            by_model=list(self.by_model.values()),
            runs=list(self.runs.values()),
            seals=self.seals,
            ranges=self.ranges,
            parts=sorted(self.parts),
            redacted=sorted(self.redacted),
        )

    def discard(self, lost: Sequence[str], due_at_us: int) -> None:
        """Note objects that were written for a manifest that was not."""
        known = {item.name for item in self.garbage}
        self.garbage += [Garbage(name, due_at_us) for name in lost if name not in known]

    def named(self) -> set[str]:
        """The names of all objects that this state refers to, or may not be rid of yet."""
        out = {ref.name for ref in self.segments} | {item.name for item in self.garbage}
        out |= {names.part(ref) for ref in self.parts}
        return out | ({self.base} if self.base else set())

    def rest_on(self, base: str, garbage: Garbage | None) -> None:
        """Take a newly written base, which holds all rows."""
        if garbage is not None:
            self.garbage.append(garbage)
        self.base = base
        self.hot = Hot(len(self.seals))

    def copy(self) -> State:
        """A copy that a writer may change."""
        other = copy.copy(self)
        other.fixed = copy.copy(self.fixed)
        for name in _COPIED:
            setattr(other, name, copy.copy(getattr(self, name)))
        other.hot = self.hot.copy()
        return other

    # ---- the log ---------------------------------------------------------------------------------------------------------------------
    def add(self, event: Event) -> None:
        """Put a stored event at the end of the log."""
        row = encode_event(event)
        self.tail_events().append(event)
        self.tail.append(row)
        self.tail_bytes += len(memoryview(row))
        self._remember(event.id, event.seq)
        self.fixed.last_seq = event.seq

    def add_pruned(self, pruned: RangeTombstone) -> None:
        """Put pruned places at the end of the log."""
        for seq, event_id in enumerate(pruned.ids, pruned.first_seq):
            self._remember(event_id, seq)
        self.fixed.last_seq = pruned.last_seq
        self._put_range(pruned)
        self.hot.ranges.append(pruned)

    def _remember(self, event_id: str, seq: int) -> None:
        digest = id_hash(event_id)
        self.places()[digest] = seq
        self.recent += digest
        if len(self.recent) > 2 * IDEMPOTENCY_EVENTS * ID_BYTES:
            gone = len(self.recent) // ID_BYTES - IDEMPOTENCY_EVENTS
            for offset in range(0, gone * ID_BYTES, ID_BYTES):
                self.places().pop(bytes(self.recent[offset : offset + ID_BYTES]), None)
            del self.recent[: gone * ID_BYTES]
            self.recent_first_seq += gone

    def places(self) -> dict[bytes, int]:
        """The remembered ids, hashed, and their seqs; pruned ones too."""
        if self._places is None:
            recent, first = bytes(self.recent), self.recent_first_seq
            self._places = {recent[at : at + ID_BYTES]: first + at // ID_BYTES for at in range(0, len(recent), ID_BYTES)}
            for item in self.ranges:
                self._places.update((id_hash(event_id), seq) for seq, event_id in enumerate(item.ids, item.first_seq))
        return self._places

    def tail_events(self) -> list[Event]:
        """The events of the tail."""
        if self._tail_events is None:
            self._tail_events = [decode_event(row) for row in self.tail]
        return self._tail_events

    def set_tail(self, events: list[Event]) -> None:
        """Let other events stand in the tail."""
        self._tail_events = events
        self.tail = [encode_event(event) for event in events]
        self.tail_bytes = sum(len(memoryview(row)) for row in self.tail)

    def edit(self, seq: int, event: Event | None) -> None:
        """Let another event stand at a place, or none (pruned)."""
        events = self.tail_events()
        if events and seq >= events[0].seq:
            self.set_tail([kept for item in events if (kept := event if item.seq == seq else item) is not None])
        else:
            self.edits[seq] = event

    def prune(self, pruned: RangeTombstone) -> None:
        """Let a range tombstone stand for its events."""
        self.fixed.gone_count += pruned.last_seq - pruned.first_seq + 1
        events = self.tail_events()
        first_in_tail = events[0].seq if events else self.fixed.last_seq + 1
        self.edits.update(dict.fromkeys(range(pruned.first_seq, min(pruned.last_seq, first_in_tail - 1) + 1)))
        if pruned.last_seq >= first_in_tail:
            self.set_tail([item for item in events if not pruned.first_seq <= item.seq <= pruned.last_seq])
        for seq, event_id in enumerate(pruned.ids, pruned.first_seq):
            self.places()[id_hash(event_id)] = seq
        self._put_range(pruned)
        self.hot.ranges.append(pruned)

    def _put_range(self, pruned: RangeTombstone) -> None:
        kept = [item for item in self.ranges if not covers(pruned, item)]
        self.ranges = sorted([*kept, pruned], key=lambda item: item.first_seq)

    def is_gone(self, seq: int) -> bool:
        """Whether the event at a place was redacted or pruned."""
        return seq in self.redacted or any(item.first_seq <= seq <= item.last_seq for item in self.ranges)

    # ---- the head --------------------------------------------------------------------------------------------------------------------
    def change(self, change: HeadChange, places: Sequence[tuple[int, str]]) -> None:
        """Apply a head change.

        Args:
            change: What its events do.
            places: (seq, branch) of each of its events, in order.
        """
        fixed = self.fixed
        for name in ("message_count", "turn_count", "token_count", "branch_count", "checkpoint_count"):
            setattr(fixed, name, getattr(fixed, name) + getattr(change, name))
        if change.usage:
            fixed.usage += change.usage
        for usage in change.usage_by_model:
            self.by_model[usage.model] = self.by_model.get(usage.model, Usage(model=usage.model)) + usage
        for entry in change.entries:
            seq, event_branch = places[entry.seq]
            branch = (entry.branch or event_branch) if entry.kind in BRANCH_KEYED else ""
            self.put_entry(Entry(entry.kind, entry.name, entry.value, seq, branch))
        if change.status is not None:
            fixed.status, fixed.end_reason = change.status.to, change.status.end_reason
        if change.active_branch is not None:
            fixed.active_branch = change.active_branch
        if change.expires_at_us is not None:
            fixed.expires_at_us = change.expires_at_us or None

    def put_entry(self, entry: Entry) -> None:
        """Set a head entry."""
        place = (entry.kind, entry.name, entry.branch)
        self.entries[place] = entry
        self.hot.entries[place] = None

    def touch(self, events: Sequence[Event], now_us: int) -> None:
        """Note that events were written: newer in lists, expiry moved on."""
        self.fixed.updated_at_us = latest_us(events, self.fixed.updated_at_us)
        if self.fixed.ttl_s is not None:
            self.fixed.expires_at_us = now_us + int(self.fixed.ttl_s * 1_000_000)

    def for_checks(self) -> checks.State:
        """What ``core.checks`` needs to know."""
        fixed = self.fixed
        return checks.State(
            status=fixed.status,
            expires_at_us=fixed.expires_at_us,
            leased=self.leased,
            fence=self.fence,
            active_branch=fixed.active_branch,
            last_seq=fixed.last_seq,
            turn_count=fixed.turn_count,
            message_count=fixed.message_count,
            branch_count=fixed.branch_count,
            checkpoint_count=fixed.checkpoint_count,
        )

    def head(self, now_us: int) -> Head:
        """The head as readers see it at a time."""
        return build_head(
            self.key.session_id,
            self.key.tenant,
            self.incarnation,
            fields=_fields(self.fixed, now_us),
            entries=self.entries.values(),
            by_model=dict(self.by_model),
            ttl_s=self.fixed.ttl_s,
        )

    def branches(self) -> dict[str, Branch]:
        """All branches but ``main``."""
        return branches_from(self.entries.values())


class Hot:
    """Which rows changed since the base was written."""

    def __init__(self, first_seal: int = 0) -> None:
        """Begin with none; the base holds that many seals."""
        self.first_seal = first_seal
        self.entries: dict[EntryKey, None] = {}
        self.runs: dict[str, None] = {}
        self.ranges: list[RangeTombstone] = []
        self.parts: set[str] = set()
        self.parts_gone: set[str] = set()
        self.redacted: set[int] = set()

    def note(self, rows: Rows) -> None:
        """Note rows that a manifest carried."""
        self.entries.update(((entry.kind, entry.name, entry.branch), None) for entry in rows.entries)
        self.runs.update((run.id, None) for run in rows.runs)
        self.ranges.extend(rows.ranges)
        self.parts.update(rows.parts)
        self.parts_gone.update(rows.parts_gone)
        self.redacted.update(rows.redacted)

    def copy(self) -> Hot:
        """A copy that may be changed."""
        other = Hot(self.first_seal)
        for name in ("entries", "runs", "ranges", "parts", "parts_gone", "redacted"):
            setattr(other, name, copy.copy(getattr(self, name)))
        return other


_COPIED = (
    "tokens",
    "entries",
    "by_model",
    "runs",
    "seals",
    "ranges",
    "parts",
    "redacted",
    "segments",
    "tail",
    "_tail_events",
    "edits",
    "uploads",
    "recent",
    "_places",
    "outbox",
    "garbage",
)


def info_of(manifest: Manifest) -> SessionInfo:
    """The row of a list, its status as stored; a manifest alone is enough for it."""
    return SessionInfo(
        id=manifest.session_id,
        tenant=manifest.tenant,
        incarnation=manifest.incarnation,
        **_fields(manifest.fixed, None),
        **info_fields(manifest.info),
    )


def _fields(fixed: Fixed, now_us: int | None) -> dict[str, Any]:
    fields = {name: getattr(fixed, name) for name in _HEAD_FIELDS}
    if now_us is not None:
        fields["status"] = effective_status(fixed.status, fixed.expires_at_us, now_us)
    return fields


_HEAD_FIELDS = tuple(field.name for field in msgspec.structs.fields(Fixed) if field.name not in {"ttl_s", "checkpoint_count", "gone_count"})
