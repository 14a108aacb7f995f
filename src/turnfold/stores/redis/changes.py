"""Followers: which sessions have moved past a follower's cursor, out of one sorted set for the whole store.

Theory of operation. ``changed`` holds every session with the time at which it was last marked as changing. A session may change for
``REDIS_MARK_GRAIN_S`` without being marked anew. So a session whose mark is older than that, and that a follower has seen to its end, cannot
change before it is marked again, with a later time: a follower may then forget it. Each follower keeps a watermark; sessions marked before it
are either followed to their end or in the follower's own set of late ones. Both only save work: what a watermark would say too low is looked
at again. Marks never go down (``mark.lua``): while a clock that was turned back has not caught up, all sessions that change have the highest
mark there is, and are looked at each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from turnfold.model.query import ChangedSession
from turnfold.model.session import SessionKey
from turnfold.stores.redis.keys import C, H, unpack_session
from turnfold.stores.redis.links import Call, command
from turnfold.stores.redis.rows import decode_head
from turnfold.stores.redis.scripts import MARK_GRAIN_US, STALE_US
from turnfold.stores.redis.writing import Room

CHUNK: Final = 500
SETTLED_US: Final = MARK_GRAIN_US + STALE_US


class _Seen(NamedTuple):
    member: bytes
    score: bytes
    changed: ChangedSession | None
    is_there: bool


def changed_sessions(room: Room, follower: str, limit: int, now_us: int) -> list[ChangedSession]:
    """Return up to ``limit`` sessions whose last seq is past the follower's."""
    late, mark = room.names.follower(follower)
    found: dict[SessionKey, ChangedSession] = {}
    start = room.links.one(command(b"GET", mark)) or b"-inf"
    through = start
    calls: list[Call] = []
    for seen in _walk(room, follower, room.names.changed, start):
        if len(found) >= limit:
            break
        if seen.changed is not None:
            found[seen.changed.key] = seen.changed
        if int(float(seen.score)) >= now_us - SETTLED_US:
            continue
        if not seen.is_there:
            calls.append(room.scripts.unmark.call([room.names.changed], seen.member, seen.score))
        elif seen.changed is not None:
            calls.append(command(b"ZADD", late, seen.score, seen.member))
        through = seen.score
    if through != start:
        calls.append(command(b"SET", mark, through))
    for seen in _walk(room, follower, late, b"-inf"):
        if len(found) >= limit:
            break
        if seen.changed is not None:
            found.setdefault(seen.changed.key, seen.changed)
        else:
            calls.append(room.scripts.unmark.call([late], seen.member, seen.score))
    room.links.all(calls)
    return list(found.values())


def _walk(room: Room, follower: str, name: bytes, start: bytes) -> Iterator[_Seen]:
    """Yield the sessions of a set upwards from a score."""
    offset = 0
    while True:
        words = (b"ZRANGE", name, start, b"+inf", b"BYSCORE", b"LIMIT", b"%d" % offset, b"%d" % CHUNK, b"WITHSCORES")
        flat = room.links.one(command(*words))
        members = [(member, score, unpack_session(member)) for member, score in zip(flat[::2], flat[1::2], strict=True)]
        calls = [
            call
            for _, _, key in members
            for call in (command(b"GET", room.names.one(key, H)), command(b"HGET", room.names.one(key, C), follower.encode()))
        ]
        answers = room.links.all(calls)
        for at, (member, score, key) in enumerate(members):
            raw, cursor = answers[2 * at], int(answers[2 * at + 1] or 0)
            head = None if raw is None else decode_head(raw)
            is_late = head is not None and cursor < head.last_seq
            changed = ChangedSession(key, head.incarnation, cursor, head.last_seq) if head is not None and is_late else None
            yield _Seen(member, score, changed, head is not None)
        if len(members) < CHUNK:
            return
        offset += CHUNK
