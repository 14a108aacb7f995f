"""Moving what is cold into blocks, one small transaction each; and compressing the parts of sessions that are idle.

Theory of operation. Whoever compacts is a follower of the log like the search index (``COMPACT``): its cursor in a session says how far it has
looked, and a session leaves its list when that is the end. It reads a run of events beside the writer, compresses it (which lets other
threads run) and then, in a transaction of its own, puts the block in place of the rows' bulk, provided that the session's ``version`` is
still the one that was read: a redaction or pruning moves it, an append does not. Nothing here moves what the writer remembers of a session
except the mark at its end. Killed anywhere, a block is there with its rows slim, or neither is.

Room that is freed is used again by what is written next; ``reclaim`` gives it back to the file system. Freed pages are overwritten with zeros
(``secure_delete``), so that a payload that is redacted later has no forgotten copy.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from turnfold.core.cold import cold_through, is_idle
from turnfold.limits import BLOCK_EVENTS_MAX, BLOCK_RATIO_MAX
from turnfold.model.session import SessionKey
from turnfold.stores.sql.blocks import Bulky, Cold, Run, gather
from turnfold.stores.sqlite.rows import INSERT_EVENT

COMPACT: Final = "compact"
PARTS_STEP: Final = 16
RAW_FORM, ZLIB_FORM, KEPT_FORM = 0, 1, 2
_CHANGED: Final = (
    "SELECT s.tenant, s.session_id, c.sn, c.version, c.last_seq, ifnull(f.seq, 0), c.updated_at_us, "
    "ifnull((SELECT recorded_at_us FROM event WHERE pos = (c.sn << 32) + c.last_seq), 0), "
    "ifnull((SELECT upto_seq FROM seal WHERE sn = c.sn ORDER BY place DESC LIMIT 1), 0) "
    "FROM changed l CROSS JOIN counter c ON c.sn = l.sn CROSS JOIN session s ON s.sn = l.sn "
    "LEFT JOIN follower_seq f ON f.sn = l.sn AND f.name = l.name WHERE l.name = ? AND l.sn > ? ORDER BY l.sn LIMIT ?"
)
_RUN: Final = (
    "SELECT e.pos & 4294967295, e.data, x.line, e.meta, e.usage, e.message_id, e.parent_id FROM event e "
    "LEFT JOIN event_source x ON x.pos = e.pos WHERE e.pos > ? AND e.pos <= ? ORDER BY e.pos LIMIT ?"
)
_SLIM: Final = (
    "SELECT pos, id, type, x'', at_us, recorded_at_us, branch, run_id, NULL, NULL, visibility, message_count, turn_count, token_count, NULL, "
    "extra, NULL, salt, digest FROM event WHERE pos BETWEEN ? AND ?"
)
"""The values of ``INSERT_EVENT`` without what goes into the block."""


class Candidate(NamedTuple):
    """A session that the compactor has not seen the end of."""

    key: SessionKey
    sn: int
    version: int
    last_seq: int
    done_seq: int
    cold_seq: int
    idle: bool


def candidates(cursor: sqlite3.Cursor, after_sn: int, limit: int, now_us: int) -> list[Candidate]:
    """Return the next sessions on the list, with how far each is cold."""
    found: list[Candidate] = []
    for tenant, session_id, sn, version, last_seq, done_seq, updated, recorded, sealed in cursor.execute(
        _CHANGED, (COMPACT, after_sn, limit)
    ):
        cold_seq = cold_through(last_seq=last_seq, sealed_seq=sealed, updated_at_us=updated, recorded_at_us=recorded, now_us=now_us)
        idle = cold_seq == last_seq and is_idle(updated, now_us)
        found.append(Candidate(SessionKey(tenant, session_id), sn, version, last_seq, done_seq, cold_seq, idle))
    return found


def read_run(cursor: sqlite3.Cursor, item: Candidate, after_seq: int) -> Run | None:
    """Read and compress the next events of a session; None where there are none, or too few yet for a block."""
    base = item.sn << 32
    return gather(_rows(cursor, base + after_seq, base + item.cold_seq), Cold(item.cold_seq, item.idle), after_seq)


def _rows(cursor: sqlite3.Cursor, after_pos: int, last_pos: int) -> Iterator[tuple[int, Bulky]]:
    for seq, *fields in cursor.execute(_RUN, (after_pos, last_pos, BLOCK_EVENTS_MAX)):
        yield seq, Bulky(*fields)


def write_run(cursor: sqlite3.Cursor, item: Candidate, run: Run) -> bool:
    """Put a block in place of its rows' bulk, and move the cursor; False where the session is another one by now.

    Args:
        cursor: Inside a write transaction.
        item: The session as it was read.
        run: What follows on where the cursor is believed to be.
    """
    row = cursor.execute("SELECT version, last_seq, clean_seq FROM counter WHERE sn = ?", (item.sn,)).fetchone()
    if row is None or row[0] != item.version:
        return False
    seen = cursor.execute("SELECT seq FROM follower_seq WHERE sn = ? AND name = ?", (item.sn, COMPACT)).fetchone()
    if run.after_seq != (0 if seen is None else seen[0]):  # another process was faster
        return False
    _, last_seq, clean_seq = row
    if run.body:
        first_pos, last_pos = (item.sn << 32) + run.first_seq, (item.sn << 32) + run.last_seq
        _slim(cursor, first_pos, last_pos, run.event_count)
        cursor.execute("DELETE FROM event_source WHERE pos BETWEEN ? AND ?", (first_pos, last_pos))
        cursor.execute(
            "INSERT INTO block(last_pos, first_pos, revision, event_count, body) VALUES(?, ?, 1, ?, ?)",
            (last_pos, first_pos, run.event_count, run.body),
        )
    cursor.execute("INSERT OR REPLACE INTO follower_seq(sn, name, seq) VALUES(?, ?, ?)", (item.sn, COMPACT, run.last_seq))
    if run.last_seq >= last_seq:
        leave_list(cursor, COMPACT, item.sn, last_seq=last_seq, clean_seq=clean_seq)
    return True


def _slim(cursor: sqlite3.Cursor, first_pos: int, last_pos: int, count: int) -> None:
    """Take the bulk out of rows.

    They are deleted and inserted again, because SQLite joins pages that have become empty only when it deletes: updated in place, the 11,774
    rows of the transcripts took 10.3 MB, this way 2.1 MB, for 0.25 ms more per block.
    """
    rows = cursor.execute(_SLIM, (first_pos, last_pos)).fetchall()
    assert len(rows) == count, "the version says that the events are those that were read"
    cursor.execute("DELETE FROM event WHERE pos BETWEEN ? AND ?", (first_pos, last_pos))
    cursor.executemany(INSERT_EVENT, rows)


def leave_list(cursor: sqlite3.Cursor, follower: str, sn: int, *, last_seq: int, clean_seq: int) -> bool:
    """Take a session off a follower's list; ``clean_seq`` tells the next append to put it back on all lists. Whether the version moved."""
    cursor.execute("DELETE FROM changed WHERE name = ? AND sn = ?", (follower, sn))
    if clean_seq == last_seq:
        return False
    cursor.execute("UPDATE counter SET version = version + 1, clean_seq = last_seq WHERE sn = ?", (sn,))
    return True


# ---- parts -------------------------------------------------------------------------------------------------------------------------------
def read_parts(cursor: sqlite3.Cursor, sn: int) -> list[tuple[int, int, bytes, int]]:
    """Compress the next parts of a session: row, form, body, and size before."""
    found = cursor.execute("SELECT rowid, body FROM part WHERE sn = ? AND form = ? LIMIT ?", (sn, RAW_FORM, PARTS_STEP)).fetchall()
    out: list[tuple[int, int, bytes, int]] = []
    for rowid, body in found:
        packed = zlib.compress(body)
        worth = len(packed) <= len(body) * BLOCK_RATIO_MAX
        out.append((rowid, ZLIB_FORM if worth else KEPT_FORM, packed if worth else body, len(body)))
    return out


def write_parts(cursor: sqlite3.Cursor, parts: list[tuple[int, int, bytes, int]]) -> None:
    """Put the compressed parts in place of what they were; one that was erased meanwhile stays erased."""
    for rowid, form, body, _ in parts:
        if form == ZLIB_FORM:
            cursor.execute("UPDATE part SET body = ?, form = ? WHERE rowid = ? AND form = ?", (body, form, rowid, RAW_FORM))
        else:
            cursor.execute("UPDATE part SET form = ? WHERE rowid = ? AND form = ?", (form, rowid, RAW_FORM))


def part_of(body: bytes, form: int) -> bytes:
    """Return a part as it came."""
    return zlib.decompress(body) if form == ZLIB_FORM else bytes(body)
