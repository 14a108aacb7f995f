"""What the writer knows of a session between commits, so that a plain append reads nothing.

The copy may be stale: another process may have written. Every write is therefore conditional on ``(last_seq, version)``: each commit moves
``last_seq``, and whatever else changes a counter row (leases, follower marks, commits without events) moves ``version``.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from turnfold.core.checks import State
from turnfold.model.session import SessionKey

_COLUMNS: Final = (
    "s.sn, s.incarnation, s.owner, s.agent, s.created_at_us, c.version, c.last_seq, c.status, c.message_count, c.turn_count, c.branch_count, "
    "c.checkpoint_count, c.active_branch, s.listed_at_us, s.touched, c.expires_at_us, c.ttl_us, c.fence, c.lease_holder, c.lease_expires_at_us, "
    "c.forked_seq, c.pruned, c.clean_seq, c.updated_at_us"
)
SELECT_LIVE: Final = (
    f"SELECT {_COLUMNS} FROM session s JOIN counter c ON c.sn = s.sn WHERE s.tenant = ? AND s.session_id = ? AND s.dead = 0"
)


class Live:
    """Guarded fields and counters of one living session. ``base`` is added to a seq to give the event's row key."""

    __slots__ = (
        "active_branch",
        "agent",
        "base",
        "branch_count",
        "checkpoint_count",
        "clean_seq",
        "created_at_us",
        "expires_at_us",
        "fence",
        "forked_seq",
        "incarnation",
        "key",
        "last_seq",
        "lease_expires_at_us",
        "lease_holder",
        "listed_at_us",
        "message_count",
        "owner",
        "pruned",
        "sn",
        "status",
        "touched",
        "ttl_us",
        "turn_count",
        "updated_at_us",
        "version",
    )

    def __init__(self, key: SessionKey, row: tuple[Any, ...]) -> None:
        """Take over a row of ``SELECT_LIVE``."""
        self.key = key
        (
            self.sn,
            self.incarnation,
            self.owner,
            self.agent,
            self.created_at_us,
            self.version,
            self.last_seq,
            self.status,
            self.message_count,
            self.turn_count,
            self.branch_count,
            self.checkpoint_count,
            self.active_branch,
            self.listed_at_us,
            self.touched,
            self.expires_at_us,
            self.ttl_us,
            self.fence,
            self.lease_holder,
            self.lease_expires_at_us,
            self.forked_seq,
            self.pruned,
            self.clean_seq,
            self.updated_at_us,
        ) = row
        self.base: int = self.sn << 32

    def state(self) -> State:
        """The fields that the checks of a commit look at."""
        return State(
            status=self.status,
            expires_at_us=self.expires_at_us,
            leased=self.lease_holder is not None,
            fence=self.fence,
            active_branch=self.active_branch,
            last_seq=self.last_seq,
            turn_count=self.turn_count,
            message_count=self.message_count,
            branch_count=self.branch_count,
            checkpoint_count=self.checkpoint_count,
        )


def load_live(cursor: sqlite3.Cursor, key: SessionKey) -> Live | None:
    """Read a living session, or None."""
    row = cursor.execute(SELECT_LIVE, key).fetchone()
    return None if row is None else Live(key, row)
