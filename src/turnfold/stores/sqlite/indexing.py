"""The search index: FTS5 without a copy of the text.

Rows come from the search follower through ``advance``. A query finds the events that hold all terms: bucket 0 as a phrase, bucket 1 apart.

Taking a row out of such an index needs the very terms that went in. They are made again from the event, and a checksum kept beside the
row says whether these are they. Where they are not (a later version splits texts in another way, or the Unicode tables of another Python do)
they are read out of the index itself, which takes a pass over all of it. Terms that no event can give are kept, compressed. Keeping those
of every event took a sixth of an import's time and more room than the index.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from turnfold.core.search import APART_BUCKET, PHRASE_BUCKET, index_rows
from turnfold.model.query import IndexRow, SearchQuery, SearchRow
from turnfold.stores.sql.rows import decode_extra, events_of
from turnfold.stores.sqlite.blocks import fill
from turnfold.stores.sqlite.live import Live
from turnfold.stores.sqlite.rows import EVENT_COLUMNS

_encode = msgspec.json.Encoder().encode
_INSERT_TERMS: Final = "INSERT INTO search(rowid, terms) VALUES(?, ?)"
_DELETE_TERMS: Final = "INSERT INTO search(search, rowid, terms) VALUES('delete', ?, ?)"
_CHECKSUM: Final = b"="
"""What a checksum of terms begins with in place of the terms; nothing compressed does."""
_CHECKSUMS_FROM: Final = 3
"""The migration after which the file is read by nobody who would take a checksum for the terms."""
_VIEWER: Final = (
    "(r.visible_to IS NULL OR EXISTS(SELECT 1 FROM json_each(r.visible_to) WHERE value = ?)) "
    "AND (r.hidden_from IS NULL OR NOT EXISTS(SELECT 1 FROM json_each(r.hidden_from) WHERE value = ?))"
)


def write_rows(cursor: sqlite3.Cursor, live: Live, rows: Sequence[IndexRow]) -> None:
    """Index events. One that was redacted or pruned since the follower read it is left out, so its text never comes back."""
    if not rows:
        return
    base = live.base
    first, last = base + min(row.seq for row in rows), base + max(row.seq for row in rows)
    gone = _gone(cursor, first, last, pruned=bool(live.pruned))
    _erase(cursor, cursor.execute("SELECT pos, terms FROM search_row WHERE pos BETWEEN ? AND ?", (first, last)).fetchall())
    kept = [(base + row.seq, row) for row in rows if base + row.seq not in gone]
    checksums = cursor.execute("SELECT 1 FROM migration WHERE number = ?", (_CHECKSUMS_FROM,)).fetchone() is not None
    cursor.executemany(
        "INSERT INTO search_row(pos, terms, visible_to, hidden_from) VALUES(?, ?, ?, ?)",
        [(pos, _proof_of(row, checksums=checksums), _names(row.visible_to), _names(row.hidden_from)) for pos, row in kept],
    )
    cursor.executemany(_INSERT_TERMS, [(pos, row.terms) for pos, row in kept])


def _gone(cursor: sqlite3.Cursor, first: int, last: int, *, pruned: bool) -> set[int]:
    """The places between two that hold no payload any more."""
    marked = cursor.execute("SELECT pos, extra FROM event WHERE pos BETWEEN ? AND ? AND extra IS NOT NULL", (first, last))
    gone = {pos for pos, extra in marked if decode_extra(extra)[7]}
    if pruned:
        there = cursor.execute("SELECT pos FROM event WHERE pos BETWEEN ? AND ?", (first, last))
        gone.update({*range(first, last + 1)}.difference(pos for (pos,) in there))
    return gone


def _proof_of(row: IndexRow, *, checksums: bool) -> bytes:
    """Return what is kept to take a row out of the index again."""
    terms = row.terms.encode()
    return _checksum(terms) if checksums and row.derived else zlib.compress(terms, 1)


def _checksum(terms: bytes) -> bytes:
    return _CHECKSUM + len(terms).to_bytes(5, "big") + zlib.crc32(terms).to_bytes(4, "big")


def erase_rows(cursor: sqlite3.Cursor, sn: int, first_seq: int, last_seq: int, limit: int = -1) -> int:
    """Take events out of the index, at most ``limit`` of them (-1: all), while they are still in the log; return how many were there."""
    rows = cursor.execute(
        "SELECT pos, terms FROM search_row WHERE pos BETWEEN ? AND ? LIMIT ?",
        ((sn << 32) + first_seq, (sn << 32) + last_seq, limit),
    ).fetchall()
    _erase(cursor, rows)
    return len(rows)


def _erase(cursor: sqlite3.Cursor, rows: Sequence[tuple[int, bytes]]) -> None:
    lost: set[int] = set()
    for pos, proof in rows:
        terms = _terms_again(cursor, pos, proof)
        if terms is None:
            lost.add(pos)
        else:
            cursor.execute(_DELETE_TERMS, (pos, terms))
        cursor.execute("DELETE FROM search_row WHERE pos = ?", (pos,))
    if lost:
        cursor.executemany(_DELETE_TERMS, _terms_in_index(cursor, lost))


def _terms_again(cursor: sqlite3.Cursor, pos: int, proof: bytes) -> str | None:
    """Return the terms of a row, or None where its event does not give them any more."""
    if not proof.startswith(_CHECKSUM):
        return zlib.decompress(proof).decode()
    found = cursor.execute(f"SELECT {EVENT_COLUMNS}, NULL FROM event e WHERE pos = ?", (pos,)).fetchall()
    fill(cursor, pos >> 32, found, None, with_source=False)
    for row in index_rows(events_of(found)):
        if _checksum(row.terms.encode()) == proof:
            return row.terms
    return None


def _terms_in_index(cursor: sqlite3.Cursor, places: Iterable[int]) -> list[tuple[int, str]]:
    """Read the terms of some rows out of the index: of the 4 million terms of 47 MB of sessions in 0.13 s."""
    found: dict[int, list[tuple[int, str]]] = {pos: [] for pos in places}
    cursor.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.search_term USING fts5vocab(main, search, instance)")
    for pos, offset, term in cursor.execute("SELECT doc, offset, term FROM temp.search_term"):
        if pos in found:
            found[pos].append((offset, term))
    return [(pos, " ".join(term for _, term in sorted(terms))) for pos, terms in found.items()]


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
