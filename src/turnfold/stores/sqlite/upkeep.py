"""Writes that are no commits: leases, followers, seals, deletion. Each function runs inside a transaction of the writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from turnfold.core.checks import check_owner, not_found
from turnfold.errors import LeaseLost
from turnfold.limits import TOMBSTONE_DAYS
from turnfold.model.event import Seal
from turnfold.model.query import ChangedSession, IndexRow
from turnfold.model.session import Lease, SessionKey
from turnfold.stores.sqlite import seals
from turnfold.stores.sqlite.compacting import leave_list
from turnfold.stores.sqlite.indexing import erase_rows, write_rows
from turnfold.stores.sqlite.live import Live, load_live

PURGE_ROWS: Final = 2_000
"""Rows that one transaction of a purge deletes, so that writers get their turn in between."""
_DAY_US: Final = 86_400_000_000
_PURGED: Final = ("entry", "usage_by_model", "run", "part", "range_tombstone", "pruned_id", "seal", "follower_seq")
_SET_LEASE: Final = "UPDATE counter SET version = version + 1, fence = ?, lease_holder = ?, lease_expires_at_us = ? WHERE sn = ?"


def _find(cursor: sqlite3.Cursor, key: SessionKey, owner: str | None) -> Live:
    live = load_live(cursor, key)
    if live is None:
        raise not_found(key.session_id)
    check_owner(key.session_id, live.owner, owner)
    return live


# ---- leases ------------------------------------------------------------------------------------------------------------------------------
def acquire_lease(cursor: sqlite3.Cursor, key: SessionKey, owner: str | None, holder: str, *, now_us: int, ttl_us: int) -> Lease:
    """Take the lease with a new fence."""
    live = _find(cursor, key, owner)
    held = live.lease_holder
    if held is not None and held != holder and live.lease_expires_at_us > now_us:
        raise LeaseLost(f"session {key.session_id!r} is leased by {held!r}", hint="try again when it has expired", holder=held)
    lease = Lease(key.tenant, key.session_id, holder, live.fence + 1, now_us + ttl_us)
    cursor.execute(_SET_LEASE, (lease.fence, holder, lease.expires_at_us, live.sn))
    return lease


def renew_lease(cursor: sqlite3.Cursor, lease: Lease, *, now_us: int, ttl_us: int) -> Lease:
    """Move the expiry of a lease that still holds."""
    live = _find(cursor, SessionKey(lease.tenant, lease.session_id), None)
    if live.lease_holder is None or live.fence != lease.fence or live.lease_expires_at_us <= now_us:
        raise LeaseLost(f"the lease {lease.fence} of session {lease.session_id!r} is not held any more", fence=live.fence)
    renewed = Lease(lease.tenant, lease.session_id, live.lease_holder, live.fence, now_us + ttl_us)
    cursor.execute(_SET_LEASE, (renewed.fence, renewed.holder, renewed.expires_at_us, live.sn))
    return renewed


def release_lease(cursor: sqlite3.Cursor, lease: Lease) -> None:
    """Give the lease up, if it is held; the fence stays spent."""
    live = load_live(cursor, SessionKey(lease.tenant, lease.session_id))
    if live is not None and live.lease_holder is not None and live.fence == lease.fence:
        cursor.execute(_SET_LEASE, (live.fence, None, 0, live.sn))


# ---- followers and seals -----------------------------------------------------------------------------------------------------------------
def register_follower(cursor: sqlite3.Cursor, follower: str) -> None:
    """Begin a follower's list, with all sessions that it is behind."""
    if cursor.execute("INSERT OR IGNORE INTO follower(name) VALUES(?)", (follower,)).rowcount == 1:
        cursor.execute(
            "INSERT OR IGNORE INTO changed(name, sn) SELECT ?, c.sn FROM counter c LEFT JOIN follower_seq f ON f.sn = c.sn AND f.name = ? "
            "WHERE c.last_seq > ifnull(f.seq, 0)",
            (follower, follower),
        )


def changed_sessions(cursor: sqlite3.Cursor, follower: str, limit: int) -> list[ChangedSession] | None:
    """Return what a follower is behind on; None where its list has not been begun."""
    rows = cursor.execute(
        "SELECT s.tenant, s.session_id, s.incarnation, ifnull(f.seq, 0), c.last_seq FROM changed l CROSS JOIN counter c ON c.sn = l.sn "
        "CROSS JOIN session s ON s.sn = l.sn LEFT JOIN follower_seq f ON f.sn = l.sn AND f.name = l.name "
        "WHERE l.name = ? AND c.last_seq > ifnull(f.seq, 0) LIMIT ?",
        (follower, limit),
    ).fetchall()
    if not rows and cursor.execute("SELECT 1 FROM follower WHERE name = ?", (follower,)).fetchone() is None:
        return None
    return [ChangedSession(SessionKey(row[0], row[1]), row[2], row[3], row[4]) for row in rows]


def follower_seq(cursor: sqlite3.Cursor, follower: str, key: SessionKey) -> int:
    """Return how far a follower is in a session."""
    sql = "SELECT f.seq FROM session s JOIN follower_seq f ON f.sn = s.sn AND f.name = ? WHERE s.tenant = ? AND s.session_id = ? AND s.dead = 0"
    row = cursor.execute(sql, (follower, *key)).fetchone()
    return 0 if row is None else int(row[0])


def advance(
    cursor: sqlite3.Cursor,
    follower: str,
    key: SessionKey,
    *,
    incarnation: str,
    from_seq: int,
    to_seq: int,
    rows: Sequence[IndexRow],
) -> Live | None:
    """Move a follower's cursor, if it is where the caller believes, and keep its rows; return the session, or None where it is not there.

    At the end of the log the session leaves the follower's list; ``clean_seq`` tells the next append to put it back on all lists.
    """
    live = load_live(cursor, key)
    if live is None or live.incarnation != incarnation:
        return None
    row = cursor.execute("SELECT seq FROM follower_seq WHERE sn = ? AND name = ?", (live.sn, follower)).fetchone()
    if from_seq != (0 if row is None else row[0]):
        return None
    cursor.execute("INSERT OR REPLACE INTO follower_seq(sn, name, seq) VALUES(?, ?, ?)", (live.sn, follower, to_seq))
    if follower == "search":
        write_rows(cursor, live, rows)
    if to_seq >= live.last_seq and leave_list(cursor, follower, live.sn, last_seq=live.last_seq, clean_seq=live.clean_seq):
        live.version, live.clean_seq = live.version + 1, live.last_seq
    return live


def add_seal(cursor: sqlite3.Cursor, key: SessionKey, seal: Seal, incarnation: str) -> bool:
    """Append a seal to a living incarnation, if it follows on the last one."""
    live = load_live(cursor, key)
    return live is not None and live.incarnation == incarnation and seals.add_seal(cursor, live.sn, seal)


# ---- deletion ----------------------------------------------------------------------------------------------------------------------------
def bury(cursor: sqlite3.Cursor, key: SessionKey, owner: str | None, now_us: int) -> None:
    """Make a session not found; its number, and with it its rows, is never used again. Its row stays TOMBSTONE_DAYS for the fence."""
    live = _find(cursor, key, owner)
    cursor.execute(
        "UPDATE session SET dead = sn, deleted_at_us = ?, fence = ?, info = NULL, parent_id = NULL WHERE sn = ?",
        (now_us, live.fence, live.sn),
    )
    cursor.execute("DELETE FROM counter WHERE sn = ?", (live.sn,))
    cursor.execute("DELETE FROM changed WHERE sn = ?", (live.sn,))
    cursor.execute("INSERT INTO purge(sn) VALUES(?)", (live.sn,))
    # a purged tombstone has nothing left but its name
    cursor.execute(
        "DELETE FROM session WHERE deleted_at_us < ? AND sn NOT IN (SELECT sn FROM purge)",
        (now_us - TOMBSTONE_DAYS * _DAY_US,),
    )


def purge(cursor: sqlite3.Cursor) -> bool:
    """Delete some rows of buried sessions; False when nothing is left to delete."""
    row = cursor.execute("SELECT sn FROM purge LIMIT 1").fetchone()
    if row is None:
        return False
    sn = row[0]
    low, high = sn << 32, ((sn + 1) << 32) - 1
    count = erase_rows(cursor, sn, 0, (1 << 32) - 1, PURGE_ROWS)
    for table, place in (("event", "pos"), ("event_source", "pos"), ("block", "last_pos")):
        sql = f"DELETE FROM {table} WHERE {place} IN (SELECT {place} FROM {table} WHERE {place} BETWEEN ? AND ? LIMIT ?)"
        count += cursor.execute(sql, (low, high, PURGE_ROWS)).rowcount
    if count == 0:
        for table in _PURGED:
            cursor.execute(f"DELETE FROM {table} WHERE sn = ?", (sn,))
        cursor.execute("DELETE FROM purge WHERE sn = ?", (sn,))
    return True
