"""Seals beside the log: a chain that only grows at its end."""

from __future__ import annotations

import sqlite3

from turnfold.model.event import Seal


def read_seals(cursor: sqlite3.Cursor, sn: int) -> list[Seal]:
    """Return the seals in order."""
    sql = "SELECT upto_seq, previous, root, at_us, signature FROM seal WHERE sn = ? ORDER BY place"
    return [Seal(*row) for row in cursor.execute(sql, (sn,)).fetchall()]


def insert_seal(cursor: sqlite3.Cursor, sn: int, place: int, seal: Seal) -> None:
    """Write one seal at its place in the chain."""
    cursor.execute(
        "INSERT INTO seal(sn, place, upto_seq, previous, root, at_us, signature) VALUES(?, ?, ?, ?, ?, ?, ?)",
        (sn, place, seal.upto_seq, seal.previous, seal.root, seal.at_us, seal.signature),
    )


def add_seal(cursor: sqlite3.Cursor, sn: int, seal: Seal) -> bool:
    """Append a seal if it follows on the last one."""
    last = cursor.execute("SELECT place, root FROM seal WHERE sn = ? ORDER BY place DESC LIMIT 1", (sn,)).fetchone()
    place, root = (-1, b"") if last is None else last
    if seal.previous != root:
        return False
    insert_seal(cursor, sn, place + 1, seal)
    return True
