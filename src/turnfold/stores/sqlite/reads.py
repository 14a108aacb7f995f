"""Reads beside the writer: pages of events, heads, runs, parts. Each in one read transaction on a connection that can only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from turnfold.core.branches import segments
from turnfold.core.checks import check_owner, not_found
from turnfold.core.filtering import bounds, check_page_limit, through
from turnfold.core.fold import branches_from
from turnfold.errors import NotFound
from turnfold.model.event import MAIN
from turnfold.model.query import ACTIVE_BRANCH, EventPage, EventQuery
from turnfold.model.run import Run
from turnfold.model.session import Entry, Head, SessionKey
from turnfold.model.usage import Usage
from turnfold.stores.sql.rows import EventRow, events_of, session_info
from turnfold.stores.sqlite.blocks import BlockCache, fill
from turnfold.stores.sqlite.compacting import part_of
from turnfold.stores.sqlite.ranges import read_ranges
from turnfold.stores.sqlite.rows import EVENT_COLUMNS, HEAD_COLUMNS

_FIND: Final = (
    "SELECT s.sn, s.incarnation, s.owner, c.last_seq, c.forked_seq, c.pruned, c.active_branch FROM session s JOIN counter c ON c.sn = s.sn "
    "WHERE s.tenant = ? AND s.session_id = ? AND s.dead = 0"
)
_HEAD: Final = f"SELECT {HEAD_COLUMNS} FROM session s JOIN counter c ON c.sn = s.sn WHERE s.tenant = ? AND s.session_id = ? AND s.dead = 0"
FREQUENT_TYPES: Final = ("message", "message.delta", "tool.progress", "usage", "session.created", "branch.created")
"""Left out of the index ``event_rare``, so that what is appended most pays for no index, and a new session or branch for no page of it."""
_RARE: Final = " AND ".join(f"e.type <> '{name}'" for name in FREQUENT_TYPES)
"""The index's own condition, word for word: a list (NOT IN) costs an append 1.6 µs, because SQLite builds a table of it."""
_VIEWER: Final = (
    "(e.extra IS NULL OR ("
    "(json_extract(e.extra, '$[5]') IS NULL OR EXISTS(SELECT 1 FROM json_each(e.extra, '$[5]') v WHERE v.value = ?)) "
    "AND (json_extract(e.extra, '$[6]') IS NULL OR NOT EXISTS(SELECT 1 FROM json_each(e.extra, '$[6]') v WHERE v.value = ?))))"
)
_run_decoder = msgspec.json.Decoder(Run)


class Found(NamedTuple):
    """A living session, as a read needs it."""

    sn: int
    incarnation: str
    owner: str | None
    last_seq: int
    forked_seq: int | None
    pruned: int
    active_branch: str


class Piece(NamedTuple):
    """A stretch of the log: seqs ``first..last``, of one branch or of all."""

    first: int
    last: int
    branch: str | None


def find(cursor: sqlite3.Cursor, key: SessionKey, owner: str | None, incarnation: str | None = None) -> Found:
    """Return the living session of the caller, or raise SessionNotFound."""
    row = cursor.execute(_FIND, key).fetchone()
    if row is None:
        raise not_found(key.session_id)
    found = Found(*row)
    check_owner(key.session_id, found.owner, owner)
    if incarnation is not None and incarnation != found.incarnation:
        raise not_found(key.session_id)
    return found


def read_events(cursor: sqlite3.Cursor, query: EventQuery, cache: BlockCache) -> EventPage:
    """Read a page of events."""
    check_page_limit(query.limit)
    found = find(cursor, query.key, query.owner, query.incarnation)
    first, last = bounds(query, found.last_seq)
    rows: list[EventRow] = []
    wanted = query.limit + 1
    nothing = query.types == frozenset() or query.visible == frozenset()  # SQLite finds no plan for an index and IN ()
    for piece in () if nothing else _pieces(cursor, found, query, first, last):
        rows += _rows(cursor, found.sn, query, piece, wanted - len(rows))
        if len(rows) >= wanted:
            break
    more = len(rows) > query.limit
    del rows[query.limit :]
    fill(cursor, found.sn, rows, cache, with_source=query.with_source)
    events = events_of(rows)
    through_seq = through(query, found.last_seq, events[-1].seq if events else None, more=more)
    low, high = (through_seq, last) if query.descending else (first, through_seq)
    ranges = read_ranges(cursor, found.sn, low, high) if found.pruned else ()
    return EventPage(events, through_seq, found.last_seq, found.incarnation, ranges, more)


def _pieces(cursor: sqlite3.Cursor, found: Found, query: EventQuery, first: int, last: int) -> list[Piece]:
    """The stretches that the query's branch consists of, clipped to ``first..last``, in the asked order."""
    branch = query.branch if query.branch != ACTIVE_BRANCH else found.active_branch
    if branch is None or (branch == MAIN and found.forked_seq is None):
        pieces = [Piece(first, last, None)]
    else:
        pieces = list(_branch_pieces(cursor, found, branch, first, last))
    pieces = [piece for piece in pieces if piece.first <= piece.last]
    return pieces[::-1] if query.descending else pieces


def _branch_pieces(cursor: sqlite3.Cursor, found: Found, name: str, first: int, last: int) -> Iterator[Piece]:
    """Before the session's first fork every event is on ``main`` and its row names no branch; there the whole log is read."""
    entries = _entries(cursor, found.sn, "branch")
    forked_seq = found.last_seq + 1 if found.forked_seq is None else found.forked_seq
    for segment in segments(branches_from(entries), name):
        low = max(first, segment.after + 1)
        high = last if segment.upto is None else min(last, segment.upto)
        if segment.branch == MAIN:
            yield Piece(low, min(high, forked_seq - 1), None)
            low = max(low, forked_seq)
        yield Piece(low, high, segment.branch)


def _rows(cursor: sqlite3.Cursor, sn: int, query: EventQuery, piece: Piece, wanted: int) -> list[EventRow]:
    base = sn << 32
    conditions = ["e.pos >= ?", "e.pos <= ?"]
    values: list[Any] = [base + piece.first, base + piece.last]
    index = ""
    if piece.branch is not None:
        index = " INDEXED BY event_branch"
        conditions += ["e.pos >> 32 = ?", "e.branch = ?"]
        values += [sn, piece.branch]
    elif query.types is not None and query.types.isdisjoint(FREQUENT_TYPES):
        index = " INDEXED BY event_rare"
        conditions += ["e.pos >> 32 = ?", _RARE]
        values.append(sn)
    _filter(query, conditions, values)
    source, join = ("x.line", " LEFT JOIN event_source x ON x.pos = e.pos") if query.with_source else ("NULL", "")
    order = "DESC" if query.descending else "ASC"
    sql = f"SELECT {EVENT_COLUMNS}, {source} FROM event e{index}{join} WHERE {' AND '.join(conditions)} ORDER BY e.pos {order} LIMIT ?"
    return cursor.execute(sql, (*values, wanted)).fetchall()


def _filter(query: EventQuery, conditions: list[str], values: list[Any]) -> None:
    """Add the conditions of ``core.filtering.matches`` in SQL."""
    if query.types is not None:
        conditions.append(f"e.type IN ({_marks(query.types)})")
        values += sorted(query.types)
    if query.run_id is not None:
        conditions.append("e.run_id = ?")
        values.append(query.run_id)
    if query.since_us is not None:
        conditions.append("e.at_us >= ?")
        values.append(query.since_us)
    if query.until_us is not None:
        conditions.append("e.at_us < ?")
        values.append(query.until_us)
    if query.visible is not None:
        conditions.append(f"ifnull(e.visibility, 'both') IN ({_marks(query.visible)})")
        values += sorted(query.visible)
    if query.viewer is not None:
        conditions.append(_VIEWER)
        values += [query.viewer, query.viewer]


def _marks(items: Iterable[str]) -> str:
    return ", ".join("?" for _ in items)


def _entries(cursor: sqlite3.Cursor, sn: int, kind: str | None = None) -> list[Entry]:
    sql = "SELECT kind, name, value, seq, branch FROM entry WHERE sn = ?"
    values: tuple[Any, ...] = (sn,)
    if kind is not None:
        sql += " AND kind = ?"
        values = (sn, kind)
    return [Entry(*row) for row in cursor.execute(sql, values).fetchall()]


def get_session(cursor: sqlite3.Cursor, key: SessionKey, owner: str | None, now_us: int) -> Head:
    """Return the head."""
    row = cursor.execute(_HEAD, key).fetchone()
    if row is None:
        raise not_found(key.session_id)
    check_owner(key.session_id, row[4], owner)
    entries = _entries(cursor, row[0])
    entries.sort(key=_entry_order)
    models = cursor.execute(
        "SELECT input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens, reasoning_output_tokens, "
        "cost_microusd, model FROM usage_by_model WHERE sn = ?",
        (row[0],),
    ).fetchall()
    return Head(
        info=session_info(row, now_us),
        entries=tuple(entries),
        usage_by_model={fields[-1]: Usage(*fields) for fields in models},
        ttl_s=None if row[25] is None else row[25] / 1_000_000,
    )


def _entry_order(entry: Entry) -> tuple[str, str, str]:
    return entry.kind, entry.name, entry.branch


def last_seqs(cursor: sqlite3.Cursor, keys: Iterable[SessionKey]) -> dict[SessionKey, tuple[str, int]]:
    """Return (incarnation, last seq) of those that exist."""
    out: dict[SessionKey, tuple[str, int]] = {}
    for key in keys:
        row = cursor.execute(_FIND, key).fetchone()
        if row is not None:
            out[key] = (row[1], row[3])
    return out


def get_run(cursor: sqlite3.Cursor, key: SessionKey, owner: str | None, run_id: str) -> Run:
    """Return a run row."""
    found = find(cursor, key, owner)
    row = cursor.execute("SELECT body FROM run WHERE sn = ? AND id = ?", (found.sn, run_id)).fetchone()
    if row is None:
        raise NotFound(f"there is no run {run_id!r} in session {key.session_id!r}", run_id=run_id)
    return _run_decoder.decode(row[0])


def list_runs(cursor: sqlite3.Cursor, key: SessionKey, owner: str | None, status: str | None, limit: int) -> list[Run]:
    """Return run rows, newest id first."""
    found = find(cursor, key, owner)
    condition, values = ("", ()) if status is None else (" AND status = ?", (status,))
    sql = f"SELECT body FROM run WHERE sn = ?{condition} ORDER BY id DESC LIMIT ?"
    return [_run_decoder.decode(row[0]) for row in cursor.execute(sql, (found.sn, *values, limit)).fetchall()]


def read_part(cursor: sqlite3.Cursor, key: SessionKey, owner: str | None, ref: str) -> bytes:
    """Return an out-of-line part."""
    found = find(cursor, key, owner)
    row = cursor.execute("SELECT body, form FROM part WHERE sn = ? AND ref = ?", (found.sn, ref)).fetchone()
    if row is None:
        raise NotFound(f"there is no part {ref} in session {key.session_id!r}", ref=ref)
    return part_of(*row)
