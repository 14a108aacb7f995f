"""One session in memory: its log as parallel lists, its head as fields and entries. No locking here; the store holds its lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from turnfold.core.checks import State, effective_status
from turnfold.core.fold import INFO_KINDS, branches_from, build_head, info_fields, latest_us
from turnfold.core.lifecycle import ACTIVE, OPEN
from turnfold.model.commit import Genesis, HeadChange
from turnfold.model.event import MAIN, Event, RangeTombstone, Seal
from turnfold.model.query import SearchQuery, SessionQuery
from turnfold.model.run import Run
from turnfold.model.session import BRANCH_KEYED, Branch, Entry, Head, Lease, SessionInfo, SessionKey
from turnfold.model.usage import NO_USAGE, Usage

_replace = msgspec.structs.replace
EntryKey = tuple[str, str, str]


class MemorySession:
    """The rows of one incarnation. ``events[seq - 1]`` is None where the event was pruned."""

    __slots__ = (
        "active_branch",
        "agent",
        "branch_count",
        "branches",
        "by_model",
        "checkpoint_count",
        "created_at_us",
        "end_reason",
        "entries",
        "events",
        "expires_at_us",
        "fence",
        "followers",
        "ids",
        "incarnation",
        "key",
        "kind",
        "lease",
        "message_count",
        "owner",
        "parts",
        "plain",
        "ranges",
        "runs",
        "seals",
        "status",
        "times",
        "token_count",
        "ttl_s",
        "turn_count",
        "updated_at_us",
        "usage",
    )

    def __init__(self, key: SessionKey, genesis: Genesis, now_us: int) -> None:
        """Make it empty, before its genesis event."""
        self.key = key
        self.incarnation = genesis.incarnation
        self.owner, self.agent, self.kind = genesis.owner, genesis.agent, genesis.kind
        self.status = genesis.status
        self.end_reason: str | None = None
        self.created_at_us = self.updated_at_us = genesis.event.at_us
        self.expires_at_us = genesis.expires_at_us
        self.ttl_s = genesis.ttl_s
        self.active_branch = MAIN
        self.branch_count, self.checkpoint_count = 1, 0
        self.message_count = self.turn_count = self.token_count = 0
        self.usage: Usage = NO_USAGE
        self.by_model: dict[str, Usage] = {}
        self.entries: dict[EntryKey, Entry] = {}
        self.events: list[Event | None] = []
        self.times: list[int] = []
        self.branches: list[str] = []
        self.ids: dict[str, int] = {}
        self.ranges: list[RangeTombstone] = []
        self.runs: dict[str, Run] = {}
        self.parts: dict[str, bytes] = {}
        self.seals: list[Seal] = []
        self.followers: dict[str, int] = {}
        self.fence = 0
        self.lease: Lease | None = None
        self.settle()

    # ---- the log ---------------------------------------------------------------------------------------------------------------------
    def add(self, event: Event, at_us: int, branch: str) -> None:
        """Put an event at the end of the log."""
        self.events.append(event)
        self.times.append(at_us)
        self.branches.append(branch)
        self.ids[event.id] = len(self.events)

    def stored(self, seq: int) -> Event:
        """The event at a place that holds one, with its place; built when first read and kept."""
        event = self.events[seq - 1]
        assert event is not None
        at_us, branch = self.times[seq - 1], self.branches[seq - 1]
        if event.seq != seq or event.recorded_at_us != at_us or event.branch != branch:
            event = self.events[seq - 1] = _replace(event, seq=seq, recorded_at_us=at_us, branch=branch)
        return event

    def places(self, first: int = 1, last: int | None = None, *, descending: bool = False) -> Iterable[int]:
        """The seqs from first to last that hold an event."""
        end = len(self.events) if last is None else last
        span = range(end, first - 1, -1) if descending else range(first, end + 1)
        if not self.ranges:
            return span
        return (seq for seq in span if self.events[seq - 1] is not None)

    def digest_at(self, seq: int) -> bytes | None:
        """See ``core.checks.Lookup``."""
        event = self.events[seq - 1] if 1 <= seq <= len(self.events) else None
        return None if event is None else event.digest

    # ---- the head --------------------------------------------------------------------------------------------------------------------
    def settle(self) -> None:
        """Note whether a plain append may take the short way; after every change of status, lease or expiry."""
        self.plain = self.status == ACTIVE and self.lease is None and self.expires_at_us is None and self.ttl_s is None

    def change(self, change: HeadChange, places: list[tuple[int, str]]) -> None:
        """Apply a head change.

        Args:
            change: What its events do.
            places: (seq, branch) of each of its events, in order.
        """
        self.message_count += change.message_count
        self.turn_count += change.turn_count
        self.token_count += change.token_count
        self.branch_count += change.branch_count
        self.checkpoint_count += change.checkpoint_count
        if change.usage:
            self.usage += change.usage
        for usage in change.usage_by_model:
            self.by_model[usage.model] = self.by_model.get(usage.model, Usage(model=usage.model)) + usage
        for entry in change.entries:
            seq, event_branch = places[entry.seq]
            branch = (entry.branch or event_branch) if entry.kind in BRANCH_KEYED else ""
            self.entries[entry.kind, entry.name, branch] = Entry(entry.kind, entry.name, entry.value, seq, branch)
        if change.status is not None:
            self.status, self.end_reason = change.status.to, change.status.end_reason
        if change.active_branch is not None:
            self.active_branch = change.active_branch
        if change.expires_at_us is not None:
            self.expires_at_us = change.expires_at_us or None

    def touch(self, events: Sequence[Event], now_us: int) -> None:
        """Note that events were written: newer in lists, expiry moved on."""
        self.updated_at_us = latest_us(events, self.updated_at_us)
        if self.ttl_s is not None:
            self.expires_at_us = now_us + int(self.ttl_s * 1_000_000)

    def state(self) -> State:
        """What the checks of a commit need to know."""
        return State(
            status=self.status,
            expires_at_us=self.expires_at_us,
            leased=self.lease is not None,
            fence=self.fence,
            active_branch=self.active_branch,
            last_seq=len(self.events),
            turn_count=self.turn_count,
            message_count=self.message_count,
            branch_count=self.branch_count,
            checkpoint_count=self.checkpoint_count,
        )

    def head(self, now_us: int) -> Head:
        """The head as readers see it."""
        return build_head(
            self.key.session_id,
            self.key.tenant,
            self.incarnation,
            fields=self._fields(now_us),
            entries=self.entries.values(),
            by_model=dict(self.by_model),
            ttl_s=self.ttl_s,
        )

    def info(self, now_us: int) -> SessionInfo:
        """The row of a list."""
        entries = (entry for entry in self.entries.values() if entry.kind in INFO_KINDS)
        return SessionInfo(
            id=self.key.session_id,
            tenant=self.key.tenant,
            incarnation=self.incarnation,
            **self._fields(now_us),
            **info_fields(entries),
        )

    def _fields(self, now_us: int) -> dict[str, Any]:
        return {
            "owner": self.owner,
            "agent": self.agent,
            "kind": self.kind,
            "status": effective_status(self.status, self.expires_at_us, now_us),
            "end_reason": self.end_reason,
            "created_at_us": self.created_at_us,
            "updated_at_us": self.updated_at_us,
            "expires_at_us": self.expires_at_us,
            "last_seq": len(self.events),
            "message_count": self.message_count,
            "turn_count": self.turn_count,
            "token_count": self.token_count,
            "usage": self.usage,
            "branch_count": self.branch_count,
            "active_branch": self.active_branch,
        }

    def has_entry(self, kind: str, name: str) -> bool:
        """See ``core.checks.Lookup``."""
        entry = self.entries.get((kind, name, ""))
        return entry is not None and entry.value is not None

    def branch_table(self) -> dict[str, Branch]:
        """All branches but main, by name."""
        return branches_from(self.entries.values())

    # ---- what lists and searches ask -------------------------------------------------------------------------------------------------
    def is_open(self, now_us: int) -> bool:
        """Whether it counts among its owner's open sessions."""
        return self.kind == "session" and effective_status(self.status, self.expires_at_us, now_us) in OPEN

    def list_place(self) -> tuple[int, str]:
        """Its place in lists, which run down."""
        return self.updated_at_us, self.key.session_id

    def is_listed(self, query: SessionQuery, now_us: int) -> bool:
        """Whether a list holds it (cursor and limit aside)."""
        return (
            self.key.tenant == query.tenant
            and self.kind == query.kind
            and (query.owner is None or self.owner == query.owner)
            and (query.agent is None or self.agent == query.agent)
            and (query.status is None or effective_status(self.status, self.expires_at_us, now_us) == query.status)
            and (query.id_prefix is None or self.key.session_id.startswith(query.id_prefix))
            and all(self.has_entry("tag", tag) for tag in query.tags)
            and (query.parent_id is None or self._parent_id() == query.parent_id)
        )

    def _parent_id(self) -> object:
        entry = self.entries.get(("parent", "", ""))
        if entry is None or entry.value is None:
            return None
        return msgspec.json.decode(entry.value).get("session_id")

    def is_searched(self, query: SearchQuery) -> bool:
        """Whether a search looks into it."""
        return (
            self.key.tenant == query.tenant
            and (query.owner is None or self.owner == query.owner)
            and (query.agent is None or self.agent == query.agent)
            and (query.session_id is None or self.key.session_id == query.session_id)
        )

    def run_status(self, run_id: str) -> str | None:
        """See ``core.checks.Lookup``."""
        run = self.runs.get(run_id)
        return None if run is None else run.status

    def pruned(self) -> list[RangeTombstone]:
        """See ``core.checks.Lookup``."""
        return self.ranges

    # ---- self-check ------------------------------------------------------------------------------------------------------------------
    def problems(self) -> Iterator[str]:
        """What is wrong with these rows (nothing, unless memory was written to from outside)."""
        count = len(self.events)
        if not count == len(self.times) == len(self.branches):
            yield f"session {self.key.session_id!r}: the log's columns differ in length"
        pruned = {seq for item in self.ranges for seq in range(item.first_seq, item.last_seq + 1)}
        holes = {seq for seq, event in enumerate(self.events, 1) if event is None}
        if pruned != holes:
            yield f"session {self.key.session_id!r}: pruned ranges and missing events differ"
