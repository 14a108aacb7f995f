"""What spans sessions lives in keys of other slots. It is written before the commit that needs it, so that it can be too much, never too little.

Theory of operation. A session's own keys are the truth. Beside them there are lists (by tenant, owner, agent), the set of sessions that change,
and the owner's reservations. A commit relies on such *claims*: entries that say "this session may be here", written first, with the time. The
commit's script takes claims not older than ``REDIS_CLAIM_S``; whoever finds a claim that no session confirms and that is twice as old may
remove it, because no commit can rely on it any more. A process that dies in between leaves a claim that readers skip, and nothing else.

A list entry is confirmed when the head names exactly its place and its claim's time. A session moves to a new place only when an event is
``REDIS_LIST_GRAIN_S`` ahead of the old one, so nearly every append needs no claim; lists read past the page by that grain and sort.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from turnfold.core.checks import check_owner_sessions, effective_status
from turnfold.core.lifecycle import OPEN
from turnfold.model.commit import Genesis
from turnfold.model.session import SessionKey
from turnfold.stores.redis.keys import H, Names, T, pack_session
from turnfold.stores.redis.links import Call, Links, command
from turnfold.stores.redis.rows import HeadRow, decode_head
from turnfold.stores.redis.scripts import STALE_US, Scripts

_encode = msgspec.msgpack.Encoder().encode
_decode_member = msgspec.msgpack.Decoder(tuple[str, str, str]).decode
_decode_field = msgspec.msgpack.Decoder(tuple[str, str]).decode
_decode_fence = msgspec.msgpack.Decoder(tuple[int, str]).decode


class Listed(NamedTuple):
    """A session's entry in the lists."""

    key: SessionKey
    kind: str
    owner: str | None
    agent: str
    incarnation: str
    at_us: int
    claim: str

    def member(self) -> bytes:
        """The entry itself; its score is the place."""
        return _encode((self.claim, self.incarnation, self.key.session_id))


def new_claim(now_us: int) -> str:
    """Return the name of a claim: when it was written, and what no other has."""
    return f"{now_us:x}-{os.urandom(6).hex()}"


def is_stale(claim: str, now_us: int) -> bool:
    """Whether a claim is so old that no commit can rely on it any more."""
    return now_us - int(claim.partition("-")[0], 16) > STALE_US


def list_member(member: bytes) -> tuple[str, str, str]:
    """Return claim, incarnation and session id of a list's entry."""
    return _decode_member(member)


def tombstone(fence: int, incarnation: str) -> bytes:
    """Return what stays of a deleted session."""
    return _encode((fence, incarnation))


def last_fence(raw: bytes | None) -> int:
    """The last fence that a deleted session gave out."""
    return 0 if raw is None else _decode_fence(raw)[0]


def listed_of(key: SessionKey, head: HeadRow) -> Listed:
    """The entry that a head confirms."""
    return Listed(key, head.kind, head.owner or None, head.agent, head.incarnation, head.listed_at_us, head.listed_claim)


class Claims:
    """Writes claims and takes them back."""

    def __init__(self, links: Links, names: Names, scripts: Scripts) -> None:
        """Bind where they are written."""
        self._links = links
        self._names = names
        self._scripts = scripts

    def write(self, listed: Listed, now_us: int) -> None:
        """Write a session's list entries and mark it as changing."""
        member = listed.member()
        score = b"%d" % listed.at_us
        calls = [command(b"ZADD", name, score, member) for name in self._lists(listed)]
        self._links.all([*calls, self._mark(listed.key, now_us)])

    def mark(self, key: SessionKey, now_us: int) -> None:
        """Mark a session as changing; its list entries stay."""
        self._links.one(self._mark(key, now_us))

    def _mark(self, key: SessionKey, now_us: int) -> Call:
        return self._scripts.mark.call([self._names.changed], b"%d" % now_us, pack_session(key))

    def take_back(self, listed: Listed) -> None:
        """Remove list entries that nothing confirms any more."""
        member = listed.member()
        self._links.all([command(b"ZREM", name, member) for name in self._lists(listed)])

    def withdraw(self, listed: Listed) -> None:
        """Take back the claims of a commit that says it was not written, unless it was: its first answer may have been lost."""
        raw = self._links.one(command(b"GET", self._names.one(listed.key, H)))
        head = None if raw is None else decode_head(raw)
        if head is None or listed_of(listed.key, head) != listed:
            self.take_back(listed)
        if listed.kind == "session" and (head is None or head.incarnation != listed.incarnation):
            self.release(listed.key, listed.incarnation, listed.owner)

    def _lists(self, listed: Listed) -> Iterator[bytes]:
        tenant, kind, owner, agent = listed.key.tenant, listed.kind, listed.owner, listed.agent
        yield self._names.listing(tenant, kind)
        yield self._names.listing(tenant, kind, None, agent)
        if owner is not None:
            yield self._names.listing(tenant, kind, owner)
            yield self._names.listing(tenant, kind, owner, agent)

    # ---- an owner's sessions ---------------------------------------------------------------------------------------------------------
    def reserve(self, key: SessionKey, genesis: Genesis, now_us: int) -> bool:
        """Count a session that is about to be created among its owner's.

        Returns:
            False where all places are taken and some of them by sessions that are just being created: the caller looks again.

        Raises:
            LimitExceeded: The owner has as many open sessions as allowed.
        """
        name = self._names.reservations(key.tenant, genesis.owner)
        mine = (_encode((key.session_id, genesis.incarnation)), b"%d" % now_us)
        most = genesis.owner_sessions_max or 0
        if genesis.owner_sessions_max == 0:
            check_owner_sessions(genesis, 0)
        answer = self._reserve(name, mine, most)
        if answer == 1:
            return True
        stale, coming = self._judge(key.tenant, answer, now_us)
        if stale and self._reserve(name, mine, most, stale) == 1:
            return True
        if coming:
            return False
        check_owner_sessions(genesis, most)
        return False

    def release(self, key: SessionKey, incarnation: str, owner: str | None) -> None:
        """Give a place back: the session was not created, or is deleted."""
        name = self._names.reservations(key.tenant, owner)
        field = _encode((key.session_id, incarnation))
        value = self._links.one(command(b"HGET", name, field))
        if value is not None:
            self._reserve(name, (field, b""), -1, [field, value])

    def _reserve(self, name: bytes, mine: tuple[bytes, bytes], most: int, stale: Sequence[bytes] = ()) -> Any:
        return self._links.one(self._scripts.reserve.call([name], *mine, b"%d" % most, *stale))

    def _judge(self, tenant: str, answer: list[bytes], now_us: int) -> tuple[list[bytes], bool]:
        """Return the reservations that count no more, and whether one is of a session that is not there yet."""
        pairs = list(zip(answer[::2], answer[1::2], strict=True))
        keys = [SessionKey(tenant, _decode_field(field)[0]) for field, _ in pairs]
        heads = self._links.all([command(b"GET", self._names.one(key, place)) for key in keys for place in (H, T)])
        stale: list[bytes] = []
        coming = False
        for at, (field, value) in enumerate(pairs):
            incarnation = _decode_field(field)[1]
            raw, dead = heads[2 * at], heads[2 * at + 1]
            head = None if raw is None else decode_head(raw)
            if head is not None and head.incarnation == incarnation:
                if effective_status(head.status, head.expires_at_us or None, now_us) not in OPEN:
                    stale += (field, value)
            elif (dead is not None and _decode_fence(dead)[1] == incarnation) or now_us - int(value) > STALE_US:
                stale += (field, value)
            else:
                coming = True
        return stale, coming
