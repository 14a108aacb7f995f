"""Blocks in PostgreSQL: reading through them, and taking events out again when they are redacted or pruned."""

from __future__ import annotations

from typing import Final

from turnfold.model.session import SessionKey
from turnfold.stores.postgres.transaction import Transaction
from turnfold.stores.postgres.wire import Wire
from turnfold.stores.sql.blocks import Block, Bulky
from turnfold.stores.sql.rows import EventRow

FILL_ATTEMPTS_MAX: Final = 3
"""How often a page is read again because a block was rewritten between its two round trips."""
_OF: Final = "tenant = $1 AND session_id = $2 AND gen = $3"
_COVERING: Final = f"SELECT first_seq, last_seq, body FROM block WHERE {_OF} AND last_seq >= $4 AND first_seq <= $5 ORDER BY last_seq"


class Missing(Exception):
    """A block was rewritten between the two round trips of a read."""


def fill(wire: Wire, key: SessionKey, gen: int, rows: list[EventRow], *, with_source: bool) -> list[EventRow]:
    """Return rows with what blocks hold of them; it costs a second round trip where there are some.

    Raises:
        Missing: A row's payload is in no block: it was taken out meanwhile, and the row has it again.
    """
    slim = [row[0] for row in rows if not row[3]]
    if not slim:
        return rows
    found = wire.read(key.tenant, [(_COVERING, (*key, gen, min(slim), max(slim)))])[0]
    items: dict[int, Bulky] = {}
    wanted = set(slim)
    for first_seq, last_seq, body in found:
        if any(first_seq <= seq <= last_seq for seq in slim):
            block = Block(f"block {last_seq} of session {key.session_id!r}", first_seq, body)
            items.update((seq, item) for seq in wanted.intersection(block.seqs) if (item := block.get(seq)) is not None)
    if wanted - items.keys():
        raise Missing
    return [row if row[3] else items[row[0]].into(row, with_source=with_source) for row in rows]


def take_out(opened: Transaction, key: SessionKey, gen: int, seq: int) -> None:
    """Give an event that is about to be redacted its row back, without what is to be erased; a block forgets the event."""
    for first_seq, last_seq, body in opened.rows(_COVERING, *key, gen, seq, seq):
        item = Block(f"block {last_seq}", first_seq, body).get(seq)
        if item is not None:
            sql = f"UPDATE event SET usage = $5, message_id = $6, parent_id = $7 WHERE {_OF} AND seq = $4"
            opened.later(sql, *key, gen, seq, item.usage, item.message_id, item.parent_id)
            forget(opened, key, gen, seq, seq)


def forget(opened: Transaction, key: SessionKey, gen: int, first_seq: int, last_seq: int) -> None:
    """Rewrite the blocks that hold some of these events, so that nothing of them is left; one that is empty then goes."""
    for first, last, body in opened.rows(_COVERING, *key, gen, first_seq, last_seq):
        block = Block(f"block {last}", first, body)
        count, left = block.without(first_seq, last_seq)
        if count == 0:
            opened.later(f"DELETE FROM block WHERE {_OF} AND last_seq = $4", *key, gen, last)
        elif count < len(block.seqs):
            opened.later(f"UPDATE block SET event_count = $5, body = $6 WHERE {_OF} AND last_seq = $4", *key, gen, last, count, left)
