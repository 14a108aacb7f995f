"""The search index: the terms of an event as one line of text, and a GIN index on the hashes of the different ones.

PostgreSQL's own ``tsvector`` keeps no position above 16,383, no term above 2 KB and no text above 1 MB, so a phrase at the end of a long tool
result would not be found. Here a hit holds the hashes of all terms, and a phrase is then looked for in the line. Hashes are of (tenant,
term): the index knows tenants apart although GIN does not, and a term of any length fits. A false hit needs two terms with one 64-bit hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final

from turnfold.core.search import APART_BUCKET, PHRASE_BUCKET
from turnfold.model.query import IndexRow, SearchQuery, SearchRow
from turnfold.model.session import SessionKey
from turnfold.stores.postgres.transaction import Transaction
from turnfold.stores.postgres.values import Array, names, numbers, original
from turnfold.stores.postgres.wire import Wire
from turnfold.stores.sql.rows import decode_extra

_OF: Final = "tenant = $1 AND session_id = $2 AND gen = $3"
_INSERT: Final = (
    "INSERT INTO search_row(tenant, session_id, gen, seq, terms, hashes, visible_to, hidden_from) VALUES($1, $2, $3, $4, $5, $6, $7, $8)"
)


def hashes(tenant: str, terms: Iterable[str]) -> Array:
    """Return the hashes of different terms, as a bigint[]."""
    begun = blake2b(tenant.encode() + b"\0", digest_size=8)
    found: list[int | None] = []
    for term in dict.fromkeys(terms):
        state = begun.copy()
        state.update(term.encode())
        found.append(int.from_bytes(state.digest(), "big", signed=True))
    return numbers(found)


def write_rows(transaction: Transaction, key: SessionKey, gen: int, rows: Sequence[IndexRow]) -> None:
    """Index events. One that was redacted or pruned since the follower read it is left out, so its text never comes back."""
    if not rows:
        return
    of = (*key, gen, min(row.seq for row in rows), max(row.seq for row in rows))
    stored = transaction.rows(f"SELECT seq, extra FROM event WHERE {_OF} AND seq BETWEEN $4 AND $5", *of)
    live = {seq for seq, extra in stored if extra is None or not decode_extra(extra)[7]}
    transaction.later(f"DELETE FROM search_row WHERE {_OF} AND seq BETWEEN $4 AND $5", *of)
    for row in rows:
        if row.seq in live:
            words = row.terms.split()
            seen = (_names(row.visible_to), _names(row.hidden_from))
            transaction.later(_INSERT, *key, gen, row.seq, f" {' '.join(words)} ", hashes(key.tenant, words), *seen)


def _names(items: tuple[str, ...] | None) -> Array | None:
    return None if items is None else names(items)


def search(wire: Wire, query: SearchQuery) -> list[SearchRow]:
    """Return found events by (bucket, session id, seq)."""
    if not query.terms or query.limit < 1:
        return []
    rows: list[SearchRow] = []
    if query.after is None or query.after[0] == PHRASE_BUCKET:
        rows = _bucket(wire, query, PHRASE_BUCKET, query.limit)
    if len(rows) < query.limit and len(query.terms) > 1:
        rows += _bucket(wire, query, APART_BUCKET, query.limit - len(rows))
    return rows


def _bucket(wire: Wire, query: SearchQuery, bucket: int, limit: int) -> list[SearchRow]:
    values: list[Any] = [query.tenant, hashes(query.tenant, query.terms)]
    conditions = ["r.tenant = $1", "r.hashes @> $2", "NOT s.dead"]

    def add(condition: str, value: Any) -> None:
        values.append(value)
        conditions.append(condition.format(f"${len(values)}"))

    if len(query.terms) > 1:
        add("strpos(r.terms, {0}) " + ("> 0" if bucket == PHRASE_BUCKET else "= 0"), f" {' '.join(query.terms)} ")
    for column in ("owner", "agent", "session_id"):
        value = getattr(query, column)
        if value is not None:
            add(f"s.{column} = {{0}}", value)
    if query.viewer is not None:
        add("(r.visible_to IS NULL OR {0} = ANY(r.visible_to))", query.viewer)
        add("(r.hidden_from IS NULL OR {0} <> ALL(r.hidden_from))", query.viewer)
    if query.after is not None and query.after[0] == bucket:
        add("r.session_id >= {0}", query.after[1])
        add(f"(r.session_id > ${len(values)} OR r.seq > {{0}})", query.after[2])
    values.append(limit)
    sql = (
        "SELECT r.session_id, r.seq FROM search_row r JOIN session s ON s.tenant = r.tenant AND s.session_id = r.session_id AND s.gen = r.gen "
        f"WHERE {' AND '.join(conditions)} ORDER BY r.session_id, r.seq LIMIT ${len(values)}"
    )
    return [SearchRow(original(row[0]), row[1], bucket) for row in wire.read(query.tenant, [(sql, values)])[0]]
