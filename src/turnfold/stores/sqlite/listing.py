"""Lists of sessions, newest first, exact although a session's place in the index is rewritten at most once a grain.

A session that was written once stands at its exact place (``touched`` 0, ``listed_at`` = ``updated_at``). One that was written again stands at
most a grain below its place (``touched`` 1, ``listed_at`` ≤ ``updated_at`` ≤ ``listed_at`` + grain). So the n-th row by ``listed_at`` of either kind
bounds the n-th newest from below, and of the second kind only those are looked at that were listed at most a grain before that.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final, NamedTuple

from turnfold.core.lifecycle import EXPIRED, OPEN
from turnfold.core.paging import check_list_limit, list_cursor, parse_list_cursor
from turnfold.model.query import SessionQuery
from turnfold.model.session import SessionInfo
from turnfold.stores.sql.rows import session_info
from turnfold.stores.sqlite.applying import LIST_GRAIN_US
from turnfold.stores.sqlite.rows import HEAD_COLUMNS

_OPEN: Final = ", ".join(f"'{status}'" for status in sorted(OPEN))
_HAS_TAG: Final = "EXISTS(SELECT 1 FROM entry t WHERE t.sn = s.sn AND t.kind = 'tag' AND t.name = ? AND t.branch = '')"


Place = tuple[int, str, int]
"""Newest time, session id (which decides between equal times), and the session's number."""


def list_sessions(cursor: sqlite3.Cursor, query: SessionQuery, now_us: int) -> tuple[list[SessionInfo], str | None]:
    """Return a page of sessions and the cursor of the next one."""
    check_list_limit(query.limit)
    scope = _scope(query, now_us)
    wanted = query.limit + 1
    below = parse_list_cursor(query.cursor)
    places = _exact(cursor, scope, below, wanted)
    floor_us = places[-1][0] if len(places) == wanted else None
    places += _near(cursor, scope, below, wanted, floor_us)
    places.sort(reverse=True)
    rows = _rows(cursor, places[: query.limit])
    infos = [session_info(rows[sn], now_us) for _, _, sn in places[: query.limit]]
    if len(places) <= query.limit:
        return infos, None
    return infos, list_cursor(infos[-1].updated_at_us, infos[-1].id)


class _Scope(NamedTuple):
    """Which sessions: the tables, the conditions and their values."""

    tables: str
    where: str
    values: tuple[Any, ...]


def _exact(cursor: sqlite3.Cursor, scope: _Scope, below: tuple[int, str] | None, wanted: int) -> list[Place]:
    """The newest of those at their exact place."""
    where, values = scope.where, scope.values
    if below is not None:
        where += " AND s.listed_at_us <= ? AND (s.listed_at_us, s.session_id) < (?, ?)"
        values += (below[0], *below)
    sql = (
        f"SELECT s.listed_at_us, s.session_id, s.sn FROM {scope.tables} WHERE {where} AND s.touched = 0 "
        "ORDER BY s.listed_at_us DESC, s.session_id DESC LIMIT ?"
    )
    return cursor.execute(sql, (*values, wanted)).fetchall()


def _near(cursor: sqlite3.Cursor, scope: _Scope, below: tuple[int, str] | None, wanted: int, floor_us: int | None) -> list[Place]:
    """The newest of those near their place, down to a grain below ``floor_us`` or their own n-th, whichever is higher."""
    tables, where, values = scope
    if " JOIN counter" not in tables:
        tables += " JOIN counter c ON c.sn = s.sn"
    where += " AND s.touched = 1"
    if below is not None:
        where += " AND s.listed_at_us <= ? AND (c.updated_at_us, s.session_id) < (?, ?)"
        values += (below[0], *below)
    sql = f"SELECT s.listed_at_us FROM {tables} WHERE {where} ORDER BY s.listed_at_us DESC LIMIT 1 OFFSET ?"
    last = cursor.execute(sql, (*values, wanted - 1)).fetchone()
    if last is not None and (floor_us is None or last[0] > floor_us):
        floor_us = last[0]
    if floor_us is not None:
        where += " AND s.listed_at_us >= ?"
        values += (floor_us - LIST_GRAIN_US,)
    sql = f"SELECT c.updated_at_us, s.session_id, s.sn FROM {tables} WHERE {where} ORDER BY 1 DESC, 2 DESC LIMIT ?"
    return cursor.execute(sql, (*values, wanted)).fetchall()


def _rows(cursor: sqlite3.Cursor, places: list[Place]) -> dict[int, tuple[Any, ...]]:
    marks = ", ".join("?" * len(places))
    sql = f"SELECT {HEAD_COLUMNS} FROM session s CROSS JOIN counter c ON c.sn = s.sn WHERE s.sn IN ({marks})"
    return {row[0]: row for row in cursor.execute(sql, [sn for _, _, sn in places]).fetchall()}


def _scope(query: SessionQuery, now_us: int) -> _Scope:
    """Name the index too: without statistics SQLite may prefer one that does not give the order."""
    index = "session_by_owner" if query.owner is not None else "session_by" if query.agent is not None else "session_listed"
    if query.agent is not None:
        index += "_agent"
    if query.parent_id is not None:
        index = "session_by_parent"
    conditions, values = _conditions(query, now_us)
    tables = f"session s INDEXED BY {index}"
    if query.status is not None:
        tables += " JOIN counter c ON c.sn = s.sn"
    return _Scope(tables, " AND ".join(conditions), tuple(values))


def _conditions(query: SessionQuery, now_us: int) -> tuple[list[str], list[Any]]:
    conditions = ["s.tenant = ?", "s.kind = ?", "s.dead = 0"]
    values: list[Any] = [query.tenant, query.kind]
    for column in ("owner", "agent", "parent_id"):
        value = getattr(query, column)
        if value is not None:
            conditions.append(f"s.{column} = ?")
            values.append(value)
    if query.id_prefix is not None:
        conditions.append("substr(s.session_id, 1, ?) = ?")
        values += [len(query.id_prefix), query.id_prefix]
    for tag in query.tags:
        conditions.append(_HAS_TAG)
        values.append(tag)
    if query.status == EXPIRED:
        conditions.append(f"(c.status = ? OR (c.status IN ({_OPEN}) AND c.expires_at_us <= ?))")
        values += [EXPIRED, now_us]
    elif query.status is not None:
        conditions.append("c.status = ?")
        values.append(query.status)
        if query.status in OPEN:
            conditions.append("(c.expires_at_us IS NULL OR c.expires_at_us > ?)")
            values.append(now_us)
    return conditions, values
