"""Search out of the rows that the search follower keeps with each session: the posting lists of the terms, then the rows that hold all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from turnfold.core.filtering import sees
from turnfold.core.search import PHRASE_BUCKET, bucket_of
from turnfold.model.query import IndexRow, SearchQuery, SearchRow
from turnfold.model.session import SessionKey
from turnfold.stores.redis.deciding import ARGUMENTS_MAX, Command, decode_range
from turnfold.stores.redis.index import decode_index_row, derived_rows, encode_index_row, pack_seqs, term_field, term_fields, unpack_seqs
from turnfold.stores.redis.keys import C, E, G, H, P, X, Y
from turnfold.stores.redis.links import command
from turnfold.stores.redis.listing import session_ids
from turnfold.stores.redis.rows import decode_head, events_of
from turnfold.stores.redis.writing import Room

KINDS: Final = ("session", "scope")
ADVANCES_MAX: Final = 16
"""How often the follower's rows are drafted again because something was erased meanwhile."""


def search(room: Room, query: SearchQuery) -> list[SearchRow]:
    """Return found events in order."""
    if not query.terms:
        return []
    rows = sorted(_found(room, query), key=_rank)
    return [row for row in rows if query.after is None or _rank(row) > query.after][: query.limit]


def _rank(row: SearchRow) -> tuple[int, str, int]:
    return row.bucket, row.session_id, row.seq


def _found(room: Room, query: SearchQuery) -> Iterator[SearchRow]:
    fields = [term_field(term) for term in dict.fromkeys(query.terms)]
    seen: set[str] = set()
    for ids in _scope(room, query):
        keys = [SessionKey(query.tenant, session_id) for session_id in dict.fromkeys(ids) if session_id not in seen]
        seen.update(key.session_id for key in keys)
        calls = [
            call for key in keys for call in (command(b"GET", room.names.one(key, H)), command(b"HMGET", room.names.one(key, Y), *fields))
        ]
        answers = room.links.all(calls)
        hits: list[tuple[SessionKey, list[int]]] = []
        for at, key in enumerate(keys):
            raw, lists = answers[2 * at], answers[2 * at + 1]
            if raw is None or None in lists:
                continue
            head = decode_head(raw)
            if (query.owner is None or head.owner == query.owner) and (query.agent is None or head.agent == query.agent):
                first, *others = map(unpack_seqs, lists)
                hits.append((key, sorted(set(first).intersection(*others))))
        yield from _ranked(room, query, [hit for hit in hits if hit[1]])


def _scope(room: Room, query: SearchQuery) -> Iterator[list[str]]:
    if query.session_id is not None:
        yield [query.session_id]
        return
    for kind in KINDS:
        yield from session_ids(room, query.tenant, kind, query.owner, query.agent)


def _ranked(room: Room, query: SearchQuery, hits: list[tuple[SessionKey, list[int]]]) -> Iterator[SearchRow]:
    """Yield the hits with their bucket; one term that anybody may see needs no look at the rows."""
    if len(set(query.terms)) == 1 == len(query.terms) and query.viewer is None:
        for key, seqs in hits:
            yield from (SearchRow(key.session_id, seq, PHRASE_BUCKET) for seq in seqs)
        return
    chunks = [(key, seqs[at : at + ARGUMENTS_MAX]) for key, seqs in hits for at in range(0, len(seqs), ARGUMENTS_MAX)]
    answers = room.links.all([command(b"HMGET", room.names.one(key, X), *(b"%d" % seq for seq in seqs)) for key, seqs in chunks])
    for (key, seqs), raws in zip(chunks, answers, strict=True):
        derived = _derived(room, key, [seq for seq, raw in zip(seqs, raws, strict=True) if raw is None])
        for seq, raw in zip(seqs, raws, strict=True):
            row = derived.get(seq) if raw is None else decode_index_row(raw)
            if row is not None and sees(query.viewer, row.visible_to, row.hidden_from):
                bucket = bucket_of(query.terms, row.terms.split())
                if bucket is not None:
                    yield SearchRow(key.session_id, seq, bucket)


def _derived(room: Room, key: SessionKey, seqs: Sequence[int]) -> dict[int, IndexRow]:
    """Make the rows of events whose terms are not kept a second time, out of the events."""
    name = room.names.one(key, E)
    answers = room.links.all([command(b"LRANGE", name, b"%d" % (seq - 1), b"%d" % (seq - 1)) for seq in seqs])
    events = (event for seq, found in zip(seqs, answers, strict=True) for event in events_of(b"".join(found), seq))
    return derived_rows(events)


class Advance(NamedTuple):
    """A cursor's move in one session, and the rows that come with it."""

    follower: str
    key: SessionKey
    incarnation: str
    from_seq: int
    to_seq: int
    rows: Sequence[IndexRow]


def advance(room: Room, move: Advance) -> bool:
    """Move a cursor and keep the rows, if the cursor stands at ``from_seq`` and the session lives."""
    follower, key, incarnation, from_seq, to_seq, rows = move
    terms = term_fields(rows)
    fields = list(terms)
    for _ in range(ADVANCES_MAX):
        reads: list[Command] = [["HGET", P, "inc"], ["HGET", C, follower], ["HGET", P, "erased"]]
        chunks: list[list[bytes]] = []
        if rows:
            reads.append(["HVALS", G])
            chunks = [fields[at : at + ARGUMENTS_MAX] for at in range(0, len(fields), ARGUMENTS_MAX)]
            marks = [rows[at : at + ARGUMENTS_MAX] for at in range(0, len(rows), ARGUMENTS_MAX)]
            reads += (["HMGET", Y, *chunk] for chunk in chunks)
            reads += (["HMGET", P, *(f"d:{row.seq}" for row in chunk)] for chunk in marks)
        _, (living, cursor, erased, *more) = room.read(key, *reads)
        if living is None or living.decode() != incarnation or int(cursor or 0) != from_seq:
            return False
        conditions: list[Command] = [
            ["HGET", P, "inc", living],
            ["HGET", C, follower, False if cursor is None else cursor],
            ["HGET", P, "erased", False if erased is None else erased],
        ]
        commands: list[Command] = [["HSET", C, follower, to_seq]]
        if rows:
            kept = dict(zip(fields, (raw for chunk in more[1 : 1 + len(chunks)] for raw in chunk), strict=True))
            gone = [mark is not None for chunk in more[1 + len(chunks) :] for mark in chunk]
            commands += _row_commands(rows, gone, more[0], terms, kept)
        if room.apply(key, conditions, commands, tells=False):
            return True
    return False


def _row_commands(
    rows: Sequence[IndexRow], redacted: list[bool], ranges: list[bytes], terms: dict[bytes, list[int]], kept: dict[bytes, bytes | None]
) -> Iterator[Command]:
    """Yield what writes the rows, but for those of events that were erased since the follower read them."""
    pruned = [decode_range(raw) for raw in ranges]
    gone = {row.seq for row, is_gone in zip(rows, redacted, strict=True) if is_gone}
    gone.update(row.seq for row in rows if any(item.first_seq <= row.seq <= item.last_seq for item in pruned))
    kept_rows = (row for row in rows if row.seq not in gone and not row.derived)
    flat: list[object] = [word for row in kept_rows for word in (row.seq, encode_index_row(row))]
    yield from (["HSET", X, *flat[at : at + ARGUMENTS_MAX]] for at in range(0, len(flat), ARGUMENTS_MAX))
    lists: list[object] = []
    for field, seqs in terms.items():
        new = pack_seqs(seq for seq in seqs if seq not in gone)
        if new:
            lists += (field, (kept[field] or b"") + new)
    yield from (["HSET", Y, *lists[at : at + ARGUMENTS_MAX]] for at in range(0, len(lists), ARGUMENTS_MAX))
