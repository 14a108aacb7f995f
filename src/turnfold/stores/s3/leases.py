"""Leases: an object of their own per session, so that renewing does not touch the manifest, which holds only the fence.

Theory of operation. Who wants the lease first wins the lease object (a write on condition, with a fence higher than any before), then writes
the fence into the manifest; from then on a commit with an older one is refused. Clocks of different machines are never compared: a lease
has run out for an observer when it has seen the same version of its object for the time to live, by its own monotonic clock. A holder that
stalled between its two writes finds a higher fence in the manifest and has lost.
"""

from __future__ import annotations

import secrets
import threading

import msgspec

from turnfold.core.checks import check_lease_ttl, check_owner, not_found
from turnfold.errors import LeaseLost, SessionNotFound, StoreCorrupt
from turnfold.model.session import Lease, SessionKey
from turnfold.objectstorage import Tag
from turnfold.stores.s3 import names
from turnfold.stores.s3.house import House
from turnfold.stores.s3.manifest import pack
from turnfold.stores.s3.state import State


class LeaseObject(msgspec.Struct, array_like=True, frozen=True):
    """Who holds a lease; nobody where ``holder`` is None. The fence never goes down."""

    token: str
    incarnation: str
    fence: int
    holder: str | None = None
    ttl_us: int = 0


_decode = msgspec.msgpack.Decoder(LeaseObject).decode
_replace = msgspec.structs.replace


class Leases:
    """The leases of a store, as one process sees them."""

    def __init__(self, house: House) -> None:
        """Wire it."""
        self._house = house
        self._lock = threading.Lock()
        self._seen: dict[SessionKey, tuple[str, int]] = {}
        """Which version of a lease was seen, and since when."""

    def acquire(self, key: SessionKey, holder: str, ttl_s: float, owner: str | None) -> Lease:
        """See ``ports.store``."""
        ttl_us = check_lease_ttl(ttl_s)
        session = self._house.session(key)
        while True:
            state = session.living()
            if state is None:
                raise not_found(key.session_id)
            check_owner(key.session_id, state.fixed.owner, owner)
            held, tag = self._read(key)
            if held is not None and self._is_held(key, held, state) and held.holder != holder:
                message = f"session {key.session_id!r} is leased by {held.holder!r}"
                raise LeaseLost(message, hint="try again when it has expired", holder=held.holder)
            fence = max(state.fence, 0 if held is None else held.fence) + 1
            wanted = LeaseObject("", state.incarnation, fence, holder, ttl_us)
            if self._write(key, wanted, tag):
                return self._fence_off(key, wanted)

    def _fence_off(self, key: SessionKey, held: LeaseObject) -> Lease:
        """Write the fence of a lease that was won into the manifest."""

        def fenced(state: State) -> State | None:
            if state.incarnation != held.incarnation:
                raise not_found(key.session_id)
            if state.fence >= held.fence:
                raise LeaseLost(f"the lease of session {key.session_id!r} was taken over before it began", fence=state.fence)
            work = state.copy()
            work.fence, work.leased = held.fence, True
            return work

        self._house.session(key).update(fenced)
        return Lease(key.tenant, key.session_id, held.holder or "", held.fence, self._house.clock() + held.ttl_us)

    def renew(self, lease: Lease, ttl_s: float) -> Lease:
        """See ``ports.store``."""
        ttl_us = check_lease_ttl(ttl_s)
        key = SessionKey(lease.tenant, lease.session_id)
        while True:
            state = self._house.session(key).living()
            if state is None:
                raise not_found(key.session_id)
            held, tag = self._read(key)
            if held is None or held.fence != lease.fence or state.fence != lease.fence or not self._is_held(key, held, state):
                raise LeaseLost(f"the lease {lease.fence} of session {lease.session_id!r} is not held any more", fence=state.fence)
            if self._write(key, _replace(held, ttl_us=ttl_us), tag):
                return Lease(*key, held.holder or "", held.fence, self._house.clock() + ttl_us)

    def release(self, lease: Lease) -> None:
        """See ``ports.store``."""
        key = SessionKey(lease.tenant, lease.session_id)

        def unleased(state: State) -> State | None:
            if not state.leased or state.fence != lease.fence:
                return None
            work = state.copy()
            work.leased = False
            return work

        try:
            self._house.session(key).update(unleased)
        except SessionNotFound:
            return
        held, tag = self._read(key)
        if held is not None and held.fence == lease.fence:
            self._write(key, _replace(held, holder=None), tag)

    def _is_held(self, key: SessionKey, held: LeaseObject, state: State) -> bool:
        """Whether a lease has a holder and has not run out, as far as this process has seen."""
        if held.holder is None or held.incarnation != state.incarnation:
            return False
        with self._lock:
            token, since_us = self._seen.get(key, ("", 0))
            if token != held.token:
                since_us = self._house.monotonic_us()
                self._seen[key] = (held.token, since_us)
        return self._house.monotonic_us() - since_us < held.ttl_us

    def _read(self, key: SessionKey) -> tuple[LeaseObject | None, Tag | None]:
        name = names.lease(key)
        found = self._house.bucket.get(name)
        if found is None:
            return None, None
        try:
            return _decode(found.body), found.tag
        except msgspec.MsgspecError as error:
            raise StoreCorrupt(f"{name} is no lease: {error}", key=name) from error

    def _write(self, key: SessionKey, wanted: LeaseObject, expected: Tag | None) -> bool:
        """Write a lease on condition; False where another write came first."""
        token = secrets.token_hex(8)
        begun_us = self._house.monotonic_us()
        answer = self._house.bucket.replace(
            names.lease(key),
            pack(_replace(wanted, token=token)),
            expected=expected,
            is_mine=lambda body: _decode(body).token == token,
        )
        if not isinstance(answer, Tag):
            return False
        with self._lock:
            self._seen[key] = (token, begun_us)
        return True
