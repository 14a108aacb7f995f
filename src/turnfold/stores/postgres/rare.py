"""What the long way writes beside ``commit_events``: redactions, ranges, and logs as they were elsewhere. Nothing here refuses."""

from __future__ import annotations

from typing import Final

import msgspec

from turnfold.core.checks import check_whole, creation_of
from turnfold.model.commit import Commit, Committed, Redact, Verbatim
from turnfold.model.event import MAIN, Event, RangeTombstone
from turnfold.model.session import BRANCH_KEYED, SessionKey
from turnfold.stores.postgres.blocks import forget, take_out
from turnfold.stores.postgres.lookup import Live
from turnfold.stores.postgres.packing import commit_call, create_call, event_arrays, parent_session
from turnfold.stores.postgres.transaction import Transaction
from turnfold.stores.postgres.values import blobs, names, numbers
from turnfold.stores.sql.rows import redacted_extra

_OF: Final = "tenant = $1 AND session_id = $2 AND gen = $3"
_encode = msgspec.json.Encoder().encode
_INSERT_VERBATIM = (
    "INSERT INTO event(tenant, session_id, gen, seq, id, type, rare, data, at_us, recorded_at_us, branch, run_id, message_id, parent_id, "
    "visibility, message_count, turn_count, token_count, usage, extra, meta, salt, digest) "
    "SELECT $1, $2, $3, x.seq, x.id, x.type, rare_of(x.type), x.data, x.at, x.recorded, nullif(x.branch, ''), x.run, x.message, "
    "x.parent, x.visibility, x.messages, x.turns, x.tokens, x.usage, x.extra, x.meta, x.salt, x.digest "
    "FROM unnest($4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bytea[], $9::bigint[], $10::text[], $11::text[], $12::text[], "
    "$13::text[], $14::text[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bytea[], $19::bytea[], $20::bytea[], $21::bytea[], "
    "$22::bytea[]) AS x(seq, recorded, id, type, data, at, branch, run, message, parent, visibility, messages, turns, tokens, usage, extra, "
    "meta, salt, digest)"
)
_INSERT_SOURCES = (
    "INSERT INTO event_source(tenant, session_id, gen, seq, line) SELECT $1, $2, $3, x.seq, x.line "
    "FROM unnest($4::bigint[], $5::bytea[]) AS x(seq, line)"
)
_PUT_ENTRY = (
    "INSERT INTO entry(tenant, session_id, gen, kind, name, branch, value, seq) VALUES($1, $2, $3, $4, $5, $6, $7, $8) "
    "ON CONFLICT (tenant, session_id, gen, kind, name, branch) DO UPDATE SET value = excluded.value, seq = excluded.seq"
)
INSERT_SEAL: Final = (
    "INSERT INTO seal(tenant, session_id, gen, place, upto_seq, previous, root, at_us, signature) "
    "VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9)"
)
_DROP_ENTRY = f"DELETE FROM entry WHERE {_OF} AND kind = $4 AND name = $5 AND branch = $6"


def gen_of(opened: Transaction, key: SessionKey) -> int:
    """Return which creation of the session lives."""
    return int(opened.rows("SELECT gen::bigint FROM counter WHERE tenant = $1 AND session_id = $2", *key)[0][0])


def set_parent(opened: Transaction, key: SessionKey, gen: int, value: bytes | None) -> None:
    """Keep the session that the head entry ``parent`` names, for lists."""
    opened.later(f"UPDATE session SET parent_id = $4 WHERE {_OF}", *key, gen, parent_session(value))


def redact(opened: Transaction, key: SessionKey, gen: int, redact: Redact) -> None:
    """Erase a payload and everything that was made of it."""
    of = (*key, gen)
    take_out(opened, key, gen, redact.seq)
    extra = opened.rows(f"SELECT extra FROM event WHERE {_OF} AND seq = $4", *of, redact.seq)[0][0]
    sql = f"UPDATE event SET data = $5, meta = NULL, salt = '', extra = $6 WHERE {_OF} AND seq = $4"
    opened.later(sql, *of, redact.seq, redact.tombstone, redacted_extra(extra))
    opened.later(f"DELETE FROM event_source WHERE {_OF} AND seq = $4", *of, redact.seq)
    opened.later(f"DELETE FROM search_row WHERE {_OF} AND seq = $4", *of, redact.seq)
    if redact.parts:
        opened.later(f"DELETE FROM part WHERE {_OF} AND ref = ANY($4)", *of, names(redact.parts))
    for entry in redact.entries:
        place = (*of, entry.kind, entry.name, entry.branch, redact.seq)
        if entry.value is None and entry.kind not in BRANCH_KEYED:
            opened.later(f"{_DROP_ENTRY} AND seq = $7", *place)
        else:
            sql = f"UPDATE entry SET value = $8 WHERE {_OF} AND kind = $4 AND name = $5 AND branch = $6 AND seq = $7"
            opened.later(sql, *place, entry.value)
        if entry.kind == "parent":
            set_parent(opened, key, gen, entry.value)


def prune(opened: Transaction, key: SessionKey, gen: int, pruned: RangeTombstone) -> None:
    """Put the tombstone in place of its events and of the ranges that it holds."""
    forget(opened, key, gen, pruned.first_seq, pruned.last_seq)
    of = (*key, gen, pruned.first_seq, pruned.last_seq)
    for table in ("event", "event_source", "search_row"):
        opened.later(f"DELETE FROM {table} WHERE {_OF} AND seq BETWEEN $4 AND $5", *of)
    opened.later(f"DELETE FROM range_tombstone WHERE {_OF} AND last_seq BETWEEN $4 AND $5", *of)
    opened.later(
        "INSERT INTO range_tombstone(tenant, session_id, gen, first_seq, last_seq, ids, leaves, reason, at_us) "
        "VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        *of,
        _encode(pruned.ids),
        pruned.leaves,
        pruned.reason,
        pruned.at_us,
    )
    opened.later(
        "INSERT INTO pruned_id(tenant, session_id, gen, id, seq) SELECT $1, $2, $3, x.id, x.seq "
        "FROM unnest($4::text[], $5::bigint[]) AS x(id, seq) ON CONFLICT (tenant, session_id, gen, id) DO UPDATE SET seq = excluded.seq",
        *key,
        gen,
        names(pruned.ids),
        numbers(range(pruned.first_seq, pruned.last_seq + 1)),
    )
    opened.later("UPDATE counter SET pruned = true WHERE tenant = $1 AND session_id = $2", *key)


def restore(opened: Transaction, commit: Commit, verbatim: Verbatim, live: Live | None, now_us: int | None) -> Committed:
    """Fill an empty incarnation (``live`` None), or continue one, with a log as it was elsewhere."""
    key, events, change = commit.key, commit.events, commit.change
    if live is None:
        opened.calls([create_call(commit, creation_of(commit), now_us, with_event=False)])
    gen = gen_of(opened, key) if live is None else live.gen
    of = (*key, gen)
    forked_seq = None if live is None else live.forked_seq
    if forked_seq is None:
        forks = [event.seq for event in events if event.branch not in {"", MAIN} or event.type == "branch.created"]
        forked_seq = min(forks) if forks else None
    _insert(opened, (key, gen), [_forked(event, forked_seq) for event in events])
    for pruned in verbatim.ranges:
        prune(opened, key, gen, pruned)
    for place, seal in enumerate(verbatim.seals):
        opened.later(INSERT_SEAL, *of, place, seal.upto_seq, seal.previous, seal.root, seal.at_us, seal.signature)
    _put_entries(opened, of, commit)
    # what is left (sums, runs, parts, status) is a commit without events and entries
    rest = msgspec.structs.replace(commit, events=(), verbatim=None, change=msgspec.structs.replace(change, entries=(), expires_at_us=None))
    _, _, incarnation, branch = opened.answer([commit_call(rest, now_us, checked_on=MAIN if live is None else live.active_branch)])
    last_seq = check_whole([event.seq for event in events], verbatim.ranges, after_seq=verbatim.after_seq)
    opened.later(
        "UPDATE counter SET last_seq = $3, updated_at_us = $4, listed_at_us = $4, expires_at_us = $5, forked_seq = $6, touched = false "
        "WHERE tenant = $1 AND session_id = $2",
        *key,
        last_seq,
        verbatim.updated_at_us,
        _expiry(commit, live),
        forked_seq,
    )
    opened.later(f"UPDATE session SET listed_at_us = $4, touched = false WHERE {_OF}", *of, verbatim.updated_at_us)
    opened.later("INSERT INTO changed(tenant, session_id, name) SELECT $1, $2, name FROM follower ON CONFLICT DO NOTHING", *key)
    if live is None:
        opened.later(f"UPDATE session SET created_at_us = $4 WHERE {_OF}", *of, verbatim.created_at_us)
    first, last = (events[0].seq, events[-1].seq) if events else (0, 0)
    return Committed(
        first,
        last,
        created=live is None,
        incarnation=incarnation,
        branch=change.active_branch or branch,
        recorded_at_us=verbatim.updated_at_us,
    )


def _insert(opened: Transaction, of: tuple[SessionKey, int], events: list[Event]) -> None:
    key, gen = of
    seqs, times = numbers([event.seq for event in events]), numbers([event.recorded_at_us for event in events])
    opened.later(_INSERT_VERBATIM, *key, gen, seqs, times, *event_arrays(events)[:-1])
    lines = [(event.seq, event.source) for event in events if event.source is not None]
    opened.later(_INSERT_SOURCES, *key, gen, numbers([seq for seq, _ in lines]), blobs([line for _, line in lines]))


def _forked(event: Event, forked_seq: int | None) -> Event:
    """The event with the branch that its row names: none before the session's first fork."""
    branch = (event.branch or MAIN) if forked_seq is not None and event.seq >= forked_seq else ""
    return msgspec.structs.replace(event, branch=branch)


def _put_entries(opened: Transaction, of: tuple[str, str, int], commit: Commit) -> None:
    for entry in commit.change.entries:
        event = commit.events[entry.seq]
        branch = (entry.branch or event.branch or MAIN) if entry.kind in BRANCH_KEYED else ""
        if entry.value is None and entry.kind not in BRANCH_KEYED:
            opened.later(_DROP_ENTRY, *of, entry.kind, entry.name, branch)
        else:
            opened.later(_PUT_ENTRY, *of, entry.kind, entry.name, branch, entry.value, event.seq)
        if entry.kind == "parent":
            opened.later(f"UPDATE session SET parent_id = $4 WHERE {_OF}", *of, parent_session(entry.value))


def _expiry(commit: Commit, live: Live | None) -> int | None:
    """When the session expires, as the log says: its time to live counts from the last event."""
    change, genesis = commit.change, commit.genesis
    expires_at_us = live.expires_at_us if live is not None else creation_of(commit).expires_at_us
    if change.expires_at_us is not None:
        expires_at_us = change.expires_at_us or None
    ttl_us = live.ttl_us if live is not None else None
    if live is None and genesis is not None and genesis.ttl_s is not None:
        ttl_us = int(genesis.ttl_s * 1_000_000)
    return commit.events[-1].recorded_at_us + ttl_us if ttl_us is not None and commit.events else expires_at_us
