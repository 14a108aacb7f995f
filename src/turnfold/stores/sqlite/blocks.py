"""Blocks in SQLite: reading through them, and taking events out again when they are redacted or pruned."""

from __future__ import annotations

import sqlite3
import threading
from typing import Final

from turnfold.limits import BLOCK_BYTES, BLOCKS_CACHED_MAX
from turnfold.stores.sql.blocks import Block
from turnfold.stores.sql.rows import EventRow

SEQ_MASK: Final = (1 << 32) - 1
_FIND: Final = "SELECT last_pos, first_pos, revision FROM block WHERE last_pos >= ? ORDER BY last_pos LIMIT 1"
_CONTENT_BYTES_MAX: Final = 4 * BLOCK_BYTES


class BlockCache:
    """The blocks that were read last, for all readers of a store. A block that was rewritten has another revision, so none is ever stale."""

    def __init__(self) -> None:
        """Begin empty."""
        self._blocks: dict[tuple[int, int], Block] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int]) -> Block | None:
        """Return a block by the place of its last event and its revision."""
        return self._blocks.get(key)

    def put(self, key: tuple[int, int], block: Block) -> None:
        """Keep a block, and let go of the oldest ones."""
        if block.size_bytes > _CONTENT_BYTES_MAX:
            return
        with self._lock:
            while len(self._blocks) >= BLOCKS_CACHED_MAX:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[key] = block

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._blocks.clear()


def read_block(cursor: sqlite3.Cursor, pos: int, cache: BlockCache | None = None) -> Block | None:
    """Return the block that covers a place, None where there is none."""
    found = cursor.execute(_FIND, (pos,)).fetchone()
    if found is None or found[1] > pos:
        return None
    last_pos, first_pos, revision = found
    block = None if cache is None else cache.get((last_pos, revision))
    if block is None:
        body = cursor.execute("SELECT body FROM block WHERE last_pos = ?", (last_pos,)).fetchone()[0]
        block = Block(f"block {last_pos}", first_pos & SEQ_MASK, body)
        if cache is not None:
            cache.put((last_pos, revision), block)
    return block


def fill(cursor: sqlite3.Cursor, sn: int, rows: list[EventRow], cache: BlockCache | None, *, with_source: bool) -> None:
    """Put into rows of ``EVENT_COLUMNS`` and the source what blocks hold of them.

    A row with empty data that no block has is what it says.
    """
    block: Block | None = None
    for index, row in enumerate(rows):
        if row[3]:
            continue
        seq = row[0]
        item = None if block is None else block.get(seq)
        if item is None:
            block = read_block(cursor, (sn << 32) + seq, cache)
            item = None if block is None else block.get(seq)
        if item is not None:
            rows[index] = item.into(row, with_source=with_source)


def take_out(cursor: sqlite3.Cursor, sn: int, seq: int) -> None:
    """Give an event that is about to be redacted its row back, without what is to be erased; a block forgets the event."""
    pos = (sn << 32) + seq
    block = read_block(cursor, pos)
    item = None if block is None else block.get(seq)
    if item is None:
        return
    cursor.execute(
        "UPDATE event SET usage = ?, message_id = ?, parent_id = ? WHERE pos = ?",
        (item.usage, item.message_id, item.parent_id, pos),
    )
    forget(cursor, sn, seq, seq)


def forget(cursor: sqlite3.Cursor, sn: int, first_seq: int, last_seq: int) -> None:
    """Rewrite the blocks that hold some of these events, so that nothing of them is left; one that is empty then goes."""
    base = sn << 32
    pos = base + first_seq
    while True:
        found = cursor.execute(
            "SELECT last_pos, first_pos, body FROM block WHERE last_pos >= ? ORDER BY last_pos LIMIT 1", (pos,)
        ).fetchone()
        if found is None or found[1] > base + last_seq:
            return
        last_pos, first_pos, body = found
        block = Block(f"block {last_pos}", first_pos & SEQ_MASK, body)
        count, left = block.without(first_seq, last_seq)
        if count == 0:
            cursor.execute("DELETE FROM block WHERE last_pos = ?", (last_pos,))
        elif count < len(block.seqs):
            sql = "UPDATE block SET revision = revision + 1, event_count = ?, body = ? WHERE last_pos = ?"
            cursor.execute(sql, (count, left, last_pos))
        pos = last_pos + 1


def damaged(cursor: sqlite3.Cursor) -> list[str]:
    """Return what is wrong with blocks: those that cannot be read, or that hold other events than their rows say."""
    problems: list[str] = []
    # The places first: the body of each is read while its own row is looked at.
    for (last_pos,) in cursor.execute("SELECT last_pos FROM block ORDER BY last_pos").fetchall():
        first_pos, count, body = cursor.execute("SELECT first_pos, event_count, body FROM block WHERE last_pos = ?", (last_pos,)).fetchone()
        slim = cursor.execute("SELECT count(*) FROM event WHERE pos BETWEEN ? AND ? AND data = x''", (first_pos, last_pos)).fetchone()[0]
        problem = _problem(last_pos, first_pos, body, (count, slim))
        if problem:
            problems.append(problem)
    lost = cursor.execute(
        "SELECT count(*) FROM event e WHERE data = x'' AND NOT EXISTS "
        "(SELECT 1 FROM block WHERE last_pos = (SELECT min(last_pos) FROM block WHERE last_pos >= e.pos) AND first_pos <= e.pos)"
    ).fetchone()[0]
    return [*problems, f"{lost} events are without their payload, and no block has them"] if lost else problems


def _problem(last_pos: int, first_pos: int, body: bytes, counts: tuple[int, int]) -> str:
    from turnfold.errors import StoreCorrupt

    try:
        held = len(Block(f"block {last_pos}", first_pos & SEQ_MASK, body).seqs)
    except StoreCorrupt as error:
        return error.message
    if {held} != set(counts):
        return f"block {last_pos} holds {held} events, {counts[0]} are noted, and {counts[1]} rows are without their payload"
    return ""
