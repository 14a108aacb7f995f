"""The event: an immutable record with its envelope outside the payload.

Field order is the row codec: a store that selects the columns in this order builds an event with ``Event(*row)``. Payload and meta stay
bytes until somebody looks at them (``data``, ``meta``), so that paging, following and exporting decode nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from turnfold.model.usage import NO_USAGE, Usage

Visibility = Literal["model", "ui", "both", "none"]
VISIBILITIES = ("both", "model", "ui", "none")
MAIN = "main"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encoder = msgspec.json.Encoder()


def from_us(at_us: int) -> datetime:
    """Convert microseconds since the epoch to an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=at_us)


def to_us(at: datetime) -> int:
    """Convert a datetime (naive ones are UTC) to microseconds since the epoch."""
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return (at - _EPOCH) // timedelta(microseconds=1)


class Event(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One record of a session's log.

    Attributes:
        seq: Place in the session, from 1, gap-free, given out at commit (0 before).
        id: UUIDv7 or a source's own id; the idempotency key inside the session.
        type: Dotted name; custom types keep theirs.
        data_raw: Payload, JSON bytes exactly as committed (``null`` after redaction keeps what the fold counts, see ``redacted``).
        at_us: The source's time, microseconds since the epoch, UTC.
        recorded_at_us: The store's time of the commit.
        version: Version of the payload's type; upcasters lift older ones when read.
        branch: Name of the branch that the event belongs to.
        run_id, actor, causation_id, correlation_id: Where it came from.
        message_id, block_index: Events of one message share the id; index of the block in it.
        parent_id: The event that this one hangs below in its source, by id.
        visibility: Who sees it: the model, people, both or none.
        visible_to, hidden_from: Agent names; None does not restrict.
        meta_raw: JSON object of everything about the source that is not content (env, sidechain …), or None.
        message_count, turn_count, token_count, usage: What the event adds to the head.
        source: The kept source line (see ``codec.residual``), or None.
        salt, digest: Integrity; the salt goes with the payload when it is redacted.
        redacted: The payload is a tombstone.
    """

    seq: int
    id: str
    type: str
    data_raw: bytes
    at_us: int
    recorded_at_us: int = 0
    version: int = 1
    branch: str = ""
    run_id: str | None = None
    actor: str | None = None
    causation_id: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    block_index: int | None = None
    parent_id: str | None = None
    visibility: str = "both"
    visible_to: tuple[str, ...] | None = None
    hidden_from: tuple[str, ...] | None = None
    meta_raw: bytes | None = None
    message_count: int = 0
    turn_count: int = 0
    token_count: int = 0
    usage: Usage = NO_USAGE
    source: bytes | None = None
    salt: bytes = b""
    digest: bytes = b""
    redacted: bool = False

    @property
    def at(self) -> datetime:
        """The source's time."""
        return from_us(self.at_us)

    @property
    def recorded_at(self) -> datetime:
        """The store's time of the commit."""
        return from_us(self.recorded_at_us)

    @property
    def data(self) -> Any:
        """The payload as plain JSON types, as stored (not upcast)."""
        return msgspec.json.decode(self.data_raw)

    @property
    def meta(self) -> dict[str, Any]:
        """The meta object, empty where there is none."""
        return {} if self.meta_raw is None else msgspec.json.decode(self.meta_raw)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types with decoded payload and RFC 3339 times: what ``--jsonl`` prints."""
        out: dict[str, Any] = {"seq": self.seq, "id": self.id, "type": self.type, "version": self.version, "branch": self.branch}
        out["at"] = self.at.isoformat()
        out["recorded_at"] = self.recorded_at.isoformat()
        for name in _OPTIONAL:
            value = getattr(self, name)
            if value is not None:
                out[name] = list(value) if isinstance(value, tuple) else value
        out["visibility"] = self.visibility
        if self.token_count:
            out["token_count"] = self.token_count
        if self.usage:
            out["usage"] = self.usage.to_dict()
        if self.redacted:
            out["redacted"] = True
        out["data"] = self.data
        if self.meta_raw is not None:
            out["meta"] = self.meta
        return out


_OPTIONAL = (
    "run_id",
    "actor",
    "causation_id",
    "correlation_id",
    "message_id",
    "block_index",
    "parent_id",
    "visible_to",
    "hidden_from",
)


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event to append: what the caller knows. ``data`` is JSON bytes, a struct, or plain JSON types.

    ``at`` and ``id`` are fixed when the commit is prepared, before its first attempt. Importers set the counts; for ``message`` events
    made from a Message they are derived.
    """

    type: str
    data: Any = None
    id: str | None = None
    at: datetime | int | None = None
    version: int = 1
    branch: str = ""
    run_id: str | None = None
    actor: str | None = None
    causation_id: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    block_index: int | None = None
    parent_id: str | None = None
    visibility: Visibility = "both"
    visible_to: tuple[str, ...] | None = None
    hidden_from: tuple[str, ...] | None = None
    meta: Mapping[str, Any] | None = None
    message_count: int | None = None
    turn_count: int | None = None
    token_count: int = 0
    usage: Usage = NO_USAGE
    source: bytes | None = None


class RangeTombstone(msgspec.Struct, frozen=True):
    """One row in place of the pruned events ``first_seq..last_seq``.

    Attributes:
        ids: Their ids, so that a repeated commit of a pruned event stays a repeat.
        leaves: Their 32-byte seal leaves concatenated, so that seals over the range still verify.
        reason: Why they went (``deltas``, ``retention`` …).
    """

    first_seq: int
    last_seq: int
    ids: tuple[str, ...]
    leaves: bytes
    reason: str = ""
    at_us: int = 0


class Seal(msgspec.Struct, frozen=True):
    """Commits to order and completeness of everything since the previous seal; ``previous`` is that one's root (empty for the first)."""

    upto_seq: int
    previous: bytes
    root: bytes
    at_us: int = 0
    signature: bytes = b""
