"""What a commit of any kind writes, decided from what was read: conditions and commands for ``apply.lua``. Nothing here talks to a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from turnfold.core.checks import covers
from turnfold.core.fold import latest_us
from turnfold.model.commit import Commit, Genesis, HeadChange, Redact
from turnfold.model.event import MAIN, Event, RangeTombstone, Seal
from turnfold.model.run import Run
from turnfold.model.session import Entry
from turnfold.stores.redis.index import Postings
from turnfold.stores.redis.keys import B, E, G, H, I, P, R, S, X, Y, place_of_kind
from turnfold.stores.redis.rows import (
    PRUNED_ROW,
    HeadRow,
    encode_head,
    entry_field,
    entry_of,
    entry_value,
    event_row,
    is_branch_keyed,
)

_replace = msgspec.structs.replace
_encode = msgspec.msgpack.Encoder().encode
ARGUMENTS_MAX: Final = 1_000
"""Arguments of one command inside a script; Lua's stack takes some thousands."""
SECOND_US: Final = 1_000_000
decode_run = msgspec.msgpack.Decoder(Run).decode
decode_range = msgspec.msgpack.Decoder(RangeTombstone).decode
decode_seal = msgspec.msgpack.Decoder(Seal).decode
pack = _encode

Command = list[Any]


class Erased(msgspec.Struct):
    """What was read of the things that a commit erases.

    Attributes:
        events: The stored events by seq.
        entries: Stored head entries by (place, field).
        ranges: The session's range tombstones.
        index_rows: Index rows by seq, as stored.
        postings: Posting lists of their terms, by field, as stored.
    """

    events: dict[int, Event] = {}
    entries: dict[tuple[int, bytes], bytes] = {}
    ranges: list[RangeTombstone] = []
    index_rows: dict[int, bytes] = {}
    postings: dict[bytes, bytes] = {}


class Draft:
    """The commands of one commit, and the head that they leave."""

    def __init__(self, head: HeadRow, now_us: int) -> None:
        """Begin with the head as it is; it is changed in place."""
        self.head = head
        self.now_us = now_us
        self.commands: list[Command] = []
        self._rows: list[bytes] = []
        self._ids: list[Any] = []
        self._hashes: dict[int, dict[bytes | str, bytes | str]] = {}
        self._gone: dict[int, set[bytes]] = {}

    # ---- the log ---------------------------------------------------------------------------------------------------------------------
    def add(self, event: Event, branch: str, recorded_at_us: int | None = None) -> int:
        """Put an event at the end of the log and return its seq."""
        head = self.head
        head.last_seq += 1
        seq = head.last_seq
        self._rows.append(event_row(event, self.now_us if recorded_at_us is None else recorded_at_us, branch))
        self._ids += (event.id, seq)
        if branch != head.tail_branch:
            self._set(B, f"~{seq}", branch)
            head.tail_branch = branch
        if event.source is not None:
            self._set(P, f"s:{seq}", event.source)
        return seq

    def add_range(self, pruned: RangeTombstone) -> None:
        """Put places without events at the end of the log."""
        for event_id in pruned.ids:
            self.head.last_seq += 1
            self._rows.append(PRUNED_ROW)
            self._ids += (event_id, self.head.last_seq)
        self._set(G, str(pruned.first_seq), _encode(pruned))
        self.head.range_count += 1

    # ---- the head --------------------------------------------------------------------------------------------------------------------
    def change(self, change: HeadChange, places: Sequence[tuple[int, str]]) -> None:
        """Apply a head change; ``places`` are (seq, branch) of its events, in order."""
        head = self.head
        head.message_count += change.message_count
        head.turn_count += change.turn_count
        head.token_count += change.token_count
        head.branch_count += change.branch_count
        head.checkpoint_count += change.checkpoint_count
        head.usage = [old + more for old, more in zip(head.usage, change.usage.numbers(), strict=True)]
        for usage in change.usage_by_model:
            self._add_usage(usage.model, usage.numbers())
        for entry in change.entries:
            seq, event_branch = places[entry.seq]
            branch = (entry.branch or event_branch) if is_branch_keyed(entry.kind) else ""
            self._entry(Entry(entry.kind, entry.name, entry.value, seq, branch))
        if change.status is not None:
            head.status = change.status.to
            head.end_reason = False if change.status.end_reason is None else change.status.end_reason
        if change.active_branch is not None:
            head.active_branch = change.active_branch
        if change.expires_at_us is not None:
            head.expires_at_us = change.expires_at_us

    def touch(self, events: Sequence[Event]) -> None:
        """Note that events were written."""
        head = self.head
        head.updated_at_us = latest_us(events, head.updated_at_us)
        if head.ttl_s:
            head.expires_at_us = self.now_us + int(head.ttl_s * SECOND_US)

    def _add_usage(self, model: str, numbers: Sequence[int]) -> None:
        for row in self.head.models:
            if row[0] == model:
                row[1:] = [int(old) + more for old, more in zip(row[1:], numbers, strict=True)]
                return
        self.head.models.append([model, *numbers])

    def _entry(self, entry: Entry) -> None:
        place, field = place_of_kind(entry.kind), entry_field(entry.kind, entry.name, entry.branch)
        if entry.value is None and not is_branch_keyed(entry.kind):
            self._remove(place, field)
        else:
            self._set(place, field, entry_value(entry.seq, entry.value))

    # ---- rows beside the log ---------------------------------------------------------------------------------------------------------
    def rows(self, commit: Commit) -> None:
        """Write runs and parts."""
        for run in commit.runs:
            self._set(R, run.id, _encode(run))
        for ref, content in commit.parts:
            self.commands.append(["HSETNX", P, f"p:{ref}", content])

    def erase(self, commit: Commit, erased: Erased) -> None:
        """Redact and prune, in the log and in the index."""
        if not commit.redacts and not commit.prune:
            return
        ranges = list(erased.ranges)
        gone: set[int] = set()
        for redact in commit.redacts:
            self._redact(redact, erased)
            gone.add(redact.seq)
        for pruned in commit.prune:
            kept = [item for item in ranges if not covers(pruned, item)]
            for item in ranges:
                if covers(pruned, item):
                    self._remove(G, str(item.first_seq).encode())
            ranges = [*kept, pruned]
            self._prune(pruned)
            gone.update(range(pruned.first_seq, pruned.last_seq + 1))
        if commit.prune:
            self.head.range_count = len(ranges)
        postings = Postings(erased.postings)
        for seq in gone & erased.index_rows.keys():
            postings.remove(seq, erased.index_rows[seq])
            self._remove(X, str(seq).encode())
        for field, value in postings.changed():
            if value:
                self._set(Y, field, value)
            else:
                self._remove(Y, field)
        self.commands.append(["HINCRBY", P, "erased", 1])

    def _redact(self, redact: Redact, erased: Erased) -> None:
        stored = erased.events[redact.seq]
        event = _replace(stored, data_raw=redact.tombstone, meta_raw=None, source=None, salt=b"", redacted=True)
        self.commands.append(["LSET", E, redact.seq - 1, event_row(event, stored.recorded_at_us, stored.branch)])
        self._remove(P, f"s:{redact.seq}".encode(), *(f"p:{ref}".encode() for ref in redact.parts))
        self._set(P, f"d:{redact.seq}", "1")
        for entry in redact.entries:
            place, field = place_of_kind(entry.kind), entry_field(entry.kind, entry.name, entry.branch)
            if field in self._hashes.get(place, {}) or field in self._gone.get(place, ()):
                continue  # this very commit gave it another value
            kept = erased.entries.get((place, field))
            if kept is not None and entry_of(field, kept).seq == redact.seq:
                self._entry(Entry(entry.kind, entry.name, entry.value, redact.seq, entry.branch))

    def _prune(self, pruned: RangeTombstone) -> None:
        self._set(G, str(pruned.first_seq), _encode(pruned))
        for seq in range(pruned.first_seq, pruned.last_seq + 1):
            self.commands.append(["LSET", E, seq - 1, PRUNED_ROW])
            self._remove(P, f"s:{seq}".encode())

    def seals(self, seals: Iterable[Seal]) -> None:
        """Append seals."""
        self.commands += (["RPUSH", S, _encode(seal)] for seal in seals)

    # ---- all of it -------------------------------------------------------------------------------------------------------------------
    def finished(self) -> list[Command]:
        """All commands, in an order in which they may run."""
        commands: list[Command] = []
        commands += (["RPUSH", E, *chunk] for chunk in _chunks(self._rows))
        commands += (["HSET", I, *chunk] for chunk in _chunks(self._ids))
        for place, fields in self._gone.items():
            commands += (["HDEL", place, *chunk] for chunk in _chunks(sorted(fields)))
        for place, values in self._hashes.items():
            flat = [word for pair in values.items() for word in pair]
            commands += (["HSET", place, *chunk] for chunk in _chunks(flat))
        head = encode_head(self.head)
        return [*commands, *self.commands, ["SET", H, head]]

    def _set(self, place: int, field: bytes | str, value: bytes | str) -> None:
        name = field.encode() if isinstance(field, str) else field
        self._hashes.setdefault(place, {})[name] = value
        self._gone.get(place, set()).discard(name)

    def _remove(self, place: int, *fields: bytes) -> None:
        for field in fields:
            self._hashes.get(place, {}).pop(field, None)
            self._gone.setdefault(place, set()).add(field)


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[at : at + ARGUMENTS_MAX] for at in range(0, len(items), ARGUMENTS_MAX))


def first_head(genesis: Genesis) -> HeadRow:
    """The head before the genesis event."""
    return HeadRow(
        incarnation=genesis.incarnation,
        owner=genesis.owner or "",
        agent=genesis.agent,
        kind=genesis.kind,
        status=genesis.status,
        created_at_us=genesis.event.at_us,
        updated_at_us=genesis.event.at_us,
        expires_at_us=genesis.expires_at_us or 0,
        ttl_s=genesis.ttl_s or 0,
    )


def draft_appended(draft: Draft, commit: Commit, *, creates: bool) -> tuple[int, int, str]:
    """Draft a commit of new events; return first and last seq (0 without events) and the branch that None stood for."""
    head = draft.head
    genesis = commit.genesis
    if creates and genesis is not None:
        seq = draft.add(genesis.event, MAIN)
        draft.change(genesis.change, [(seq, MAIN)])
    default = head.active_branch if commit.branch is None else commit.branch
    places: list[tuple[int, str]] = []
    for event in commit.events:
        branch = event.branch or default
        places.append((draft.add(event, branch), branch))
    draft.change(commit.change, places)
    draft.rows(commit)
    if creates or places:
        draft.touch(commit.events)
    return (places[0][0], places[-1][0], default) if places else (0, 0, default)


def draft_restored(draft: Draft, commit: Commit, *, creates: bool) -> tuple[int, int, str]:
    """Draft a session, or the next piece of it, as it was elsewhere; the same answer."""
    verbatim = commit.verbatim
    assert verbatim is not None
    items: list[Event | RangeTombstone] = [*commit.events, *verbatim.ranges]
    for item in sorted(items, key=_first_seq):
        if isinstance(item, RangeTombstone):
            draft.add_range(item)
        else:
            draft.add(item, item.branch or MAIN, item.recorded_at_us)
    events = commit.events
    draft.change(commit.change, [(event.seq, event.branch) for event in events])
    head = draft.head
    head.updated_at_us = verbatim.updated_at_us
    if creates:
        head.created_at_us = verbatim.created_at_us
    if head.ttl_s and events:
        head.expires_at_us = events[-1].recorded_at_us + int(head.ttl_s * SECOND_US)
    draft.seals(verbatim.seals)
    draft.rows(commit)
    return (events[0].seq, events[-1].seq, head.active_branch) if events else (0, 0, head.active_branch)


def _first_seq(item: Event | RangeTombstone) -> int:
    return item.first_seq if isinstance(item, RangeTombstone) else item.seq
