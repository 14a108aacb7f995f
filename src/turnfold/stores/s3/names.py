"""What objects are called.

==========================================  =================================================================================================
``turnfold.json``                           the store's mark: which format it is in, and from where conditional writes were tried out
``m/<tenant>/<session>``                    a session's manifest; after deletion what is left of it for ``TOMBSTONE_DAYS``
``d/<tenant>/<session>/<incarnation>/…``    what a manifest refers to: ``s-<token>`` segments, ``b-<token>`` rows, ``p-<reference>`` parts,
                                            ``i-<token>`` index rows (these are referred to by the search follower's cursor)
``l/<tenant>/<session>``                    a session's lease
``f/<follower>/<tenant>/<session>``         a follower's cursor
``o/<tenant>/<owner>``                      places reserved under an owner's session limit
``c/…``                                     caches that any process may write and lose
==========================================  =================================================================================================

Names of any kind are escaped (``.`` and two hexadecimal digits for each byte that is no letter, digit, ``-`` or ``_``); long ones end in a hash.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from turnfold.errors import InvalidInput
from turnfold.model.session import SessionKey

MARK: Final = "turnfold.json"
MANIFESTS: Final = "m/"
DATA: Final = "d/"
LEASES: Final = "l/"
FOLLOWERS: Final = "f/"
OWNERS: Final = "o/"
CACHES: Final = "c/"
FOLDERS: Final = (MANIFESTS, DATA, LEASES, FOLLOWERS, OWNERS, CACHES)
_NAME_CHARS_MAX: Final = 180
_BEGINNING_CHARS: Final = 64
"""So much of a long name stands before its hash."""
_SAFE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@lru_cache(maxsize=4_096)
def safe(name: str) -> str:
    """Return a name as one step of an object's key; two names never share one."""
    try:
        data = name.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{name!r} holds a lone surrogate, which no store can keep") from error
    escaped = _escaped(name)
    if 0 < len(escaped) <= _NAME_CHARS_MAX:
        return escaped
    return f"{escaped[:_BEGINNING_CHARS]}~{hashlib.sha256(data).hexdigest()}"


def beginning(prefix: str) -> str:
    """Return what the key of every name with that prefix begins with."""
    return _escaped(prefix)[:_BEGINNING_CHARS]


def _escaped(name: str) -> str:
    return "".join(char if char in _SAFE else "".join(f".{byte:02x}" for byte in char.encode()) for char in name)


def _of(key: SessionKey) -> str:
    return f"{safe(key.tenant)}/{safe(key.session_id)}"


def manifest(key: SessionKey) -> str:
    """The key of a session's manifest."""
    return MANIFESTS + _of(key)


def manifests(tenant: str) -> str:
    """The folder of a tenant's manifests."""
    return f"{MANIFESTS}{safe(tenant)}/"


def data(key: SessionKey, incarnation: str, name: str = "") -> str:
    """The key of an object that belongs to an incarnation; without a name its folder."""
    return f"{DATA}{_of(key)}/{safe(incarnation)}/{name}"


def all_data(key: SessionKey) -> str:
    """The folder of everything that belongs to a session."""
    return f"{DATA}{_of(key)}/"


def lease(key: SessionKey) -> str:
    """The key of a session's lease."""
    return LEASES + _of(key)


def cursor(follower: str, key: SessionKey) -> str:
    """The key of a follower's cursor in a session."""
    return f"{FOLLOWERS}{safe(follower)}/{_of(key)}"


def cursors(follower: str, tenant: str | None = None) -> str:
    """The folder of a follower's cursors, in one tenant or in all."""
    return f"{FOLLOWERS}{safe(follower)}/" + (f"{safe(tenant)}/" if tenant is not None else "")


def owner(tenant: str, name: str | None) -> str:
    """The key of an owner's reservations."""
    return f"{OWNERS}{safe(tenant)}/{'~none' if name is None else safe(name)}"


def part(ref: str) -> str:
    """The name of a part, by its reference."""
    return f"p-{safe(ref)}"
