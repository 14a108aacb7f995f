"""Lists of sessions, newest first, exact although their index is only rewritten once a grain.

``listed_at`` ≤ ``updated_at`` ≤ ``listed_at`` + grain holds for every session. So the place of the n-th row by ``listed_at`` bounds the n-th
newest from below: whatever belongs on the page was listed at most a grain before that. The page is the newest n of those.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from turnfold.core.lifecycle import EXPIRED, OPEN
from turnfold.core.paging import check_list_limit, list_cursor, parse_list_cursor
from turnfold.model.query import SessionQuery
from turnfold.model.session import SessionInfo
from turnfold.stores.sqlite.applying import LIST_GRAIN_US
from turnfold.stores.sqlite.rows import HEAD_COLUMNS, session_info

_OPEN: Final = ", ".join(f"'{status}'" for status in sorted(OPEN))
_HAS_TAG: Final = "EXISTS(SELECT 1 FROM entry t WHERE t.sn = s.sn AND t.kind = 'tag' AND t.name = ? AND t.branch = '')"


def list_sessions(cursor: sqlite3.Cursor, query: SessionQuery, now_us: int) -> tuple[list[SessionInfo], str | None]:
    """Return a page of sessions and the cursor of the next one."""
    check_list_limit(query.limit)
    conditions, values = _conditions(query, now_us)
    where = " AND ".join(conditions)
    wanted = query.limit + 1
    tables = "session s JOIN counter c ON c.sn = s.sn"
    sql = f"SELECT s.listed_at_us FROM {tables} WHERE {where} ORDER BY s.listed_at_us DESC LIMIT 1 OFFSET ?"
    last = cursor.execute(sql, (*values, wanted - 1)).fetchone()
    floor_us = -(1 << 62) if last is None else last[0] - LIST_GRAIN_US
    sql = f"SELECT {HEAD_COLUMNS} FROM {tables} WHERE {where} AND s.listed_at_us >= ? ORDER BY c.updated_at_us DESC, s.session_id DESC LIMIT ?"
    rows = cursor.execute(sql, (*values, floor_us, wanted)).fetchall()
    infos = [session_info(row, now_us) for row in rows[: query.limit]]
    if len(rows) <= query.limit:
        return infos, None
    return infos, list_cursor(infos[-1].updated_at_us, infos[-1].id)


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
    below = parse_list_cursor(query.cursor)
    if below is not None:
        conditions += ["s.listed_at_us <= ?", "(c.updated_at_us, s.session_id) < (?, ?)"]
        values += [below[0], *below]
    return conditions, values
