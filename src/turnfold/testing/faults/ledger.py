"""What was offered to a store and what it acknowledged; and the one check behind every fault.

Theory of operation. A fault is survived when, whatever it was: every acknowledged event is there exactly once and at the place that was told; seqs
are gap-free; the log verifies (digests, seals); the head is the fold of the log; a commit that was not acknowledged is wholly there or wholly
absent; sending any commit again never doubles it, but returns the places that it has; and a search finds it. ``Ledger.check`` looks at all
of this, by sending everything again at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from turnfold.client import Client
from turnfold.errors import NotSupported, SessionNotFound
from turnfold.limits import IDEMPOTENCY_EVENTS
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import Event
from turnfold.model.session import SessionKey
from turnfold.ports.store import IDEMPOTENCY_WINDOW, Store
from turnfold.testing.looking import check_head, read_log
from turnfold.testing.writers import TENANT, event_text, numbered

SEARCHES: Final = 4
"""How many of the offers are searched for."""


class Offer(NamedTuple):
    """One numbered commit of one writer."""

    session_id: str
    writer: str
    number: int
    single: bool = False

    def commit(self) -> Commit:
        """The commit, with the same ids and content each time."""
        return numbered(self.session_id, self.writer, self.number, single=self.single)


class Places(NamedTuple):
    """Where a commit's events are."""

    first_seq: int
    last_seq: int


class Found(msgspec.Struct, frozen=True):
    """What a check saw."""

    event_count: int
    acknowledged_count: int
    unknown_there_count: int
    unknown_absent_count: int


class Ledger:
    """Offers and acknowledgements of one store."""

    def __init__(self) -> None:
        """Begin with nothing offered."""
        self.offers: dict[Offer, Places | None] = {}

    def offer(self, offer: Offer) -> Commit:
        """Note that a commit is about to be sent; return it."""
        self.offers.setdefault(offer, None)
        return offer.commit()

    def acknowledge(self, offer: Offer, first_seq: int, last_seq: int) -> None:
        """Note where a commit was said to be.

        Raises:
            AssertionError: It was said to be elsewhere before.
        """
        told = Places(first_seq, last_seq)
        before = self.offers.get(offer)
        assert before in {None, told}, f"{offer} was acknowledged at {before}, then at {told}"
        self.offers[offer] = told

    def write(self, store: Store, offer: Offer) -> Committed:
        """Send a commit and note the answer."""
        done = store.commit(self.offer(offer))
        self.acknowledge(offer, done.first_seq, done.last_seq)
        return done

    @property
    def acknowledged_count(self) -> int:
        """How many commits were acknowledged."""
        return sum(places is not None for places in self.offers.values())

    def check(self, store: Store) -> Found:
        """Check everything, send everything again, and check that nothing changed by it but what had not arrived.

        Raises:
            AssertionError: Something acknowledged is lost, doubled or moved, something is half there, or the log or head is damaged.
        """
        sessions = sorted({offer.session_id for offer in self.offers})
        there = self._look(store, sessions)
        absent = [offer for offer, places in there.items() if places is None]
        unknown_there = [offer for offer, places in there.items() if places is not None and self.offers[offer] is None]
        for offer, places in _remembered(store, there).items():
            done = store.commit(offer.commit())
            if places is not None:
                assert done.repeated, f"{offer} was there, and was taken a second time"
                assert (done.first_seq, done.last_seq) == places, f"{offer} is at {places}, a retry was told {done}"
            self.acknowledge(offer, done.first_seq, done.last_seq)
        after = self._look(store, sessions)
        # What was there unacknowledged, too long ago to be sent again, must be where it was.
        assert after == {offer: told or there[offer] for offer, told in self.offers.items()}, "sending again moved something"
        self._find(store)
        report = store.check()
        assert report.problems == (), report.problems
        return Found(
            event_count=sum(places.last_seq - places.first_seq + 1 for places in after.values() if places),
            acknowledged_count=len(self.offers) - len(absent) - len(unknown_there),
            unknown_there_count=len(unknown_there),
            unknown_absent_count=len(absent),
        )

    def _look(self, store: Store, sessions: Iterable[str]) -> dict[Offer, Places | None]:
        """Where each commit is; None where it is absent."""
        there: dict[Offer, Places | None] = {}
        for session_id in sessions:
            key = SessionKey(TENANT, session_id)
            offers = [offer for offer in self.offers if offer.session_id == session_id]
            try:
                events, ranges = read_log(store, key)
            except SessionNotFound:
                assert not any(self.offers[offer] for offer in offers), f"session {session_id} is gone with what was acknowledged"
                there.update(dict.fromkeys(offers))
                continue
            assert not ranges
            there.update(_places_of(events, offers))
            check_head(store, key)
            self._verify(store, session_id)
        for offer, told in self.offers.items():
            assert told is None or there[offer] == told, f"{offer} was acknowledged at {told}; it is at {there[offer]}"
        return there

    def _find(self, store: Store) -> None:
        """Search for some of what is there, once the index has caught up: what follows the log loses nothing either."""
        some = sorted(self.offers)[:: max(1, len(self.offers) // SEARCHES)]
        with Client(store, tenant=TENANT, close_store=False) as client:
            client.catch_up()
            for offer in some:
                places = self.offers[offer]
                assert places is not None
                try:
                    hits = client.search(event_text(offer.writer, offer.number, 0), session_id=offer.session_id).items
                except NotSupported:
                    return
                found = [hit.seq for hit in hits]  # the phrase first, then others that hold its words
                assert found[:1] == [places.first_seq], f"a search for {offer}, which is at {places}, finds {found}"

    def _verify(self, store: Store, session_id: str) -> None:
        with Client(store, tenant=TENANT, close_store=False) as client:
            client.verify(session_id)
            client.seal(session_id)
            verified = client.verify(session_id)
            assert verified.sealed_through == verified.last_seq, "a seal does not cover the log"


def _remembered(store: Store, there: dict[Offer, Places | None]) -> dict[Offer, Places | None]:
    """Those that the store promises to recognise: all, or the last of each session (and half of what is promised, since more come meanwhile)."""
    if IDEMPOTENCY_WINDOW not in store.capabilities:
        return there
    sessions = {offer.session_id for offer in there}
    keys = {session_id: SessionKey(TENANT, session_id) for session_id in sessions}
    last = {key.session_id: seq for key, (_, seq) in store.last_seqs(keys.values()).items()}
    return {
        offer: places
        for offer, places in there.items()
        if places is None or places.first_seq > last[offer.session_id] - IDEMPOTENCY_EVENTS // 2
    }


def _places_of(events: list[Event], offers: list[Offer]) -> dict[Offer, Places | None]:
    """Find commits in a log, each wholly or not at all, and nothing else in it but the session's genesis."""
    at = {event.id: event for event in events}
    assert len(at) == len(events), "an event is there twice"
    assert events[0].type == "session.created", f"the log begins with {events[0].type}"
    left = set(at) - {events[0].id}
    found: dict[Offer, Places | None] = {}
    for offer in offers:
        commit = offer.commit()
        mine = [at[event.id] for event in commit.events if event.id in at]
        found[offer] = None
        if mine:
            assert len(mine) == len(commit.events), f"{offer} is there by half"
            first = mine[0].seq
            assert [event.seq for event in mine] == list(range(first, first + len(mine))), f"{offer} is torn apart"
            assert [event.data_raw for event in mine] == [event.data_raw for event in commit.events], f"{offer} has other content"
            found[offer] = Places(first, first + len(mine) - 1)
            left -= {event.id for event in mine}
    assert not left, f"nobody sent {sorted(left)[:5]}"
    return found
