"""Session lists, newest first: sorted sets of entries that are at most a grain behind, and the heads that make them exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from turnfold.core.fold import info_fields
from turnfold.core.paging import check_list_limit, list_cursor, parse_list_cursor
from turnfold.model.query import SessionQuery
from turnfold.model.session import SessionInfo, SessionKey
from turnfold.stores.redis.claims import is_stale, list_member
from turnfold.stores.redis.keys import H, M
from turnfold.stores.redis.links import command
from turnfold.stores.redis.reading import entries_of
from turnfold.stores.redis.rows import HeadRow, decode_head
from turnfold.stores.redis.scripts import LIST_GRAIN_US
from turnfold.stores.redis.writing import Room

CHUNK_MIN: Final = 64
CHUNK_MAX: Final = 2_000
Place = tuple[int, str]


def list_sessions(room: Room, query: SessionQuery, now_us: int) -> tuple[list[SessionInfo], str | None]:
    """Return a page of a list and the cursor of the next one.

    An entry's place is at most ``LIST_GRAIN_US`` before its session's. So once more sessions are found than asked for, all of them more than a
    grain ahead of the last entry seen, no entry behind it can come before them.
    """
    check_list_limit(query.limit)
    below = parse_list_cursor(query.cursor)
    found: dict[str, tuple[Place, HeadRow]] = {}
    for seen_us, heads in _walk(room, query, None if below is None else below[0], now_us):
        for session_id, head in heads:
            place = (head.updated_at_us, session_id)
            if (below is None or place < below) and _may_match(query, session_id, head, now_us):
                found[session_id] = (place, head)
        if len(found) > query.limit:
            found = _matching(room, query, found)
            places = sorted((place for place, _ in found.values()), reverse=True)
            if len(places) > query.limit and places[query.limit][0] > seen_us + LIST_GRAIN_US:
                break
    found = _matching(room, query, found)
    newest = sorted(found.items(), key=lambda item: item[1][0], reverse=True)
    page = newest[: query.limit]
    infos = _infos(room, query.tenant, [(session_id, head) for session_id, (_, head) in page], now_us)
    return infos, list_cursor(*page[-1][1][0]) if len(newest) > query.limit else None


def session_ids(room: Room, tenant: str, kind: str, owner: str | None, agent: str | None) -> Iterator[list[str]]:
    """Yield the ids in a list, each at least once, in chunks; some of sessions that are not there any more."""
    name = room.names.listing(tenant, kind, owner, agent)
    cursor = b"0"
    while True:
        cursor, flat = room.links.one(command(b"ZSCAN", name, cursor, b"COUNT", b"%d" % CHUNK_MAX))
        yield [list_member(member)[2] for member in flat[::2]]
        if cursor == b"0":
            return


def _walk(room: Room, query: SessionQuery, from_us: int | None, now_us: int) -> Iterator[tuple[int, list[tuple[str, HeadRow]]]]:
    """Yield, downwards, the place of the last entry seen and the sessions that confirm theirs; remove entries that none ever will."""
    name = room.names.listing(query.tenant, query.kind, query.owner, query.agent)
    start = b"+inf" if from_us is None else b"%d" % from_us
    offset, size = 0, max(CHUNK_MIN, query.limit + 1)
    while True:
        flat = room.links.one(
            command(b"ZRANGE", name, start, b"-inf", b"BYSCORE", b"REV", b"LIMIT", b"%d" % offset, b"%d" % size, b"WITHSCORES")
        )
        entries = [(list_member(member), int(float(score))) for member, score in zip(flat[::2], flat[1::2], strict=True)]
        keys = [SessionKey(query.tenant, session_id) for (_, _, session_id), _ in entries]
        heads = room.links.all([command(b"GET", room.names.one(key, H)) for key in keys])
        confirmed: list[tuple[str, HeadRow]] = []
        dead: list[bytes] = []
        for ((claim, incarnation, session_id), at_us), raw, member in zip(entries, heads, flat[::2], strict=True):
            head = None if raw is None else decode_head(raw)
            if head is not None and (head.incarnation, head.listed_at_us, head.listed_claim) == (incarnation, at_us, claim):
                confirmed.append((session_id, head))
            elif is_stale(claim, now_us):
                dead.append(member)
        if dead:
            room.links.one(command(b"ZREM", name, *dead))
            offset -= len(dead)
        if entries:
            yield entries[-1][1], confirmed
        if len(entries) < size:
            return
        offset += size
        size = min(2 * size, CHUNK_MAX)


def _may_match(query: SessionQuery, session_id: str, head: HeadRow, now_us: int) -> bool:
    """Whether a list holds a session, as far as its head alone says."""
    if query.id_prefix is not None and not session_id.startswith(query.id_prefix):
        return False
    return query.status is None or head.info_fields(now_us)["status"] == query.status


def _matching(room: Room, query: SessionQuery, found: dict[str, tuple[Place, HeadRow]]) -> dict[str, tuple[Place, HeadRow]]:
    """Leave out what tags and parent exclude."""
    if not query.tags and query.parent_id is None:
        return found
    infos = _entry_fields(room, query.tenant, list(found))
    out: dict[str, tuple[Place, HeadRow]] = {}
    for (session_id, item), fields in zip(found.items(), infos, strict=True):
        parent = fields.get("parent") or {}
        if set(query.tags) <= set(fields["tags"]) and (query.parent_id is None or parent.get("session_id") == query.parent_id):
            out[session_id] = item
    return out


def _entry_fields(room: Room, tenant: str, ids: list[str]) -> list[dict[str, Any]]:
    answers = room.links.all([command(b"HGETALL", room.names.one(SessionKey(tenant, session_id), M)) for session_id in ids])
    return [info_fields(entries_of(flat)) for flat in answers]


def _infos(room: Room, tenant: str, rows: list[tuple[str, HeadRow]], now_us: int) -> list[SessionInfo]:
    fields = _entry_fields(room, tenant, [session_id for session_id, _ in rows])
    return [
        SessionInfo(id=session_id, tenant=tenant, incarnation=head.incarnation, **head.info_fields(now_us), **more)
        for (session_id, head), more in zip(rows, fields, strict=True)
    ]
