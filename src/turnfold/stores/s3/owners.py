"""The limit of an owner's sessions: reserve a place, create, and settle what is left over when the limit is met.

Theory of operation. Reservations of an owner are one object, written on condition. Who wants to create reads it, then lists the owner's open
sessions (in this order), and counts both: a session that another is creating is in the list already, or still among the reservations, or was
reserved in between, and then the write meets a conflict. A reservation counts until its session is in the list, its creator takes it back,
or ``OBJECT_RESERVATION_S`` are over, by when a creation has long ended or given up (``OBJECT_CONTENTION_S_MAX``).
"""

from __future__ import annotations

import secrets

import msgspec

from turnfold.core.checks import check_owner_sessions
from turnfold.errors import StoreCorrupt
from turnfold.limits import OBJECT_RESERVATION_S
from turnfold.model.commit import Genesis
from turnfold.model.session import SessionKey
from turnfold.objectstorage import Tag
from turnfold.stores.s3 import names
from turnfold.stores.s3.catalog import Catalog
from turnfold.stores.s3.house import House
from turnfold.stores.s3.manifest import pack


class Reservation(msgspec.Struct, array_like=True, frozen=True):
    """A place kept for a session that is about to be created."""

    session_id: str
    incarnation: str
    at_us: int


class Reservations(msgspec.Struct, array_like=True):
    """The reserved places of an owner."""

    token: str
    places: list[Reservation]


_decode = msgspec.msgpack.Decoder(Reservations).decode


class Owners:
    """The limits of all owners."""

    def __init__(self, house: House, catalog: Catalog) -> None:
        """Wire it."""
        self._house = house
        self._catalog = catalog

    def reserve(self, key: SessionKey, genesis: Genesis) -> None:
        """Keep a place for a session, or raise LimitExceeded."""
        name = names.owner(key.tenant, genesis.owner)
        while True:
            places, tag = self._read(name)
            now_us = self._house.clock()
            open_count, settled = self._catalog.of_owner(key.tenant, genesis.owner, now_us)
            kept = [
                place
                for place in places
                if place.incarnation not in settled
                and place.session_id != key.session_id
                and now_us - place.at_us < OBJECT_RESERVATION_S * 1_000_000
            ]
            check_owner_sessions(genesis, open_count + len(kept))
            kept.append(Reservation(key.session_id, genesis.incarnation, now_us))
            if self._write(name, kept, tag):
                return

    def give_back(self, key: SessionKey, genesis: Genesis) -> None:
        """Take back the reservation of a session that was not created."""
        name = names.owner(key.tenant, genesis.owner)
        while True:
            places, tag = self._read(name)
            kept = [place for place in places if place.incarnation != genesis.incarnation]
            if len(kept) == len(places) or self._write(name, kept, tag):
                return

    def _read(self, name: str) -> tuple[list[Reservation], Tag | None]:
        found = self._house.bucket.get(name)
        if found is None:
            return [], None
        try:
            return _decode(found.body).places, found.tag
        except msgspec.MsgspecError as error:
            raise StoreCorrupt(f"{name} holds no reservations: {error}", key=name) from error

    def _write(self, name: str, places: list[Reservation], expected: Tag | None) -> bool:
        token = secrets.token_hex(8)
        answer = self._house.bucket.replace(
            name,
            pack(Reservations(token, places)),
            expected=expected,
            is_mine=lambda body: _decode(body).token == token,
        )
        return isinstance(answer, Tag)
