"""Looking at a whole session through the port: its log page by page, and whether its head is the fold of it."""

from __future__ import annotations

from typing import Any

import msgspec

from turnfold.core.fold import fold_head
from turnfold.core.lifecycle import EXPIRED, OPEN
from turnfold.model.event import Event, RangeTombstone
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store


def read_log(store: Store, key: SessionKey, **fields: Any) -> tuple[list[Event], list[RangeTombstone]]:
    """Read a whole session page by page, with kept source lines, and its range tombstones in order.

    Args:
        store: The store.
        key: The session.
        fields: Further fields of EventQuery.
    """
    events: list[Event] = []
    ranges: dict[int, RangeTombstone] = {}
    after = 0
    while True:
        page = store.read_events(EventQuery(**{"key": key, "after": after, "limit": 1_000, "with_source": True, **fields}))
        events += page.events
        ranges.update((item.first_seq, item) for item in page.ranges)
        assert page.through_seq >= after, "a cursor moved back"
        if not page.more:
            return events, [ranges[first] for first in sorted(ranges)]
        after = page.through_seq


def check_head(store: Store, key: SessionKey) -> None:
    """Assert that every seq is an event or in exactly one range, and that the head is the fold of the log."""
    head = store.get_session(key)
    events, ranges = read_log(store, key)
    places = sorted([event.seq for event in events] + [seq for item in ranges for seq in range(item.first_seq, item.last_seq + 1)])
    assert places == list(range(1, head.info.last_seq + 1)), "seqs are not gap-free"
    folded = fold_head(key.session_id, events, tenant=key.tenant, incarnation=head.info.incarnation)
    info = folded.info
    if head.info.status == EXPIRED and info.status in OPEN:  # by the store's clock, which is no part of the log
        info = msgspec.structs.replace(info, status=EXPIRED)
    if not events or events[-1].seq != head.info.last_seq:  # the tail was pruned: the log no longer says when it was written
        info = msgspec.structs.replace(
            info,
            last_seq=head.info.last_seq,
            updated_at_us=head.info.updated_at_us,
            expires_at_us=head.info.expires_at_us,
        )
    assert head.info == info, "the head is not the fold of the log"
    assert head.entries == folded.entries
    assert head.usage_by_model == folded.usage_by_model
    assert head.ttl_s == folded.ttl_s
