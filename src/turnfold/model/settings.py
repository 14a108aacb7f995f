"""What can be set for a client, and overridden for a context."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and habits of a client; None means no limit.

    Attributes:
        session_ttl_s: Sliding time to live of sessions created from now on.
        turns_max: Turns (user messages) of one session.
        branches_max: Branches of one session, ``main`` included, abandoned ones not.
        checkpoints_max: Checkpoints of one session. At the limit a new one takes the place of the oldest that nobody named.
        auto_checkpoint_interval: Make a checkpoint every so many turns.
        owner_sessions_max: Open sessions of one owner.
        verify_on_read: Check the digest of every event that is read.
        upkeep: Let the maintenance thread keep search index and seals up to date while the client lives.
    """

    session_ttl_s: float | None = None
    turns_max: int | None = None
    branches_max: int | None = None
    checkpoints_max: int | None = None
    auto_checkpoint_interval: int | None = None
    owner_sessions_max: int | None = None
    verify_on_read: bool = False
    upkeep: bool = True
