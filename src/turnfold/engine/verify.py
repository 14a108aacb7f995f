"""Verification of a session: digests, gap-free seqs, redactions named in the log, seals, out-of-line parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from turnfold.codec.seal import event_digest, leaf, seal_root
from turnfold.core.fold import payload_of
from turnfold.core.redaction import line_parts
from turnfold.errors import IntegrityError, TurnfoldError
from turnfold.limits import READ_CHUNK_EVENTS
from turnfold.model.event import Event, RangeTombstone, Seal
from turnfold.model.message import check_open
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store


class Verified(msgspec.Struct, frozen=True):
    """What was found in order.

    Attributes:
        event_count: Events whose digest matches (redacted ones are named in the log).
        redacted_count, pruned_count: Tombstones among the seqs.
        last_seq: Every seq up to here is an event or inside one range tombstone.
        sealed_through: Order and completeness are covered by seals up to here; after it by the digests alone.
        keyed: Whether digests and seals were made with a key (detects an attacker, not only corruption).
    """

    session_id: str
    event_count: int
    redacted_count: int
    pruned_count: int
    last_seq: int
    sealed_through: int
    keyed: bool


class _Walk:
    """One pass over the log in seq order."""

    def __init__(self, store: Store, key: SessionKey, owner: str | None, mac_key: bytes | None) -> None:
        self.store = store
        self.key = key
        self.owner = owner
        self.mac_key = mac_key
        self.redacted: dict[int, bytes] = {}
        self.named: dict[int, bytes] = {}
        self.checked_parts: set[str] = set()
        self.event_count = self.pruned_count = self.seq = 0

    def leaves(self) -> Iterator[tuple[int, bytes]]:
        """Yield (seq, seal leaf) of every place, checking on the way."""
        after = 0
        while True:
            query = EventQuery(key=self.key, owner=self.owner, after=after, limit=READ_CHUNK_EVENTS, with_source=True)
            page = self.store.read_events(query)
            places: list[tuple[int, Event | RangeTombstone]] = [(event.seq, event) for event in page.events]
            places += [(item.first_seq, item) for item in page.ranges if item.last_seq > after and item.first_seq <= page.through_seq]
            for _, place in sorted(places, key=lambda item: item[0]):
                yield from self._range(place) if isinstance(place, RangeTombstone) else self._event(place)
            after = max(page.through_seq, self.seq)
            if not page.more:
                if self.seq != page.last_seq:
                    raise _bad(self.seq + 1, f"event {self.seq + 1} is missing; the head says the last is {page.last_seq}")
                return

    def _range(self, item: RangeTombstone) -> Iterator[tuple[int, bytes]]:
        if item.last_seq <= self.seq:
            return
        if item.first_seq != self.seq + 1:
            raise _bad(self.seq + 1, f"event {self.seq + 1} is missing before the pruned range {item.first_seq}–{item.last_seq}")
        for offset in range(item.last_seq - item.first_seq + 1):
            self.seq += 1
            self.pruned_count += 1
            yield self.seq, item.leaves[32 * offset : 32 * offset + 32]

    def _event(self, event: Event) -> Iterator[tuple[int, bytes]]:
        if event.seq != self.seq + 1:
            raise _bad(self.seq + 1, f"event {self.seq + 1} is missing; the next is {event.seq}")
        self.seq = event.seq
        if not event.digest:
            raise _bad(event.seq, f"event {event.seq} has no digest")
        if event.redacted:
            self.redacted[event.seq] = event.digest
        elif event_digest(event, None, self.mac_key) != event.digest:
            check_open(event.data_raw)
            raise _bad(event.seq, f"event {event.seq} does not match its digest")
        else:
            self.event_count += 1
            self._parts(event)
            if event.type == "redaction":
                for target in payload_of(event).targets:
                    self.named[target.seq] = bytes.fromhex(target.digest)
        yield event.seq, leaf(event)

    def _parts(self, event: Event) -> None:
        """Check that the out-of-line parts which the kept line splices in are there and whole."""
        for ref in line_parts(event) - self.checked_parts:
            content = self.store.read_part(self.key, ref, owner=self.owner)
            if "sha256:" + hashlib.sha256(content).hexdigest() != ref:
                raise _bad(event.seq, f"the out-of-line part {ref} of event {event.seq} does not match its hash")
            self.checked_parts.add(ref)

    def check_redactions(self) -> None:
        """A tombstone counts only where a redaction event names its (seq, digest)."""
        for seq in sorted(self.redacted):
            if self.named.get(seq) != self.redacted[seq]:
                raise _bad(seq, f"the payload of event {seq} is gone, and no redaction in the log accounts for it")


def verify_session(store: Store, key: SessionKey, *, owner: str | None = None, mac_key: bytes | None = None) -> Verified:
    """Check a whole session.

    Raises:
        IntegrityError: The first bad seq and what is wrong with it (``details['seq']``).
        KeyUnavailable: It is encrypted and its key is gone.
    """
    seals = store.read_seals(key)
    walk = _Walk(store, key, owner, mac_key)
    pending = iter(seals)
    seal: Seal | None = next(pending, None)
    previous = b""
    leaves: list[bytes] = []
    start = 1
    try:
        for seq, item in walk.leaves():
            leaves.append(item)
            while seal is not None and seal.upto_seq == seq:
                if seal.previous != previous or seal_root(previous, seq, leaves, mac_key) != seal.root:
                    raise _bad(start, f"the seal over events {start}–{seq} does not match: order, time or completeness was changed")
                previous, leaves, start, seal = seal.root, [], seq + 1, next(pending, None)
    except IntegrityError:
        raise
    except TurnfoldError as error:
        if error.code in {"session_not_found", "key_unavailable"}:  # no damage: there is nothing to look at, or no key to look with
            raise
        raise _bad(walk.seq + 1, f"event {walk.seq + 1} cannot be read: {error.message}") from error
    walk.check_redactions()
    if seal is not None:
        raise _bad(walk.seq + 1, f"a seal covers events up to {seal.upto_seq}, the log ends at {walk.seq}")
    return Verified(
        session_id=key.session_id,
        event_count=walk.event_count,
        redacted_count=len(walk.redacted),
        pruned_count=walk.pruned_count,
        last_seq=walk.seq,
        sealed_through=start - 1,
        keyed=mac_key is not None,
    )


def _bad(seq: int, message: str) -> IntegrityError:
    return IntegrityError(message, seq=seq, hint="restore the session from a backup or a bundle; export what is readable first")
