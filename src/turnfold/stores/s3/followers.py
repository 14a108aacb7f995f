"""Cursors of followers, and the index rows that the search follower's cursors refer to.

Theory of operation. A cursor is an object per follower and session, moved on condition. Index rows are immutable chunks beside the session's
data; the cursor of the follower ``search`` names them, so that cursor and rows move with one write. A search asks for the cursors by a LIST,
reads the chunks that it does not have, and shows only hits that the session's manifest still bears out: what is deleted, redacted or pruned is
never found, whatever the index still says. A redaction then takes its rows out of the chunks too, and moves the cursor object even where it
had none, so that a follower which read the text before meets a conflict and reads again.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from turnfold.core.filtering import sees
from turnfold.core.search import bucket_of
from turnfold.errors import StoreCorrupt
from turnfold.limits import OBJECT_SEGMENT_BYTES_MAX, OBJECT_TAIL_BYTES_MAX
from turnfold.model.query import ChangedSession, IndexRow, SearchQuery, SearchRow
from turnfold.model.session import SessionKey
from turnfold.objectstorage import Found, Tag
from turnfold.stores.s3 import names
from turnfold.stores.s3.catalog import Catalog
from turnfold.stores.s3.house import House
from turnfold.stores.s3.listed import Folder
from turnfold.stores.s3.manifest import pack
from turnfold.stores.s3.state import State

SEARCH: Final = "search"


class Chunk(msgspec.Struct, array_like=True, frozen=True):
    """An object with index rows: its name, the seqs between which they lie, their size before compression."""

    name: str
    first_seq: int
    last_seq: int
    raw_bytes: int


class Cursor(msgspec.Struct, array_like=True, frozen=True):
    """How far a follower is in a session."""

    token: str
    tenant: str
    session_id: str
    incarnation: str
    seq: int
    owner: str | None = None
    agent: str = ""
    chunks: tuple[Chunk, ...] = ()
    gone_count: int = 0
    """What the session's was when rows of events that were redacted or pruned were last left out."""


_decode_cursor = msgspec.msgpack.Decoder(Cursor).decode
_decode_rows = msgspec.msgpack.Decoder(list[IndexRow]).decode
_replace = msgspec.structs.replace


def _cursor_of(found: Found, key: str) -> Cursor:
    try:
        return _decode_cursor(found.body)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"{key} is no cursor: {error}", key=key) from error


class Followers:
    """All followers of a store."""

    def __init__(self, house: House, catalog: Catalog) -> None:
        """Wire it."""
        self._house = house
        self._catalog = catalog
        self._folders: dict[str, Folder[Cursor]] = {}

    # ---- cursors ---------------------------------------------------------------------------------------------------------------------
    def seq(self, follower: str, key: SessionKey) -> int:
        """How far a follower is in the living incarnation of a session."""
        state = self._house.session(key).living()
        if state is None:
            return 0
        cursor, _ = self._cursor(follower, key)
        return cursor.seq if cursor is not None and cursor.incarnation == state.incarnation else 0

    def changed(self, follower: str, limit: int) -> list[ChangedSession]:
        """Sessions whose last seq is past that follower's."""
        cursors = {(cursor.tenant, cursor.session_id): cursor for cursor in self._folder(follower).values().values()}
        found: list[ChangedSession] = []
        for info in self._catalog.infos():
            cursor = cursors.get((info.tenant, info.id))
            seq = cursor.seq if cursor is not None and cursor.incarnation == info.incarnation else 0
            if seq < info.last_seq:
                found.append(ChangedSession(SessionKey(info.tenant, info.id), info.incarnation, seq, info.last_seq))
                if len(found) >= limit:
                    break
        return found

    def advance(self, follower: str, key: SessionKey, incarnation: str, seqs: tuple[int, int], rows: Sequence[IndexRow]) -> bool:
        """Move a cursor from one seq to another and keep its rows; False where it was elsewhere, or that incarnation is gone."""
        from_seq, to_seq = seqs

        def moved(cursor: Cursor, state: State) -> Cursor | None:
            if cursor.seq != from_seq:
                return None
            kept = [row for row in rows if not state.is_gone(row.seq)] if follower == SEARCH else []
            chunks = self._with_rows(key, cursor, kept) if kept else cursor.chunks
            return _replace(cursor, seq=to_seq, chunks=chunks)

        return self._move(follower, key, incarnation, moved)

    def _move(self, follower: str, key: SessionKey, incarnation: str, moved: Callable[[Cursor, State], Cursor | None]) -> bool:
        """Write a cursor anew on condition, again where others come first; False where that is not wanted."""
        name = names.cursor(follower, key)
        while True:
            state = self._house.session(key).living()
            if state is None or state.incarnation != incarnation:
                return False
            cursor, tag = self._cursor(follower, key)
            if cursor is None or cursor.incarnation != incarnation:
                cursor = Cursor("", key.tenant, key.session_id, incarnation, 0, state.fixed.owner, state.fixed.agent)
                cursor = _replace(cursor, gone_count=state.fixed.gone_count)
            changed = moved(cursor, state)
            if changed is None:
                return False
            token = secrets.token_hex(8)
            answer = self._house.bucket.replace(
                name,
                pack(_replace(changed, token=token)),
                expected=tag,
                is_mine=lambda body, token=token: _decode_cursor(body).token == token,  # type: ignore[misc]
            )
            if isinstance(answer, Tag):
                gone = [chunk.name for chunk in cursor.chunks if chunk not in changed.chunks]
                self._house.bucket.delete([names.data(key, incarnation, one) for one in gone])
                return True

    def _cursor(self, follower: str, key: SessionKey) -> tuple[Cursor | None, Tag | None]:
        name = names.cursor(follower, key)
        found = self._house.bucket.get(name)
        return (None, None) if found is None else (_cursor_of(found, name), found.tag)

    def forget(self, key: SessionKey) -> None:
        """Remove the cursors of a session that is gone."""
        self._house.bucket.delete([names.cursor(follower, key) for follower in self._house.bucket.folders(names.FOLLOWERS)])

    def _folder(self, follower: str) -> Folder[Cursor]:
        found = self._folders.get(follower)
        if found is None:
            name = names.cursors(follower)
            cache = f"{names.CACHES}f/{names.safe(follower)}"
            found = self._folders.setdefault(follower, Folder(self._house, name, cache, Cursor, _cursor_of))
        return found

    # ---- index rows ------------------------------------------------------------------------------------------------------------------
    def _with_rows(self, key: SessionKey, cursor: Cursor, rows: list[IndexRow]) -> tuple[Chunk, ...]:
        """The chunks of a cursor with further rows: in a chunk of their own, or with the last ones where those are small."""
        kept = list(cursor.chunks)
        size = _size(rows)
        while kept and kept[-1].raw_bytes <= max(size, OBJECT_TAIL_BYTES_MAX) and size + kept[-1].raw_bytes <= OBJECT_SEGMENT_BYTES_MAX:
            size += kept[-1].raw_bytes
            rows = self._rows(key, cursor.incarnation, kept.pop()) + rows
        return (*kept, self._write(key, cursor.incarnation, rows))

    def _write(self, key: SessionKey, incarnation: str, rows: list[IndexRow]) -> Chunk:
        chunk = Chunk(f"i-{secrets.token_hex(8)}", rows[0].seq, rows[-1].seq, _size(rows))
        name = names.data(key, incarnation, chunk.name)
        self._house.bucket.put(name, zlib.compress(pack(rows), 1))
        self._house.segments.cache.put(name, rows, chunk.raw_bytes)
        return chunk

    def _rows(self, key: SessionKey, incarnation: str, chunk: Chunk) -> list[IndexRow]:
        """The rows of a chunk; none where it is gone, because then a newer cursor names another one."""
        name = names.data(key, incarnation, chunk.name)
        rows = self._house.segments.cache.get(name)
        if not isinstance(rows, list):
            found = self._house.bucket.get(name)
            if found is None:
                return []
            try:
                rows = _decode_rows(zlib.decompress(found.body))
            except (zlib.error, msgspec.MsgspecError) as error:
                raise StoreCorrupt(f"{name} is damaged: {error}", key=name) from error
            self._house.segments.cache.put(name, rows, chunk.raw_bytes)
        return rows

    def _rows_at(self, place: tuple[Cursor, Chunk]) -> list[IndexRow]:
        cursor, chunk = place
        return self._rows(SessionKey(cursor.tenant, cursor.session_id), cursor.incarnation, chunk)

    def erase(self, key: SessionKey, incarnation: str) -> None:
        """Take the rows of redacted and pruned events out of the index; the cursor object is written in any case."""

        def without(cursor: Cursor, state: State) -> Cursor:
            chunks: list[Chunk] = []
            for chunk in cursor.chunks:
                rows = self._rows(key, incarnation, chunk)
                kept = [row for row in rows if not state.is_gone(row.seq)]
                if len(kept) == len(rows):
                    chunks.append(chunk)
                elif kept:
                    chunks.append(self._write(key, incarnation, kept))
            return _replace(cursor, chunks=tuple(chunks), gone_count=state.fixed.gone_count)

        self._move(SEARCH, key, incarnation, without)

    def index_cursors(self) -> dict[tuple[SessionKey, str], Cursor]:
        """The search follower's cursors by session and incarnation."""
        cursors = self._folder(SEARCH).values().values()
        return {(SessionKey(cursor.tenant, cursor.session_id), cursor.incarnation): cursor for cursor in cursors}

    # ---- search ----------------------------------------------------------------------------------------------------------------------
    def search(self, query: SearchQuery) -> list[SearchRow]:
        """The events that a query finds."""
        if not query.terms or query.limit < 1:
            return []
        cursors = [cursor for cursor in self._folder(SEARCH).values().values() if _is_searched(cursor, query)]
        hits = sorted(self._hits(query, cursors), key=_rank)
        found: list[SearchRow] = []
        states: dict[str, State | None] = {}
        incarnations = {cursor.session_id: cursor.incarnation for cursor in cursors}
        for hit in hits:
            if hit.session_id not in states:
                states[hit.session_id] = self._house.session(SessionKey(query.tenant, hit.session_id)).living()
            state = states[hit.session_id]
            if state is None or state.incarnation != incarnations[hit.session_id]:
                continue
            if not state.is_gone(hit.seq):
                found.append(hit)
                if len(found) == query.limit:
                    break
        return found

    def _hits(self, query: SearchQuery, cursors: Iterable[Cursor]) -> Iterator[SearchRow]:
        places = [(cursor, chunk) for cursor in cursors for chunk in cursor.chunks]
        read = self._house.parallel(self._rows_at, places)
        for (cursor, _), rows in zip(places, read, strict=True):
            for row in rows:
                if sees(query.viewer, row.visible_to, row.hidden_from) and all(term in row.terms for term in query.terms):
                    bucket = bucket_of(query.terms, row.terms.split())
                    hit = None if bucket is None else SearchRow(cursor.session_id, row.seq, bucket)
                    if hit is not None and (query.after is None or _rank(hit) > query.after):
                        yield hit


def _size(rows: Sequence[IndexRow]) -> int:
    return sum(len(row.terms) for row in rows) + 16 * len(rows)


def _is_searched(cursor: Cursor, query: SearchQuery) -> bool:
    return (
        cursor.tenant == query.tenant
        and (query.owner is None or cursor.owner == query.owner)
        and (query.agent is None or cursor.agent == query.agent)
        and (query.session_id is None or cursor.session_id == query.session_id)
    )


def _rank(row: SearchRow) -> tuple[int, str, int]:
    return row.bucket, row.session_id, row.seq
