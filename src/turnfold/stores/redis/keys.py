"""Names of keys. All keys of a session hold ``{tenant/session}``, so that a cluster keeps them in one slot and one script may touch them all.

What is kept where, for each session:

- ``h`` string: the packed head (``rows.HeadRow``)
- ``e`` list: event rows, ``seq - 1`` is the index; a pruned event is an empty row
- ``i`` hash: event id → seq
- ``n``, ``m``, ``b`` hashes: head entries: of most kinds; those that a list row shows; branches, with the places where the branch changes
- ``p`` hash: ``p:<ref>`` parts, ``s:<seq>`` kept source lines, ``inc`` the incarnation, ``erased`` how often something was erased
- ``r`` hash: run id → run row
- ``g`` hash: first seq → range tombstone
- ``s`` list: seals
- ``c`` hash: follower → its cursor
- ``x`` hash: seq → index row, where its terms are not those of the event; ``y`` hash: term → seqs that hold it
- ``a`` list: commits to other logs that this log's commits carry and that are not done yet
- ``t`` string: what is left of a deleted session: its last fence; expires after ``TOMBSTONE_DAYS``

And for the store: ``changed`` (zset: session → when it was last marked as changing), ``f:<follower>`` and ``w:<follower>`` (see ``changes``),
``also`` (zset of sessions with an ``a``), ``l:…`` (zsets: session lists, see ``listing``) and ``q:…`` (hashes: an owner's reservations).
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

import msgspec

from turnfold.core.fold import INFO_KINDS
from turnfold.errors import InvalidInput
from turnfold.model.session import SessionKey

SUFFIXES: Final = "heinmbprgscxyat"
"""One letter for each key of a session; scripts get the first seven or all of them in this order."""
HOT: Final = 7
H, E, I, N, M, B, P, R, G, S, C, X, Y, A, T = range(1, len(SUFFIXES) + 1)  # noqa: E741 - the letters of the keys
"""Places of the keys in a script's KEYS."""


def place_of_kind(kind: str) -> int:
    """The hash that keeps head entries of a kind."""
    if kind in INFO_KINDS:
        return M
    return B if kind == "branch" else N


_plain = re.compile(rb"[A-Za-z0-9_.:@+-]*\Z")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, str]).decode


def _safe(name: str) -> bytes:
    try:
        raw = name.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("a name holds a lone surrogate, which no store can keep") from error
    return raw if _plain.match(raw) else quote(raw, safe=":@+").encode()


class Names:
    """Makes key names with the store's prefix."""

    def __init__(self, prefix: str) -> None:
        """Bind the prefix."""
        self.prefix = prefix
        self._base = prefix.encode()
        self.changed = self._base + b":changed"
        self.also = self._base + b":also"
        self.layout = self._base + b":layout"

    def session(self, key: SessionKey) -> list[bytes]:
        """The keys of a session in the order of ``SUFFIXES``."""
        base = b"%b:{%b/%b}:" % (self._base, _safe(key.tenant), _safe(key.session_id))
        return [base + letter for letter in _LETTERS]

    def one(self, key: SessionKey, place: int) -> bytes:
        """One key of a session."""
        return b"%b:{%b/%b}:%b" % (self._base, _safe(key.tenant), _safe(key.session_id), _LETTERS[place - 1])

    def follower(self, follower: str) -> tuple[bytes, bytes]:
        """Where a follower's late sessions and its watermark are kept; in one slot."""
        base = b"%b:{follower/%b}:" % (self._base, _safe(follower))
        return base + b"late", base + b"through"

    def reservations(self, tenant: str, owner: str | None) -> bytes:
        """The sessions of an owner that count against its limit."""
        return b"%b:q:%b" % (self._base, self._scope(tenant, owner))

    def listing(self, tenant: str, kind: str, owner: str | None = None, agent: str | None = None) -> bytes:
        """The list of a tenant's sessions of a kind, or of those of an owner, an agent or both."""
        return b"%b:l:%b:%b" % (self._base, _safe(kind), self._scope(tenant, owner, agent))

    def _scope(self, tenant: str, *parts: str | None) -> bytes:
        return b"/".join([_safe(tenant), *(b"" if part is None else b"=" + _safe(part) for part in parts)])


_LETTERS = [letter.encode() for letter in SUFFIXES]


def pack_session(key: SessionKey) -> bytes:
    """Return a session's name as a member of the store's sets."""
    return _encode(key)


def unpack_session(member: bytes) -> SessionKey:
    """Return the session that a member names."""
    return SessionKey(*_decode(member))
