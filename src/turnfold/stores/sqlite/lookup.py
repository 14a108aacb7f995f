"""What the checks of a commit ask about the stored session, answered inside the writing transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from turnfold.codec.seal import same_content
from turnfold.core.checks import check_ids, repeated
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import RangeTombstone
from turnfold.stores.sql.rows import decode_extra
from turnfold.stores.sqlite.live import Live
from turnfold.stores.sqlite.ranges import read_ranges

SELECT_TWIN = "SELECT pos & 4294967295, salt, digest, extra, recorded_at_us FROM event WHERE id = ? AND pos >> 32 = ?"
SELECT_PRUNED = "SELECT seq FROM pruned_id WHERE sn = ? AND id = ?"


class SessionLookup:
    """See ``core.checks.Lookup``; of a session that does not exist yet every answer is no."""

    __slots__ = ("_cursor", "_sn")

    def __init__(self, cursor: sqlite3.Cursor, sn: int) -> None:
        """Look into session number ``sn``."""
        self._cursor = cursor
        self._sn = sn

    def has_entry(self, kind: str, name: str) -> bool:
        """See ``core.checks.Lookup``."""
        # A bare kind = ? would be compiled anew each time (20 µs): its value could make the partial index of tags usable.
        sql = "SELECT 1 FROM entry WHERE sn = ? AND kind = CAST(? AS TEXT) AND name = ? AND branch = ''"
        return self._cursor.execute(sql, (self._sn, kind, name)).fetchone() is not None

    def run_status(self, run_id: str) -> str | None:
        """See ``core.checks.Lookup``."""
        row = self._cursor.execute("SELECT status FROM run WHERE sn = ? AND id = ?", (self._sn, run_id)).fetchone()
        return None if row is None else str(row[0])

    def digest_at(self, seq: int) -> bytes | None:
        """See ``core.checks.Lookup``."""
        row = self._cursor.execute("SELECT digest FROM event WHERE pos = ?", ((self._sn << 32) + seq,)).fetchone()
        return None if row is None else bytes(row[0])

    def pruned(self) -> Sequence[RangeTombstone]:
        """See ``core.checks.Lookup``."""
        return read_ranges(self._cursor, self._sn)


def find_repeat(cursor: sqlite3.Cursor, live: Live, commit: Commit, key: bytes | None) -> Committed | None:
    """Return the original places of a repeated commit, None for a new one.

    Raises:
        IdempotencyConflict: Something between: some ids are there, or their content differs.
    """
    seqs: list[int] = []
    present: list[bool] = []
    same: list[bool] = []
    recorded_at_us = 0
    for event in commit.events:
        row = cursor.execute(SELECT_TWIN, (event.id, live.sn)).fetchone()
        if row is None and live.pruned:
            row = cursor.execute(SELECT_PRUNED, (live.sn, event.id)).fetchone()
        present.append(row is not None)
        if row is None:
            same.append(True)
            continue
        seqs.append(row[0])
        if len(row) == 1:
            same.append(True)
            continue
        recorded_at_us = row[4]
        redacted = decode_extra(row[3])[7]
        same.append(redacted or same_content(event, salt=row[1], digest=row[2], key=key))
    if not check_ids([event.id for event in commit.events], present, same):
        return None
    branch = live.active_branch if commit.branch is None else commit.branch
    return repeated(seqs, incarnation=live.incarnation, branch=branch, recorded_at_us=recorded_at_us)
