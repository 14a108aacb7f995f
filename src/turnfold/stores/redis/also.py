"""Commits to several logs: the session's own commit first; it carries those to the other logs until they are done.

Theory of operation. A packed copy of the other commits goes into the session's keys with its commit, all or nothing. Before that, the session is
noted in the store's set of such sessions. Whoever finds it there, some time later, does what is still to be done: commits are recognised by
their events' ids, so that doing one twice is doing it once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from turnfold.errors import InvalidInput, TurnfoldError
from turnfold.ids import new_id
from turnfold.model.commit import Commit, Committed
from turnfold.model.session import SessionKey
from turnfold.stores.redis.keys import A
from turnfold.stores.redis.links import command
from turnfold.stores.redis.scripts import STALE_US
from turnfold.stores.redis.writing import Room

SETTLE_AFTER_US: Final = 5_000_000
"""What is younger is most likely still being done by its own writer."""
SETTLED_TOGETHER_MAX: Final = 100


class Carried(msgspec.Struct, frozen=True, array_like=True):
    """Commits that a session carries."""

    id: str
    commits: tuple[Commit, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Carried).decode
_decode_member = msgspec.msgpack.Decoder(tuple[str, str, str]).decode
Write = Callable[[Commit], Committed]


def check_also(commit: Commit) -> None:
    """Raise InvalidInput unless the commits go to different logs, and those in ``also`` carry none."""
    if len({item.key for item in (commit, *commit.also)}) != len(commit.also) + 1:
        raise InvalidInput("the commits of one transaction go to different logs")
    if any(item.also for item in commit.also):
        raise InvalidInput("a commit in also has no also of its own")


class Also:
    """Does what commits carry."""

    def __init__(self, room: Room, write: Write) -> None:
        """Bind the calls, and what writes one commit."""
        self._room = room
        self._write = write

    def commit(self, commit: Commit, write: Callable[[Commit, bytes], Committed], now_us: int) -> Committed:
        """Write a commit, then those that it carries."""
        check_also(commit)
        carried = Carried(new_id(), commit.also)
        packed = _encode(carried)
        member = _encode((*commit.key, carried.id))
        self._room.links.one(command(b"ZADD", self._room.names.also, b"%d" % now_us, member))
        try:
            done = write(msgspec.structs.replace(commit, also=()), packed)
        except TurnfoldError as error:
            if not error.retryable:  # nothing was written; where that is not known, the note stays and is found in vain
                self._forget(member)
            raise
        self._finish(commit.key, packed, carried.commits)
        self._forget(member)
        return done

    def settle(self, now_us: int) -> None:
        """Do what others left undone some time ago."""
        words = (b"ZRANGE", self._room.names.also, b"-inf", b"%d" % (now_us - SETTLE_AFTER_US), b"BYSCORE", b"LIMIT", b"0")
        flat = self._room.links.one(command(*words, b"%d" % SETTLED_TOGETHER_MAX, b"WITHSCORES"))
        for member, score in zip(flat[::2], flat[1::2], strict=True):
            tenant, session_id, carried_id = _decode_member(member)
            key = SessionKey(tenant, session_id)
            if self.settle_session(key, carried_id) or now_us - int(float(score)) > STALE_US:
                self._forget(member)

    def settle_session(self, key: SessionKey, carried_id: str | None = None) -> bool:
        """Do what one session carries (or that part of it); whether there was any."""
        found = self._room.links.one(command(b"LRANGE", self._room.names.one(key, A), b"0", b"-1"))
        any_done = False
        for packed in found:
            carried = _decode(packed)
            if carried_id is None or carried.id == carried_id:
                any_done = True
                try:
                    self._finish(key, packed, carried.commits)
                except TurnfoldError as error:
                    if error.retryable:
                        raise  # refused for good otherwise, which its own writer was told
        return any_done

    def _finish(self, key: SessionKey, packed: bytes, commits: Iterable[Commit]) -> None:
        """Do carried commits, and take them off their session; one that is refused for good is dropped and its error raised at the end."""
        failure: TurnfoldError | None = None
        for item in commits:
            try:
                self._write(item)
            except TurnfoldError as error:
                if error.retryable:
                    raise
                failure = error
        self._room.links.one(command(b"LREM", self._room.names.one(key, A), b"1", packed))
        if failure is not None:
            raise failure

    def _forget(self, member: bytes) -> None:
        self._room.links.one(command(b"ZREM", self._room.names.also, member))
