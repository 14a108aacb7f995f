"""Range tombstones: one row in place of pruned events, and their ids, so that a repeat stays a repeat."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from turnfold.model.event import RangeTombstone
from turnfold.stores.sqlite.blocks import forget

_encode = msgspec.json.Encoder().encode
_ids_decoder = msgspec.json.Decoder(tuple[str, ...])
_COLUMNS: Final = "first_seq, last_seq, ids, leaves, reason, at_us"


def read_ranges(cursor: sqlite3.Cursor, sn: int, low: int = 0, high: int = 1 << 32) -> tuple[RangeTombstone, ...]:
    """Return the tombstones that overlap ``low..high``, in order."""
    sql = f"SELECT {_COLUMNS} FROM range_tombstone WHERE sn = ? AND last_seq >= ? AND first_seq <= ? ORDER BY last_seq"
    rows = cursor.execute(sql, (sn, low, high)).fetchall()
    return tuple(RangeTombstone(row[0], row[1], _ids_decoder.decode(row[2]), row[3], row[4], row[5]) for row in rows)


def write_range(cursor: sqlite3.Cursor, sn: int, pruned: RangeTombstone) -> None:
    """Put the tombstone in place of its events and of the ranges that it holds."""
    low, high = (sn << 32) + pruned.first_seq, (sn << 32) + pruned.last_seq
    forget(cursor, sn, pruned.first_seq, pruned.last_seq)
    cursor.execute("DELETE FROM event WHERE pos BETWEEN ? AND ?", (low, high))
    cursor.execute("DELETE FROM event_source WHERE pos BETWEEN ? AND ?", (low, high))
    cursor.execute("DELETE FROM range_tombstone WHERE sn = ? AND last_seq BETWEEN ? AND ?", (sn, pruned.first_seq, pruned.last_seq))
    cursor.execute(
        "INSERT INTO range_tombstone(sn, first_seq, last_seq, ids, leaves, reason, at_us) VALUES(?, ?, ?, ?, ?, ?, ?)",
        (sn, pruned.first_seq, pruned.last_seq, _encode(pruned.ids), pruned.leaves, pruned.reason, pruned.at_us),
    )
    ids = ((sn, event_id, seq) for seq, event_id in enumerate(pruned.ids, pruned.first_seq))
    cursor.executemany("INSERT OR REPLACE INTO pruned_id(sn, id, seq) VALUES(?, ?, ?)", ids)
