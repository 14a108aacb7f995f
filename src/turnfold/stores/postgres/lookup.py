"""What the checks of a commit ask about the stored session, answered under its lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from turnfold.codec.seal import same_content
from turnfold.core.checks import State, check_ids, repeated
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import RangeTombstone
from turnfold.model.session import SessionKey
from turnfold.stores.postgres.transaction import Transaction
from turnfold.stores.postgres.values import names, original, original_or_none
from turnfold.stores.sql.rows import decode_extra

_COLUMNS: Final = (
    "gen::bigint, incarnation, owner, last_seq, status, expires_at_us, ttl_us, fence, lease_holder, lease_expires_at_us, active_branch, "
    "turn_count, message_count, branch_count, checkpoint_count, forked_seq, pruned, clean_seq, watched_until_us, clock_us()"
)
_LOCK: Final = f"SELECT {_COLUMNS} FROM counter WHERE tenant = $1 AND session_id = $2 FOR UPDATE"
_OF: Final = "tenant = $1 AND session_id = $2 AND gen = $3"
_TWINS: Final = f"SELECT id, seq, salt, digest, extra, recorded_at_us FROM event WHERE {_OF} AND id = ANY($4)"
_PRUNED_TWINS: Final = f"SELECT id, seq FROM pruned_id WHERE {_OF} AND id = ANY($4)"
_RANGES: Final = (
    f"SELECT first_seq, last_seq, ids, leaves, reason, at_us FROM range_tombstone WHERE {_OF} AND last_seq >= $4 AND first_seq <= $5 "
    "ORDER BY last_seq"
)
_ids_decoder = msgspec.json.Decoder(tuple[str, ...])
SEQ_MAX: Final = 2**62


class Live(NamedTuple):
    """A living session under lock."""

    gen: int
    incarnation: str
    owner: str | None
    last_seq: int
    status: str
    expires_at_us: int | None
    ttl_us: int | None
    fence: int
    lease_holder: str | None
    lease_expires_at_us: int
    active_branch: str
    turn_count: int
    message_count: int
    branch_count: int
    checkpoint_count: int
    forked_seq: int | None
    pruned: bool
    clean_seq: int
    watched_until_us: int
    clock_us: int

    def state(self) -> State:
        """The fields that the checks look at."""
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


def lock(transaction: Transaction, key: SessionKey) -> Live | None:
    """Lock a living session until the end of the transaction, and read it; None where there is none."""
    row = transaction.row(_LOCK, *key)
    if row is None:
        return None
    live = Live(*row)
    return live._replace(
        incarnation=original(live.incarnation),
        owner=original_or_none(live.owner),
        lease_holder=original_or_none(live.lease_holder),
        active_branch=original(live.active_branch),
    )


class SessionLookup:
    """See ``core.checks.Lookup``; of a session that does not exist yet (``gen`` 0) every answer is no."""

    __slots__ = ("_of", "_transaction")

    def __init__(self, transaction: Transaction, key: SessionKey, gen: int) -> None:
        """Look into one creation of a session."""
        self._transaction = transaction
        self._of = (*key, gen)

    def has_entry(self, kind: str, name: str) -> bool:
        """See ``core.checks.Lookup``."""
        sql = f"SELECT 1 FROM entry WHERE {_OF} AND kind = $4 AND name = $5 AND branch = ''"
        return self._transaction.row(sql, *self._of, kind, name) is not None

    def run_status(self, run_id: str) -> str | None:
        """See ``core.checks.Lookup``."""
        row = self._transaction.row(f"SELECT status FROM run WHERE {_OF} AND id = $4", *self._of, run_id)
        return None if row is None else str(row[0])

    def digest_at(self, seq: int) -> bytes | None:
        """See ``core.checks.Lookup``."""
        row = self._transaction.row(f"SELECT digest FROM event WHERE {_OF} AND seq = $4", *self._of, seq)
        return None if row is None else bytes(row[0])

    def pruned(self) -> Sequence[RangeTombstone]:
        """See ``core.checks.Lookup``."""
        return ranges_of(self._transaction.rows(_RANGES, *self._of, 0, SEQ_MAX))


def ranges_of(rows: Sequence[tuple[Any, ...]]) -> tuple[RangeTombstone, ...]:
    """Build range tombstones from rows."""
    return tuple(RangeTombstone(row[0], row[1], _ids_decoder.decode(row[2]), row[3], original(row[4]), row[5]) for row in rows)


SELECT_RANGES: Final = _RANGES


def find_repeat(transaction: Transaction, live: Live, commit: Commit, key: bytes | None) -> Committed | None:
    """Return the original places of a repeated commit, None for a new one.

    Raises:
        IdempotencyConflict: Something between: some ids are there, or their content differs.
    """
    ids = [event.id for event in commit.events]
    of = (*commit.key, live.gen, names(ids))
    twins, pruned = transaction.all_rows([(_TWINS, of), (_PRUNED_TWINS, of)])
    found: dict[str, tuple[Any, ...]] = {original(row[0]): row for row in [*pruned, *twins]}
    present: list[bool] = []
    same: list[bool] = []
    for event in commit.events:
        row = found.get(event.id)
        present.append(row is not None)
        whole = row is not None and len(row) > 2 and not decode_extra(row[4])[7]
        same.append(row is None or not whole or same_content(event, salt=row[2], digest=row[3], key=key))
    if not check_ids(ids, present, same):
        return None
    rows = [found[event_id] for event_id in ids]
    branch = live.active_branch if commit.branch is None else commit.branch
    recorded_at_us = max((row[5] for row in rows if len(row) > 2), default=0)
    return repeated([row[1] for row in rows], incarnation=live.incarnation, branch=branch, recorded_at_us=recorded_at_us)
