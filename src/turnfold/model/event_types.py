"""Names and typed payloads of the event types. A type that is not here is kept as it comes, with its name."""

from __future__ import annotations

from typing import Any

import msgspec

from turnfold.model.message import Message


class _Payload(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Common options of the payload structs."""


class SessionCreated(_Payload):
    """Genesis: what the session is. Travels with the first commit."""

    agent: str = ""
    owner: str | None = None
    status: str = "active"
    kind: str = "session"
    title: str | None = None
    tags: list[str] = []
    metadata: dict[str, Any] = {}
    native: dict[str, Any] | None = None
    parent: dict[str, Any] | None = None
    ttl_s: float | None = None
    expires_at_us: int | None = None


class SessionUpdated(_Payload):
    """Changed fields; None leaves a field as it is; a metadata value of null removes the key."""

    title: str | None = None
    metadata: dict[str, Any] = {}
    system_prompt: str | None = None
    handles: dict[str, Any] = {}
    expires_at_us: int | None = None


class StatusChanged(_Payload):
    """A lifecycle transition."""

    status: str
    previous: str | None = None
    reason: str | None = None
    error: dict[str, Any] | None = None


class BranchCreated(_Payload):
    """A fork: ``name`` starts after ``fork_seq`` of ``parent``."""

    name: str
    parent: str
    fork_seq: int
    reason: str | None = None


class BranchSwitched(_Payload):
    """The active branch changed."""

    name: str
    previous: str | None = None


class BranchRenamed(_Payload):
    """A branch is called ``label`` from now on; its events go on naming it ``name``, as it was created. "" takes the label away."""

    name: str
    label: str = ""
    previous: str = ""


class BranchAbandoned(_Payload):
    """A branch is put away: lists leave it out, and it does not count as a branch any more. ``undone`` takes it up again."""

    name: str
    reason: str | None = None
    undone: bool = False


class BranchMerged(_Payload):
    """What ``source`` had after the place where the two part was brought to this event's branch, by copies just before this event."""

    source: str
    source_seq: int
    base_seq: int = 0
    strategy: str = "append"
    brought: list[tuple[int, int]] = []
    state_seq: int | None = None
    choices: dict[str, str] = {}


class CheckpointCreated(_Payload):
    """A name for a place; or, ``deleted``, no name any more."""

    name: str
    branch: str
    at_seq: int
    deleted: bool = False
    parent: str | None = None
    kind: str = "manual"


class StateSet(_Payload):
    """Keys set and removed in one scope; ``session`` state is branch-keyed."""

    values: dict[str, Any] = {}
    removed: list[str] = []
    scope: str = "session"


class Pin(_Payload):
    """Keep an event in every window."""

    target_seq: int


class Unpin(_Payload):
    """Undo a pin."""

    target_seq: int


class Retract(_Payload):
    """Take events out of a branch's view; the originals stay. ``ranges`` are inclusive pairs of seqs."""

    seqs: list[int] = []
    ranges: list[tuple[int, int]] = []
    reason: str | None = None


class Redaction(_Payload):
    """Names the (seq, digest) of every payload erased by this commit."""

    targets: list[RedactedTarget] = []
    reason: str | None = None


class RedactedTarget(_Payload):
    """One erased payload; the digest is hex."""

    seq: int
    digest: str


class Tag(_Payload):
    """Tags added and removed."""

    added: list[str] = []
    removed: list[str] = []


class Title(_Payload):
    """A title that a source wrote."""

    title: str


class Compaction(_Payload):
    """For the window, ``first_seq..last_seq`` of this branch are represented by ``summary``."""

    summary: str | None = None
    trigger: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    keeps: list[int] = []
    replacement: list[Any] | None = None
    pre_tokens: int | None = None
    post_tokens: int | None = None
    encrypted: str | None = None


class Rollback(_Payload):
    """The last ``turns`` user turns were taken back by the source."""

    turns: int = 1


class Opaque(_Payload):
    """A source line without projection; the line itself is the event's kept source."""

    native_type: str | None = None
    problem: str | None = None
    native: Any = None


MESSAGE = "message"

PAYLOADS: dict[str, type[Any]] = {
    MESSAGE: Message,
    "session.created": SessionCreated,
    "session.updated": SessionUpdated,
    "session.status_changed": StatusChanged,
    "branch.created": BranchCreated,
    "branch.switched": BranchSwitched,
    "branch.renamed": BranchRenamed,
    "branch.abandoned": BranchAbandoned,
    "branch.merged": BranchMerged,
    "checkpoint": CheckpointCreated,
    "state.set": StateSet,
    "pin": Pin,
    "unpin": Unpin,
    "retract": Retract,
    "redaction": Redaction,
    "tag": Tag,
    "title": Title,
    "compaction": Compaction,
    "rollback": Rollback,
    "opaque": Opaque,
}

KNOWN_TYPES = frozenset(PAYLOADS) | {
    "message.delta",
    "tool.progress",
    "run.started",
    "run.completed",
    "run.aborted",
    "run.error",
    "usage",
    "settings",
    "context",
    "snapshot",
    "queue",
    "link",
    "hook",
    "import.cursor",
}

ALIASES: dict[str, str] = {
    "session_created": "session.created",
    "message_sent": MESSAGE,
    "message_received": MESSAGE,
    "message_streamed": "message.delta",
    "run_started": "run.started",
    "run_completed": "run.completed",
    "run_failed": "run.error",
    "run_cancelled": "run.aborted",
    "token_usage_updated": "usage",
    "workspace_snapshot_taken": "snapshot",
}
"""Underscore names of ``agent-session-manager`` accepted as input."""

HEAD_TYPES = frozenset(
    {
        "session.created",
        "session.updated",
        "session.status_changed",
        "branch.created",
        "branch.switched",
        "branch.renamed",
        "branch.abandoned",
        "checkpoint",
        "state.set",
        "pin",
        "unpin",
        "tag",
        "title",
        "import.cursor",
    },
)
"""Types whose payload changes head entries; every other event adds only its counts."""
