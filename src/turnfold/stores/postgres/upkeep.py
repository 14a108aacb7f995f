"""Writes that are no commits: leases, followers, seals, deletion. Each is one transaction under the session's lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from turnfold.core.checks import check_owner, not_found
from turnfold.errors import LeaseLost
from turnfold.limits import TOMBSTONE_DAYS
from turnfold.model.event import Seal
from turnfold.model.query import ChangedSession, IndexRow
from turnfold.model.session import Lease, SessionKey
from turnfold.stores.postgres.indexing import write_rows
from turnfold.stores.postgres.lookup import Live, lock
from turnfold.stores.postgres.rare import INSERT_SEAL
from turnfold.stores.postgres.transaction import Transaction, transaction
from turnfold.stores.postgres.values import original
from turnfold.stores.postgres.wire import SET_TENANT, Wire

PURGE_ROWS: Final = 2_000
"""Rows of one table that one transaction of a purge deletes, so that nothing is locked for long."""
_DAY_US: Final = 86_400_000_000
_PURGED: Final = (
    "search_row",
    "event",
    "event_source",
    "block",
    "entry",
    "usage_by_model",
    "run",
    "part",
    "range_tombstone",
    "pruned_id",
    "seal",
    "follower_seq",
)
_OF: Final = "tenant = $1 AND session_id = $2 AND gen = $3"
_SET_LEASE: Final = "UPDATE counter SET fence = $3, lease_holder = $4, lease_expires_at_us = $5 WHERE tenant = $1 AND session_id = $2"
_SELECT_SEALS: Final = (
    "SELECT t.upto_seq, t.previous, t.root, t.at_us, t.signature FROM seal t JOIN counter c ON c.tenant = t.tenant "
    "AND c.session_id = t.session_id AND c.gen = t.gen WHERE c.tenant = $1 AND c.session_id = $2 ORDER BY t.place"
)


def _find(opened: Transaction, key: SessionKey, owner: str | None) -> Live:
    live = lock(opened, key)
    if live is None:
        raise not_found(key.session_id)
    check_owner(key.session_id, live.owner, owner)
    return live


# ---- leases ------------------------------------------------------------------------------------------------------------------------------
def acquire_lease(wire: Wire, key: SessionKey, owner: str | None, holder: str, *, now_us: int | None, ttl_us: int) -> Lease:
    """Take the lease with a new fence."""
    with transaction(wire, key.tenant) as opened:
        live = _find(opened, key, owner)
        now = live.clock_us if now_us is None else now_us
        held = live.lease_holder
        if held is not None and held != holder and live.lease_expires_at_us > now:
            raise LeaseLost(f"session {key.session_id!r} is leased by {held!r}", hint="try again when it has expired", holder=held)
        lease = Lease(key.tenant, key.session_id, holder, live.fence + 1, now + ttl_us)
        opened.later(_SET_LEASE, *key, lease.fence, holder, lease.expires_at_us)
        return lease


def renew_lease(wire: Wire, lease: Lease, *, now_us: int | None, ttl_us: int) -> Lease:
    """Move the expiry of a lease that still holds."""
    key = SessionKey(lease.tenant, lease.session_id)
    with transaction(wire, key.tenant) as opened:
        live = _find(opened, key, None)
        now = live.clock_us if now_us is None else now_us
        if live.lease_holder is None or live.fence != lease.fence or live.lease_expires_at_us <= now:
            raise LeaseLost(f"the lease {lease.fence} of session {lease.session_id!r} is not held any more", fence=live.fence)
        renewed = Lease(lease.tenant, lease.session_id, live.lease_holder, live.fence, now + ttl_us)
        opened.later(_SET_LEASE, *key, renewed.fence, renewed.holder, renewed.expires_at_us)
        return renewed


def release_lease(wire: Wire, lease: Lease) -> None:
    """Give the lease up, if it is held; the fence stays spent."""
    key = SessionKey(lease.tenant, lease.session_id)
    sql = (
        "UPDATE counter SET lease_holder = NULL, lease_expires_at_us = 0 "
        "WHERE tenant = $1 AND session_id = $2 AND lease_holder IS NOT NULL AND fence = $3"
    )
    wire.ask([(SET_TENANT, (key.tenant,)), (sql, (*key, lease.fence))])


# ---- followers and seals -----------------------------------------------------------------------------------------------------------------
def changed_sessions(wire: Wire, follower: str, limit: int) -> list[ChangedSession]:
    """Return what a follower is behind on, of every tenant; its list begins, with all sessions, when it first asks."""
    rows = wire.ask([("SELECT * FROM changed_sessions($1, $2)", (follower, limit))])[0]
    return [ChangedSession(SessionKey(original(row[0]), original(row[1])), original(row[2]), row[3], row[4]) for row in rows]


def follower_seq(wire: Wire, follower: str, key: SessionKey) -> int:
    """Return how far a follower is in a session."""
    sql = (
        "SELECT f.seq FROM counter c JOIN follower_seq f ON f.tenant = c.tenant AND f.session_id = c.session_id AND f.gen = c.gen "
        "WHERE c.tenant = $1 AND c.session_id = $2 AND f.name = $3"
    )
    rows = wire.read(key.tenant, [(sql, (*key, follower))])[0]
    return rows[0][0] if rows else 0


def advance(
    wire: Wire,
    follower: str,
    key: SessionKey,
    *,
    incarnation: str,
    from_seq: int,
    to_seq: int,
    rows: Sequence[IndexRow],
) -> bool:
    """Move a follower's cursor, if it is where the caller believes, and keep its rows.

    At the end of the log the session leaves the follower's list; ``clean_seq`` tells the next append to put it back on all lists.
    """
    with transaction(wire, key.tenant) as opened:
        live = lock(opened, key)
        if live is None or live.incarnation != incarnation:
            return False
        of = (*key, live.gen)
        row = opened.row(f"SELECT seq FROM follower_seq WHERE {_OF} AND name = $4", *of, follower)
        if from_seq != (0 if row is None else row[0]):
            return False
        if follower == "search":
            write_rows(opened, key, live.gen, rows)
        move_cursor(opened, key, live, follower, to_seq)
        return True


def move_cursor(opened: Transaction, key: SessionKey, live: Live, follower: str, to_seq: int) -> None:
    """Write a follower's cursor in a locked session; at the end of the log, take the session off its list."""
    opened.later(
        "INSERT INTO follower_seq(tenant, session_id, gen, name, seq) VALUES($1, $2, $3, $4, $5) "
        "ON CONFLICT (tenant, session_id, gen, name) DO UPDATE SET seq = excluded.seq",
        *key,
        live.gen,
        follower,
        to_seq,
    )
    if to_seq >= live.last_seq:
        opened.later("DELETE FROM changed WHERE tenant = $1 AND session_id = $2 AND name = $3", *key, follower)
        if live.clean_seq != live.last_seq:
            opened.later("UPDATE counter SET clean_seq = last_seq WHERE tenant = $1 AND session_id = $2", *key)


def read_seals(wire: Wire, key: SessionKey) -> list[Seal] | None:
    """Return the seals in order, None where there is no such session."""
    found = "SELECT 1 FROM counter WHERE tenant = $1 AND session_id = $2"
    there, rows = wire.read(key.tenant, [(found, key), (_SELECT_SEALS, key)])
    return [Seal(*row) for row in rows] if there else None


def add_seal(wire: Wire, key: SessionKey, seal: Seal, incarnation: str) -> bool:
    """Append a seal to a living incarnation, if it follows on the last one."""
    with transaction(wire, key.tenant) as opened:
        live = lock(opened, key)
        if live is None or live.incarnation != incarnation:
            return False
        of = (*key, live.gen)
        last = opened.row(f"SELECT place::bigint, root FROM seal WHERE {_OF} ORDER BY place DESC LIMIT 1", *of)
        place, root = (-1, b"") if last is None else last
        if seal.previous != root:
            return False
        opened.later(INSERT_SEAL, *of, place + 1, seal.upto_seq, seal.previous, seal.root, seal.at_us, seal.signature)
        return True


# ---- deletion ----------------------------------------------------------------------------------------------------------------------------
def bury(wire: Wire, key: SessionKey, owner: str | None, now_us: int | None) -> None:
    """Make a session not found. Its row stays TOMBSTONE_DAYS for the fence; what else it had waits for ``purge``."""
    with transaction(wire, key.tenant) as opened:
        live = _find(opened, key, owner)
        of = (*key, live.gen)
        now = live.clock_us if now_us is None else now_us
        opened.later(f"UPDATE session SET dead = true, deleted_at_us = $4, fence = $5, parent_id = NULL WHERE {_OF}", *of, now, live.fence)
        opened.later("DELETE FROM counter WHERE tenant = $1 AND session_id = $2", *key)
        opened.later("DELETE FROM changed WHERE tenant = $1 AND session_id = $2", *key)
        opened.later("INSERT INTO purge(tenant, session_id, gen) VALUES($1, $2, $3)", *of)
        opened.later("SELECT wake($1, $2)", live.watched_until_us, key.session_id)
        # a purged tombstone has nothing left but its name
        opened.later(
            "DELETE FROM session s WHERE tenant = $1 AND dead AND deleted_at_us < $2 AND NOT EXISTS (SELECT FROM purge p "
            "WHERE p.tenant = s.tenant AND p.session_id = s.session_id AND p.gen = s.gen)",
            key.tenant,
            now - TOMBSTONE_DAYS * _DAY_US,
        )


def purge(wire: Wire, tenant: str) -> bool:
    """Delete some rows of a tenant's buried sessions; False when nothing is left to delete, or another is at it."""
    with transaction(wire, tenant) as opened:
        sql = "SELECT session_id, gen::bigint FROM purge WHERE tenant = $1 LIMIT 1 FOR UPDATE SKIP LOCKED"
        row = opened.row(sql, tenant)
        if row is None:
            return False
        of = (tenant, original(row[0]), row[1])
        counts = opened.all_rows([(_purge_of(table), of) for table in _PURGED])
        if not any(rows[0][0] for rows in counts):
            opened.later(f"DELETE FROM purge WHERE {_OF}", *of)
        return True


def _purge_of(table: str) -> str:
    some = f"SELECT ctid FROM {table} WHERE {_OF} LIMIT {PURGE_ROWS}"
    return f"WITH gone AS (DELETE FROM {table} WHERE ctid = ANY(ARRAY({some})) AND {_OF} RETURNING 1) SELECT count(*) FROM gone"
