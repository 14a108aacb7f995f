"""Where the event with a native id is: what a reader's ``find`` asks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from turnfold.engine.importing.cursor import NAMING
from turnfold.engine.reading import read_all
from turnfold.formats.base import Place, retracted_ranges
from turnfold.model.event import Event, NewEvent
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store


class Finder:
    """Looks into the batch under way first, then into the session.

    Readers ask seldom, for what is far back. The first question that the batch cannot answer reads the session once and remembers
    a hash and a seq per native id, so that a file full of orphans costs one pass and not one pass each.
    """

    def __init__(self, store: Store, key: SessionKey, owner: str | None, begin_seq: int) -> None:
        """Begin with an empty batch; events up to ``begin_seq`` belong to an earlier generation of the file."""
        self._store = store
        self._key = key
        self._owner = owner
        self._batch: dict[str, Place] = {}
        self._seqs: dict[bytes, int] = {}
        self._named: dict[bytes, int] = {}
        self._through_seq = begin_seq
        self._gone: list[tuple[int, int]] = []

    def note(self, event: NewEvent, seq: int, branch: str) -> None:
        """Remember an event of the batch under way, by the branch name that the reader gave it."""
        if event.meta is not None:
            uuid = event.meta.get("uuid")
            if isinstance(uuid, str):
                self._batch[uuid] = Place(seq, branch)

    def forget(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Leave events out that the batch under way takes back."""
        self._gone += ranges
        self._seqs = {key: seq for key, seq in self._seqs.items() if not self._is_gone(seq)}

    def _is_gone(self, seq: int) -> bool:
        return any(first <= seq <= last for first, last in self._gone)

    def committed(self) -> None:
        """Forget the batch: it can be read now."""
        self._batch.clear()

    def find(self, uuid: str) -> Place | None:
        """Return the place of the latest event with that native id."""
        place = self._batch.get(uuid)
        if place is not None:
            return place
        for event in read_all(self._store, self._key, owner=self._owner, after=self._through_seq) if self._exists() else ():
            self._through_seq = event.seq
            if event.type == "retract":
                self.forget(retracted_ranges([event]))
            found = _uuid_of(event)
            if found is not None and event.type in NAMING:
                self._named[_hash(found)] = event.seq
            elif found is not None and not self._is_gone(event.seq):
                self._seqs[_hash(found)] = event.seq
        seq = self._seqs.get(_hash(uuid)) or self._named.get(_hash(uuid))
        return None if seq is None else self._read(seq, uuid)

    def _exists(self) -> bool:
        return self._store.last_seqs([self._key]).get(self._key, ("", 0))[1] > self._through_seq

    def _read(self, seq: int, uuid: str) -> Place | None:
        page = self._store.read_events(EventQuery(key=self._key, owner=self._owner, after=seq - 1, before=seq + 1, limit=1))
        if not page.events or _uuid_of(page.events[0]) != uuid:
            return None
        return Place(seq, page.events[0].branch)


def _hash(uuid: str) -> bytes:
    return hashlib.blake2b(uuid.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _uuid_of(event: Event) -> str | None:
    if event.meta_raw is None or b'"uuid"' not in event.meta_raw:
        return None
    uuid = event.meta.get("uuid")
    return uuid if isinstance(uuid, str) else None
