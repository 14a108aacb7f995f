"""The head is a fold of the log: what one event changes, and the head of a whole log.

``change_of`` gives what a commit carries, computed from its events alone; ``fold_head`` applies the same changes to an empty head one after
the other. Every store must show, for every log, the head that ``fold_head`` gives (contract and property tests).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from turnfold.core.lifecycle import check_transition, sources_of
from turnfold.core.upcasting import UPCASTERS
from turnfold.errors import AlreadyExists, NotFound
from turnfold.model import event_types as t
from turnfold.model.commit import NO_CHANGE, Guard, HeadChange, StatusChange
from turnfold.model.event import MAIN, Event
from turnfold.model.message import check_open
from turnfold.model.session import BRANCH_KEYED, Branch, Checkpoint, Entry, Head, SessionInfo
from turnfold.model.usage import NO_USAGE, Usage

_encode = msgspec.json.Encoder().encode
_decoders: dict[str, msgspec.json.Decoder[Any]] = {}
"""Made when a type is first met: all of them together take longer than opening a store."""


def payload_of(event: Event) -> Any:
    """Return the payload at its newest known version: typed for a built-in type, plain JSON types for any other."""
    payload = t.PAYLOADS.get(event.type)
    if event.type in UPCASTERS:
        _, data = UPCASTERS.lift(event.type, event.version, event.data)
        return data if payload is None else msgspec.convert(data, payload)
    if payload is None:
        return event.data
    decoder = _decoders.get(event.type)
    if decoder is None:
        decoder = _decoders[event.type] = msgspec.json.Decoder(payload)
    try:
        return decoder.decode(event.data_raw)
    except msgspec.ValidationError:
        check_open(event.data_raw)
        raise


def change_of(events: Sequence[Event]) -> HeadChange:
    """Return what these events change in the head; entry seqs are indexes into ``events``."""
    messages = turns = tokens = 0
    for event in events:  # the common case, at a fifth of the cost: events that only count
        if event.type in t.HEAD_TYPES or not (event.usage is NO_USAGE or event.usage == NO_USAGE):
            break
        messages += event.message_count
        turns += event.turn_count
        tokens += event.token_count
    else:
        return HeadChange(messages, turns, tokens) if messages or turns or tokens else NO_CHANGE
    builder = _Builder()
    for index, event in enumerate(events):
        builder.add(index, event)
    return builder.change()


def latest_us(events: Sequence[Event], floor_us: int) -> int:
    """Return the head's ``updated_at``: the latest time of its events' sources, never earlier than before."""
    if len(events) == 1:
        at_us = events[0].at_us
        return max(floor_us, at_us)
    return max(floor_us, *(event.at_us for event in events)) if events else floor_us


class _Builder:
    """Collects the changes of several events."""

    def __init__(self) -> None:
        self.messages = self.turns = self.tokens = self.branch_count = self.checkpoint_count = 0
        self.usage = NO_USAGE
        self.by_model: dict[str, Usage] = {}
        self.entries: dict[tuple[str, str, str], Entry] = {}
        self.guards: list[Guard] = []
        self.status: StatusChange | None = None
        self.active_branch: str | None = None
        self.expires_at_us: int | None = None

    def add(self, index: int, event: Event) -> None:
        """Take in one event."""
        self.messages += event.message_count
        self.turns += event.turn_count
        self.tokens += event.token_count
        if event.usage:
            self.usage += event.usage
            model = event.usage.model
            self.by_model[model] = self.by_model[model] + event.usage if model in self.by_model else event.usage
        if event.type in t.HEAD_TYPES:
            getattr(self, "_" + event.type.replace(".", "_"))(index, event, payload_of(event))

    def change(self) -> HeadChange:
        """The collected changes as one."""
        return HeadChange(
            message_count=self.messages,
            turn_count=self.turns,
            token_count=self.tokens,
            usage=msgspec.structs.replace(self.usage, model="") if self.usage.model else self.usage,
            usage_by_model=tuple(self.by_model.values()),
            entries=tuple(self.entries.values()),
            status=self.status,
            active_branch=self.active_branch,
            expires_at_us=self.expires_at_us,
            branch_count=self.branch_count,
            checkpoint_count=self.checkpoint_count,
            guards=tuple(self.guards),
        )

    def _set(self, kind: str, name: str, value: Any, index: int, branch: str = "") -> None:
        raw = None if value is None else _encode(value)
        key = (kind, name, branch)
        self.entries.pop(key, None)  # the last one wins, and stands last
        self.entries[key] = Entry(kind, name, raw, index, branch)

    def _guard(self, kind: str, name: str, *, present: bool) -> None:
        """Guard an entry; what an earlier event of the same commit did to it is known here and never reaches the store."""
        earlier = self.entries.get((kind, name, ""))
        if earlier is None:
            self.guards.append(Guard(kind, name, present=present))
        elif present and earlier.value is None:
            raise NotFound(f"there is no {kind} {name!r}", kind=kind, name=name)
        elif not present and earlier.value is not None:
            raise AlreadyExists(f"{kind} {name!r} exists already", kind=kind, name=name)

    def _session_created(self, index: int, _event: Event, data: t.SessionCreated) -> None:
        if data.title is not None:
            self._set("title", "", data.title, index)
        for tag in data.tags:
            self._set("tag", tag, True, index)
        for key, value in data.metadata.items():
            self._set("metadata", key, value, index)
        if data.native is not None:
            self._set("native", "", data.native, index)
        if data.parent is not None:
            self._set("parent", "", data.parent, index)
        if data.expires_at_us is not None:
            self.expires_at_us = data.expires_at_us

    def _session_updated(self, index: int, _event: Event, data: t.SessionUpdated) -> None:
        if data.title is not None:
            self._set("title", "", data.title or None, index)
        for key, value in data.metadata.items():
            self._set("metadata", key, value, index)
        if data.system_prompt is not None:
            self._set("system_prompt", "", data.system_prompt or None, index)
        for key, value in data.handles.items():
            self._set("handle", key, value, index)
        if data.expires_at_us is not None:
            self.expires_at_us = data.expires_at_us

    def _session_status_changed(self, index: int, _event: Event, data: t.StatusChanged) -> None:
        before = self.status
        if before is not None:  # several steps in one commit: the first must fit the stored status, each next one its predecessor
            check_transition(before.to, data.status)
        self.status = StatusChange(data.status, sources_of(data.status) if before is None else before.allowed_from, data.reason)

    def _branch_created(self, index: int, _event: Event, data: t.BranchCreated) -> None:
        self._guard("branch", data.name, present=False)
        self._guard("branch_name", data.name, present=False)
        self._set("branch", data.name, {"parent": data.parent, "fork_seq": data.fork_seq}, index)
        self.branch_count += 1

    def _branch_switched(self, _index: int, _event: Event, data: t.BranchSwitched) -> None:
        self.active_branch = data.name

    def _branch_renamed(self, index: int, _event: Event, data: t.BranchRenamed) -> None:
        self._guard("branch", data.name, present=True)
        if data.previous:
            self._guard("branch_name", data.previous, present=True)
            self._set("branch_name", data.previous, None, index)
        if data.label:
            self._guard("branch", data.label, present=False)
            self._guard("branch_name", data.label, present=False)
            self._set("branch_name", data.label, data.name, index)
        self._set("branch_label", data.name, data.label or None, index)

    def _branch_abandoned(self, index: int, _event: Event, data: t.BranchAbandoned) -> None:
        self._guard("branch", data.name, present=True)
        self._guard("abandoned", data.name, present=data.undone)
        self._set("abandoned", data.name, None if data.undone else True, index)
        self.branch_count += 1 if data.undone else -1

    def _checkpoint(self, index: int, _event: Event, data: t.CheckpointCreated) -> None:
        self._guard("checkpoint", data.name, present=data.deleted)
        value: dict[str, Any] | None = {"branch": data.branch, "seq": data.at_seq}
        if data.deleted:
            value = None
        elif data.parent is not None or data.kind != "manual":
            value = {"branch": data.branch, "seq": data.at_seq, "parent": data.parent, "kind": data.kind}
        self._set("checkpoint", data.name, value, index)
        self.checkpoint_count += -1 if data.deleted else 1

    def _state_set(self, index: int, event: Event, data: t.StateSet) -> None:
        for key, value in data.values.items():
            # JSON null is a value of its own, so the entry holds it encoded; None means removed
            self.entries.pop(("state", key, event.branch), None)
            self.entries["state", key, event.branch] = Entry("state", key, _encode(value), index, event.branch)
        for key in data.removed:
            self._set("state", key, None, index, event.branch)

    def _pin(self, index: int, event: Event, data: t.Pin) -> None:
        self._set("pin", str(data.target_seq), data.target_seq, index, event.branch)

    def _unpin(self, index: int, event: Event, data: t.Unpin) -> None:
        self._set("pin", str(data.target_seq), None, index, event.branch)

    def _tag(self, index: int, _event: Event, data: t.Tag) -> None:
        for tag in data.added:
            self._set("tag", tag, True, index)
        for tag in data.removed:
            self._set("tag", tag, None, index)

    def _title(self, index: int, _event: Event, data: t.Title) -> None:
        self._set("title", "", data.title or None, index)

    def _import_cursor(self, index: int, _event: Event, data: Any) -> None:
        self._set("import", str(data["source"]), data, index)


def fold_head(session_id: str, events: Iterable[Event], *, tenant: str = "default", incarnation: str = "") -> Head:
    """Return the head of a whole log, from nothing.

    Args:
        session_id: Its id.
        events: All events in seq order, with seq, branch and recorded_at.
        tenant: The tenant that the head names.
        incarnation: The incarnation that the head names (not part of the log).
    """
    entries: dict[tuple[str, str, str], Entry] = {}
    by_model: dict[str, Usage] = {}
    fields: dict[str, Any] = {"message_count": 0, "turn_count": 0, "token_count": 0, "usage": NO_USAGE, "branch_count": 1}
    fields.update(status="active", active_branch=MAIN, created_at_us=0, updated_at_us=0, last_seq=0, end_reason=None, expires_at_us=None)
    ttl_s: float | None = None
    for event in events:
        change = change_of((event,))
        if event.type == "session.created":  # its tombstone keeps these fields
            genesis = payload_of(event)
            fields.update(owner=genesis.owner, agent=genesis.agent, status=genesis.status, kind=genesis.kind)
            ttl_s = genesis.ttl_s
            fields["created_at_us"] = event.at_us
        _apply(fields, entries, by_model, event, change)
        if ttl_s is not None:
            fields["expires_at_us"] = event.recorded_at_us + int(ttl_s * 1_000_000)
    return build_head(session_id, tenant, incarnation, fields=fields, entries=entries.values(), by_model=by_model, ttl_s=ttl_s)


def _apply(
    fields: dict[str, Any],
    entries: dict[tuple[str, str, str], Entry],
    by_model: dict[str, Usage],
    event: Event,
    change: HeadChange,
) -> None:
    for name in ("message_count", "turn_count", "token_count", "branch_count"):
        fields[name] += getattr(change, name)
    fields["usage"] += change.usage
    for usage in change.usage_by_model:
        by_model[usage.model] = by_model.get(usage.model, Usage(model=usage.model)) + usage
    for entry in change.entries:
        branch = (entry.branch or event.branch) if entry.kind in BRANCH_KEYED else ""
        entries[entry.kind, entry.name, branch] = Entry(entry.kind, entry.name, entry.value, event.seq, branch)
    if change.status is not None:
        fields["status"], fields["end_reason"] = change.status.to, change.status.end_reason
    if change.active_branch is not None:
        fields["active_branch"] = change.active_branch
    if change.expires_at_us is not None:
        fields["expires_at_us"] = change.expires_at_us or None
    fields["last_seq"], fields["updated_at_us"] = event.seq, max(fields["updated_at_us"], event.at_us)


def build_head(
    session_id: str,
    tenant: str,
    incarnation: str,
    *,
    fields: dict[str, Any],
    entries: Iterable[Entry],
    by_model: dict[str, Usage],
    ttl_s: float | None,
) -> Head:
    """Put a head together from counters and entries; shared by the fold and the stores, so that derived fields agree.

    Removed entries are left out, but for branch-keyed ones: a branch that forked before the removal must be able to tell that it has to look
    further. Title, tags, metadata, native and parent of the info come from the entries.
    """
    live = sorted((e for e in entries if e.value is not None or e.kind in BRANCH_KEYED), key=lambda e: (e.kind, e.name, e.branch))
    info = SessionInfo(id=session_id, tenant=tenant, incarnation=incarnation, **fields, **info_fields(live))
    return Head(info=info, entries=tuple(live), usage_by_model=by_model, ttl_s=ttl_s)


def info_fields(entries: Iterable[Entry]) -> dict[str, Any]:
    """The fields of a SessionInfo that are entries: title, tags, metadata, native, parent."""
    out: dict[str, Any] = {}
    tags: list[str] = []
    metadata: dict[str, Any] = {}
    for entry in entries:
        if entry.value is None:
            continue
        if entry.kind in {"title", "native", "parent"}:
            out[entry.kind] = msgspec.json.decode(entry.value)
        elif entry.kind == "tag":
            tags.append(entry.name)
        elif entry.kind == "metadata":
            metadata[entry.name] = msgspec.json.decode(entry.value)
    out["tags"] = tuple(sorted(tags))
    out["metadata"] = metadata
    return out


INFO_KINDS = frozenset({"title", "tag", "metadata", "native", "parent"})


def branches_of(head: Head) -> dict[str, Branch]:
    """All branches but ``main``, by name."""
    return branches_from(head.entries)


def branches_from(entries: Iterable[Entry]) -> dict[str, Branch]:
    """Branches out of head entries, by the names that their events carry."""
    out: dict[str, Branch] = {}
    for entry in entries:
        if entry.kind == "branch" and entry.value is not None:
            value = msgspec.json.decode(entry.value)
            out[entry.name] = Branch(entry.name, value["parent"], value["fork_seq"], entry.seq)
    return out


def checkpoints_of(head: Head) -> dict[str, Checkpoint]:
    """All checkpoints by name."""
    out: dict[str, Checkpoint] = {}
    for name, entry in head.named("checkpoint").items():
        value = msgspec.json.decode(entry.value or b"{}")
        kind = value.get("kind", "manual")
        out[name] = Checkpoint(name, value["branch"], value["seq"], entry.seq, value.get("parent"), kind)
    return out
