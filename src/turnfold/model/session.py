"""A session as readers see it: the light row of a list, and the head with its entries."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from turnfold.model.event import from_us
from turnfold.model.usage import NO_USAGE, Usage


class SessionKey(NamedTuple):
    """What leads every row of a store."""

    tenant: str
    session_id: str


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a session list."""

    id: str
    tenant: str = "default"
    owner: str | None = None
    agent: str = ""
    status: str = "active"
    end_reason: str | None = None
    kind: str = "session"
    title: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    native: dict[str, Any] | None = None
    parent: dict[str, Any] | None = None
    created_at_us: int = 0
    updated_at_us: int = 0
    expires_at_us: int | None = None
    last_seq: int = 0
    message_count: int = 0
    turn_count: int = 0
    token_count: int = 0
    usage: Usage = NO_USAGE
    branch_count: int = 1
    active_branch: str = "main"
    incarnation: str = ""

    @property
    def created_at(self) -> datetime:
        """When the session began, by its source's clock (UTC)."""
        return from_us(self.created_at_us)

    @property
    def updated_at(self) -> datetime:
        """The latest time of its events, by their source's clock (UTC); lists go by it."""
        return from_us(self.updated_at_us)

    @property
    def expires_at(self) -> datetime | None:
        """When it expires, or None."""
        return None if self.expires_at_us is None else from_us(self.expires_at_us)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types with RFC 3339 times: one line of ``turnfold ls --jsonl``."""
        out = msgspec.to_builtins(self)
        for name in ("created_at", "updated_at", "expires_at"):
            del out[f"{name}_us"]
            value = getattr(self, name)
            out[name] = None if value is None else value.isoformat()
        out["tags"] = list(self.tags)
        out["usage"] = self.usage.to_dict()
        return dict(out)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A last-by-seq field of the head: ``(kind, name, branch)`` → value. ``value`` is JSON bytes, None where it was removed.

    Kinds: ``state`` and ``pin`` (keyed by branch), ``branch``, ``branch_label``, ``branch_name``, ``abandoned``,
    ``checkpoint``, ``title``, ``tag``, ``metadata``, ``system_prompt``,
    ``handle``, ``native``, ``parent``, ``import``, ``end``.
    ``seq`` is the event's place; in a commit, before places are given out, the index of its event (0-based).
    """

    kind: str
    name: str
    value: bytes | None
    seq: int = 0
    branch: str = ""


BRANCH_KEYED = frozenset({"state", "pin"})


class Branch(msgspec.Struct, frozen=True, gc=False):
    """A named line: its view is the ancestors' events up to ``fork_seq`` and its own.

    ``created_as`` is the name that its events carry, where it was renamed since; ``abandoned`` ones are left out of lists.
    """

    name: str
    parent: str | None = None
    fork_seq: int = 0
    created_seq: int = 0
    created_as: str | None = None
    abandoned: bool = False


class Checkpoint(msgspec.Struct, frozen=True, gc=False):
    """A name for (branch, seq).

    ``parent`` is the checkpoint before it on its branch. ``kind``: ``manual`` (somebody named it), ``auto`` (unnamed, or made every so many
    turns), ``safety`` (made before something was taken away); only manual ones are never dropped to make room.
    """

    name: str
    branch: str
    seq: int
    created_seq: int = 0
    parent: str | None = None
    kind: str = "manual"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The folded summary of a session: equal on every store to the fold of its log (``core.fold``)."""

    info: SessionInfo
    entries: tuple[Entry, ...] = ()
    usage_by_model: dict[str, Usage] = {}
    ttl_s: float | None = None

    def entry(self, kind: str, name: str, branch: str = "") -> Entry | None:
        """The live entry of that kind and name, or None."""
        for entry in self.entries:
            if entry.name == name and entry.kind == kind and entry.branch == branch:
                return None if entry.value is None else entry
        return None

    def named(self, kind: str) -> dict[str, Entry]:
        """All live entries of a kind that is not branch-keyed."""
        return {entry.name: entry for entry in self.entries if entry.kind == kind and entry.value is not None}


class Lease(msgspec.Struct, frozen=True):
    """Exclusive right to write, with the fencing token that commits carry."""

    tenant: str
    session_id: str
    holder: str
    fence: int
    expires_at_us: int
