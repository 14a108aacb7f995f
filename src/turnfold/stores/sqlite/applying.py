"""What a checked commit writes. Nothing here refuses: the decision has been made on the same rows in the same transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from turnfold.core.checks import check_whole
from turnfold.core.fold import INFO_KINDS, info_fields, latest_us
from turnfold.limits import LIST_GRAIN_S
from turnfold.model.commit import Commit, Genesis, HeadChange, Redact, Verbatim
from turnfold.model.event import MAIN, Event
from turnfold.model.run import Run
from turnfold.model.session import BRANCH_KEYED, Entry, SessionKey
from turnfold.model.usage import NO_USAGE
from turnfold.stores.sql.rows import ListInfo, event_row, redacted_extra
from turnfold.stores.sqlite.blocks import take_out
from turnfold.stores.sqlite.indexing import erase_rows
from turnfold.stores.sqlite.live import Live, load_live
from turnfold.stores.sqlite.ranges import write_range
from turnfold.stores.sqlite.rows import INSERT_EVENT
from turnfold.stores.sqlite.seals import insert_seal

LIST_GRAIN_US: Final = LIST_GRAIN_S * 1_000_000

UPDATE_PLAIN: Final = (
    "UPDATE counter SET last_seq = ?, message_count = ?, turn_count = ?, token_count = token_count + ?, updated_at_us = ?, "
    "expires_at_us = ? WHERE sn = ? AND last_seq = ? AND version = ?"
)
_UPDATE_ALL: Final = (
    "UPDATE counter SET version = ?, last_seq = ?, message_count = ?, turn_count = ?, token_count = token_count + ?, updated_at_us = ?, "
    "expires_at_us = ?, status = ?, branch_count = ?, checkpoint_count = ?, active_branch = ?, forked_seq = ?, pruned = ? WHERE sn = ?"
)
_ADD_USAGE: Final = (
    "UPDATE counter SET input_tokens = input_tokens + ?, output_tokens = output_tokens + ?, "
    "cache_read_input_tokens = cache_read_input_tokens + ?, cache_creation_input_tokens = cache_creation_input_tokens + ?, "
    "reasoning_output_tokens = reasoning_output_tokens + ?, cost_microusd = cost_microusd + ? WHERE sn = ?"
)
_ADD_MODEL_USAGE: Final = (
    "INSERT INTO usage_by_model(sn, model, input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens, "
    "reasoning_output_tokens, cost_microusd) VALUES(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(sn, model) DO UPDATE SET "
    "input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens, "
    "cache_read_input_tokens = cache_read_input_tokens + excluded.cache_read_input_tokens, "
    "cache_creation_input_tokens = cache_creation_input_tokens + excluded.cache_creation_input_tokens, "
    "reasoning_output_tokens = reasoning_output_tokens + excluded.reasoning_output_tokens, "
    "cost_microusd = cost_microusd + excluded.cost_microusd"
)
_MARK_CHANGED: Final = "INSERT OR IGNORE INTO changed(name, sn) SELECT name, ? FROM follower"
_run_encode = msgspec.json.Encoder().encode


def insert_session(cursor: sqlite3.Cursor, key: SessionKey, genesis: Genesis) -> Live:
    """Create the rows of a new incarnation, empty, before its genesis event. Spent fences of dead ones stay spent."""
    fence = cursor.execute(
        "SELECT ifnull(max(fence), 0) FROM session WHERE tenant = ? AND session_id = ? AND dead > 0",
        key,
    ).fetchone()[0]
    cursor.execute(
        "INSERT INTO session(tenant, session_id, incarnation, owner, agent, kind, listed_at_us, created_at_us) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
        (*key, genesis.incarnation, genesis.owner, genesis.agent, genesis.kind, genesis.event.at_us, genesis.event.at_us),
    )
    ttl_us = None if genesis.ttl_s is None else int(genesis.ttl_s * 1_000_000)
    cursor.execute(
        "INSERT INTO counter(sn, status, updated_at_us, expires_at_us, ttl_us, fence) VALUES(?, ?, ?, ?, ?, ?)",
        (cursor.lastrowid, genesis.status, genesis.event.at_us, genesis.expires_at_us, ttl_us, fence),
    )
    live = load_live(cursor, key)
    assert live is not None
    live.touched = 1  # until it is written whole, and ``list_new`` gives it its place
    return live


def insert_events(cursor: sqlite3.Cursor, live: Live, events: Sequence[Event], branches: Sequence[str], now_us: int) -> None:
    """Append events behind the last one; their branch is NULL while the session has never forked."""
    pos = live.base + live.last_seq + 1
    forked = live.forked_seq is not None
    if len(events) == 1:
        event = events[0]
        cursor.execute(INSERT_EVENT, event_row(event, pos, now_us, branches[0] if forked else None))
    else:
        rows = (
            event_row(event, at, now_us, branch if forked else None)
            for at, event, branch in zip(range(pos, pos + len(events)), events, branches, strict=True)
        )
        cursor.executemany(INSERT_EVENT, rows)
    insert_sources(cursor, pos, events)


def insert_sources(cursor: sqlite3.Cursor, pos: int, events: Sequence[Event]) -> None:
    """Keep source lines beside the log: a table of their own, so that reading without them touches none of their pages."""
    rows = [(at, event.source) for at, event in enumerate(events, pos) if event.source is not None]
    if rows:
        cursor.executemany("INSERT INTO event_source(pos, line) VALUES(?, ?)", rows)


def mark_changed(cursor: sqlite3.Cursor, live: Live) -> None:
    """Put the session on every follower's list, if it was on none of those that caught up last."""
    if live.last_seq == live.clean_seq:
        cursor.execute(_MARK_CHANGED, (live.sn,))


def relist(cursor: sqlite3.Cursor, live: Live) -> None:
    """Move the session in the lists, if it leaves its place there for the first time or is a grain ahead of it (see ``listing``)."""
    if not live.touched or live.updated_at_us > live.listed_at_us + LIST_GRAIN_US:
        _list(cursor, live, touched=1)


def list_new(cursor: sqlite3.Cursor, live: Live) -> None:
    """Give a new session its exact place in the lists."""
    _list(cursor, live, touched=0)


def _list(cursor: sqlite3.Cursor, live: Live, touched: int) -> None:
    cursor.execute("UPDATE session SET listed_at_us = ?, touched = ? WHERE sn = ?", (live.updated_at_us, touched, live.sn))
    live.listed_at_us, live.touched = live.updated_at_us, touched


def write_sums(cursor: sqlite3.Cursor, sn: int, change: HeadChange) -> None:
    """Add usage, in total and by model."""
    if change.usage is not NO_USAGE and change.usage != NO_USAGE:
        cursor.execute(_ADD_USAGE, (*change.usage.numbers(), sn))
    for usage in change.usage_by_model:
        cursor.execute(_ADD_MODEL_USAGE, (sn, usage.model, *usage.numbers()))


def write_entries(cursor: sqlite3.Cursor, sn: int, entries: Sequence[Entry], places: Sequence[tuple[int, str]]) -> None:
    """Set and remove head entries.

    Args:
        cursor: Of the writing connection.
        sn: The session's number.
        entries: Their ``seq`` is an index into ``places``.
        places: (seq, branch) of the commit's events.
    """
    for entry in entries:
        seq, event_branch = places[entry.seq]
        branch = (entry.branch or event_branch) if entry.kind in BRANCH_KEYED else ""
        if entry.value is None and entry.kind not in BRANCH_KEYED:
            cursor.execute("DELETE FROM entry WHERE sn = ? AND kind = ? AND name = ? AND branch = ?", (sn, entry.kind, entry.name, branch))
        else:
            cursor.execute(
                "INSERT OR REPLACE INTO entry(sn, kind, name, branch, value, seq) VALUES(?, ?, ?, ?, ?, ?)",
                (sn, entry.kind, entry.name, branch, entry.value, seq),
            )
    if any(entry.kind in INFO_KINDS for entry in entries):
        refresh_info(cursor, sn)


def refresh_info(cursor: sqlite3.Cursor, sn: int) -> None:
    """Pack the entries that lists show into the session's row, so that a list reads one row per session."""
    marks = ", ".join("?" * len(INFO_KINDS))
    rows = cursor.execute(
        f"SELECT kind, name, value, seq, branch FROM entry WHERE sn = ? AND kind IN ({marks})", (sn, *sorted(INFO_KINDS))
    ).fetchall()
    info = ListInfo(**info_fields(Entry(*row) for row in rows))
    parent_id = None if info.parent is None else info.parent.get("session_id")
    packed = _run_encode(info)
    cursor.execute(
        "UPDATE session SET info = ?, parent_id = ? WHERE sn = ?",
        (None if packed == b"{}" else packed, parent_id if isinstance(parent_id, str) else None, sn),
    )


def write_rows(cursor: sqlite3.Cursor, sn: int, runs: Sequence[Run], parts: Sequence[tuple[str, bytes]]) -> None:
    """Replace run rows, keep out-of-line parts."""
    for run in runs:
        cursor.execute("INSERT OR REPLACE INTO run(sn, id, status, body) VALUES(?, ?, ?, ?)", (sn, run.id, run.status, _run_encode(run)))
    for ref, body in parts:
        cursor.execute("INSERT OR IGNORE INTO part(sn, ref, body) VALUES(?, ?, ?)", (sn, ref, body))


def apply(cursor: sqlite3.Cursor, live: Live, commit: Commit, now_us: int) -> tuple[int, int]:
    """Write a checked commit to its session; return the first and last seq of its events (0, 0 without any).

    ``live`` is as in the database, and is brought up to date.
    """
    events, change = commit.events, commit.change
    default = live.active_branch if commit.branch is None else commit.branch
    branches = [event.branch or default for event in events]
    first = live.last_seq + 1
    if live.forked_seq is None and (any(name != MAIN for name in branches) or _forks(change)):
        live.forked_seq = first
    if events:
        insert_events(cursor, live, events, branches, now_us)
        mark_changed(cursor, live)
        live.last_seq += len(events)
        if live.ttl_us is not None:
            live.expires_at_us = now_us + live.ttl_us
    _update_counter(cursor, live, change, latest_us(events, live.updated_at_us) if events else None, pruned=bool(commit.prune))
    relist(cursor, live)
    write_sums(cursor, live.sn, change)
    write_entries(cursor, live.sn, change.entries, list(enumerate(branches, first)))
    write_rows(cursor, live.sn, commit.runs, commit.parts)
    for redact in commit.redacts:
        _redact(cursor, live.sn, redact)
    for pruned in commit.prune:
        erase_rows(cursor, live.sn, pruned.first_seq, pruned.last_seq)
        write_range(cursor, live.sn, pruned)
    return (first, live.last_seq) if events else (0, 0)


def _forks(change: HeadChange) -> bool:
    return any(entry.kind == "branch" for entry in change.entries)


def _update_counter(cursor: sqlite3.Cursor, live: Live, change: HeadChange, updated_at_us: int | None, *, pruned: bool) -> None:
    live.version += 1
    live.message_count += change.message_count
    live.turn_count += change.turn_count
    live.branch_count += change.branch_count
    live.checkpoint_count += change.checkpoint_count
    live.pruned = int(live.pruned or pruned)
    if change.active_branch is not None:
        live.active_branch = change.active_branch
    if change.expires_at_us is not None and (
        live.ttl_us is None or updated_at_us is None
    ):  # with a time to live, every event moves the expiry
        live.expires_at_us = change.expires_at_us or None
    if updated_at_us is not None:
        live.updated_at_us = updated_at_us
    if change.status is not None:
        live.status = change.status.to
        cursor.execute("UPDATE counter SET end_reason = ? WHERE sn = ?", (change.status.end_reason, live.sn))
    cursor.execute(
        _UPDATE_ALL,
        (
            live.version,
            live.last_seq,
            live.message_count,
            live.turn_count,
            change.token_count,
            live.updated_at_us,
            live.expires_at_us,
            live.status,
            live.branch_count,
            live.checkpoint_count,
            live.active_branch,
            live.forked_seq,
            live.pruned,
            live.sn,
        ),
    )


def _redact(cursor: sqlite3.Cursor, sn: int, redact: Redact) -> None:
    """Erase a payload and everything that was made of it."""
    pos = (sn << 32) + redact.seq
    erase_rows(cursor, sn, redact.seq, redact.seq)
    take_out(cursor, sn, redact.seq)
    extra = cursor.execute("SELECT extra FROM event WHERE pos = ?", (pos,)).fetchone()[0]
    cursor.execute(
        "UPDATE event SET data = ?, meta = NULL, salt = x'', extra = ? WHERE pos = ?",
        (redact.tombstone, redacted_extra(extra), pos),
    )
    cursor.execute("DELETE FROM event_source WHERE pos = ?", (pos,))
    for ref in redact.parts:
        cursor.execute("DELETE FROM part WHERE sn = ? AND ref = ?", (sn, ref))
    for entry in redact.entries:
        where = "WHERE sn = ? AND kind = ? AND name = ? AND branch = ? AND seq = ?"
        place = (sn, entry.kind, entry.name, entry.branch, redact.seq)
        if entry.value is None and entry.kind not in BRANCH_KEYED:
            cursor.execute(f"DELETE FROM entry {where}", place)
        else:
            cursor.execute(f"UPDATE entry SET value = ? {where}", (entry.value, *place))
    if any(entry.kind in INFO_KINDS for entry in redact.entries):
        refresh_info(cursor, sn)


def restore(cursor: sqlite3.Cursor, live: Live, commit: Commit, verbatim: Verbatim) -> tuple[int, int]:
    """Fill an empty incarnation, or continue one, with a log as it was elsewhere."""
    events = commit.events
    if live.forked_seq is None:
        forks = [event.seq for event in events if event.branch not in {"", MAIN} or event.type == "branch.created"]
        live.forked_seq = min(forks) if forks else None
    for event in events:
        branch = event.branch if live.forked_seq is not None and event.seq >= live.forked_seq else None
        cursor.execute(INSERT_EVENT, event_row(event, live.base + event.seq, event.recorded_at_us, branch))
        insert_sources(cursor, live.base + event.seq, (event,))
    for pruned in verbatim.ranges:
        write_range(cursor, live.sn, pruned)
    for place, seal in enumerate(verbatim.seals):
        insert_seal(cursor, live.sn, place, seal)
    mark_changed(cursor, live)
    live.last_seq = check_whole([event.seq for event in events], verbatim.ranges, after_seq=verbatim.after_seq)
    live.updated_at_us = verbatim.updated_at_us
    if commit.change.expires_at_us is not None:
        live.expires_at_us = commit.change.expires_at_us or None
    if live.ttl_us is not None and events:
        live.expires_at_us = events[-1].recorded_at_us + live.ttl_us
    _update_counter(
        cursor, live, msgspec.structs.replace(commit.change, expires_at_us=None), verbatim.updated_at_us, pruned=bool(verbatim.ranges)
    )
    if verbatim.after_seq:
        relist(cursor, live)
    else:
        live.created_at_us = verbatim.created_at_us
        cursor.execute("UPDATE session SET created_at_us = ? WHERE sn = ?", (live.created_at_us, live.sn))
    write_sums(cursor, live.sn, commit.change)
    write_entries(cursor, live.sn, commit.change.entries, [(event.seq, event.branch or MAIN) for event in events])
    write_rows(cursor, live.sn, commit.runs, commit.parts)
    return (events[0].seq, events[-1].seq) if events else (0, 0)
