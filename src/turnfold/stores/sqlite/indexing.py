"""The search index: FTS5 without a copy of the text, and the terms compressed beside it, which an exact removal needs.

Rows come from the search follower through ``advance``. A query finds the events that hold all terms: bucket 0 as a phrase, bucket 1 apart.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from turnfold.core.search import APART_BUCKET, PHRASE_BUCKET
from turnfold.model.query import IndexRow, SearchQuery, SearchRow
from turnfold.stores.sql.rows import decode_extra

_encode = msgspec.json.Encoder().encode
_INSERT_TERMS: Final = "INSERT INTO search(rowid, terms) VALUES(?, ?)"
_DELETE_TERMS: Final = "INSERT INTO search(search, rowid, terms) VALUES('delete', ?, ?)"
_VIEWER: Final = (
    "(r.visible_to IS NULL OR EXISTS(SELECT 1 FROM json_each(r.visible_to) WHERE value = ?)) "
    "AND (r.hidden_from IS NULL OR NOT EXISTS(SELECT 1 FROM json_each(r.hidden_from) WHERE value = ?))"
)


def write_rows(cursor: sqlite3.Cursor, sn: int, rows: Sequence[IndexRow]) -> None:
    """Index events. One that was redacted or pruned since the follower read it is left out, so its text never comes back."""
    if not rows:
        return
    base = sn << 32
    first, last = base + min(row.seq for row in rows), base + max(row.seq for row in rows)
    live = {
        pos
        for pos, extra in cursor.execute("SELECT pos, extra FROM event WHERE pos BETWEEN ? AND ?", (first, last))
        if not _redacted(extra)
    }
    _erase(cursor, cursor.execute("SELECT pos, terms FROM search_row WHERE pos BETWEEN ? AND ?", (first, last)).fetchall())
    kept = [(base + row.seq, row) for row in rows if base + row.seq in live]
    cursor.executemany(
        "INSERT INTO search_row(pos, terms, visible_to, hidden_from) VALUES(?, ?, ?, ?)",
        [(pos, zlib.compress(row.terms.encode(), 1), _names(row.visible_to), _names(row.hidden_from)) for pos, row in kept],
    )
    cursor.executemany(_INSERT_TERMS, [(pos, row.terms) for pos, row in kept])


def _redacted(extra: bytes | None) -> bool:
    return extra is not None and decode_extra(extra)[7]


def erase_rows(cursor: sqlite3.Cursor, sn: int, first_seq: int, last_seq: int, limit: int = -1) -> int:
    """Take events out of the index, at most ``limit`` of them (-1: all); return how many were there."""
    rows = cursor.execute(
        "SELECT pos, terms FROM search_row WHERE pos BETWEEN ? AND ? LIMIT ?",
        ((sn << 32) + first_seq, (sn << 32) + last_seq, limit),
    ).fetchall()
    _erase(cursor, rows)
    return len(rows)


def _erase(cursor: sqlite3.Cursor, rows: Sequence[tuple[int, bytes]]) -> None:
    for pos, packed in rows:
        cursor.execute(_DELETE_TERMS, (pos, zlib.decompress(packed).decode()))
        cursor.execute("DELETE FROM search_row WHERE pos = ?", (pos,))


def _names(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else _encode(names).decode()


def search(cursor: sqlite3.Cursor, query: SearchQuery) -> list[SearchRow]:
    """Return found events by (bucket, session id, seq)."""
    if not query.terms or query.limit < 1:
        return []
    phrase = _quoted(" ".join(query.terms))
    rows: list[SearchRow] = []
    if query.after is None or query.after[0] == PHRASE_BUCKET:
        rows = _bucket(cursor, query, PHRASE_BUCKET, phrase, query.limit)
    if len(rows) < query.limit and len(query.terms) > 1:
        apart = "(" + " AND ".join(_quoted(term) for term in dict.fromkeys(query.terms)) + f") NOT {phrase}"
        rows += _bucket(cursor, query, APART_BUCKET, apart, query.limit - len(rows))
    return rows


def _bucket(cursor: sqlite3.Cursor, query: SearchQuery, bucket: int, match: str, limit: int) -> list[SearchRow]:
    conditions = ["search MATCH ?", "s.tenant = ?", "s.dead = 0"]
    values: list[Any] = [match, query.tenant]
    for column in ("owner", "agent", "session_id"):
        value = getattr(query, column)
        if value is not None:
            conditions.append(f"s.{column} = ?")
            values.append(value)
    if query.viewer is not None:
        conditions.append(_VIEWER)
        values += [query.viewer, query.viewer]
    if query.after is not None and query.after[0] == bucket:
        conditions.append("(s.session_id, search.rowid & 4294967295) > (?, ?)")
        values += query.after[1:]
    sql = (
        "SELECT s.session_id, search.rowid & 4294967295 FROM search CROSS JOIN search_row r ON r.pos = search.rowid "
        f"CROSS JOIN session s ON s.sn = search.rowid >> 32 WHERE {' AND '.join(conditions)} ORDER BY 1, 2 LIMIT ?"
    )
    return [SearchRow(session_id, seq, bucket) for session_id, seq in cursor.execute(sql, (*values, limit)).fetchall()]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
