"""The long way of a commit: under the session's lock, everything is read, checked by ``core.checks``, and written.

Here the exact error of a refused commit is found, and the rare kinds are done: redaction, pruning, logs from elsewhere, several logs at once,
guards. A session that is not there yet cannot be locked; whoever loses the race to create it meets a unique violation, and begins again.
"""

from __future__ import annotations

import msgspec

from turnfold.core.checks import (
    check_commit,
    check_ids,
    check_limits,
    check_owner_sessions,
    check_scope,
    check_whole,
    creation_of,
    first_state,
)
from turnfold.core.lifecycle import OPEN
from turnfold.errors import AlreadyExists, InvalidInput, StoreUnavailable
from turnfold.ids import check_session_id
from turnfold.model.commit import Commit, Committed, Redact, Verbatim
from turnfold.model.event import MAIN, Event, RangeTombstone
from turnfold.model.session import BRANCH_KEYED, SessionKey
from turnfold.stores.postgres.lookup import Live, SessionLookup, find_repeat, lock
from turnfold.stores.postgres.packing import commit_call, create_call, entry_arrays, event_arrays, parent_session
from turnfold.stores.postgres.transaction import Transaction, transaction
from turnfold.stores.postgres.values import blobs, name, names, numbers
from turnfold.stores.postgres.wire import UNIQUE_VIOLATION, Refused, Wire
from turnfold.stores.sql.rows import redacted_extra

_RACES_MAX = 8
_OF = "tenant = $1 AND session_id = $2 AND gen = $3"
_encode = msgspec.json.Encoder().encode
_COUNT_OPEN = (
    "SELECT count(*) FROM session s JOIN counter c ON c.tenant = s.tenant AND c.session_id = s.session_id WHERE s.tenant = $1 "
    "AND s.kind = 'session' AND NOT s.dead AND s.owner IS NOT DISTINCT FROM $2 AND c.status = ANY($3) "
    "AND (c.expires_at_us IS NULL OR c.expires_at_us > $4)"
)
_LOCK_OWNER = "SELECT pg_advisory_xact_lock(1414940486, hashtext($1::text))"
_INSERT_VERBATIM = (
    "INSERT INTO event(tenant, session_id, gen, seq, id, type, data, at_us, recorded_at_us, branch, run_id, message_id, parent_id, visibility, "
    "message_count, turn_count, token_count, usage, extra, meta, salt, digest) "
    "SELECT $1, $2, $3, x.seq, x.id, x.type, x.data, x.at, x.recorded, nullif(x.branch, ''), x.run, x.message, x.parent, x.visibility, "
    "x.messages, x.turns, x.tokens, x.usage, x.extra, x.meta, x.salt, x.digest "
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
_DROP_ENTRY = f"DELETE FROM entry WHERE {_OF} AND kind = $4 AND name = $5 AND branch = $6"


def commit_slowly(wire: Wire, commit: Commit, now_us: int | None, key: bytes | None) -> Committed:
    """Check a commit, and those that go with it, then write them.

    Raises:
        TurnfoldError: Why it is refused; nothing is written.
    """
    commits = (commit, *commit.also)
    if len({item.key for item in commits}) != len(commits):
        raise InvalidInput("the commits of one transaction go to different logs")
    if any(item.also for item in commit.also):
        raise InvalidInput("a commit in also has no also of its own")
    for _ in range(_RACES_MAX):
        try:
            return _attempt(wire, commits, now_us, key)
        except Refused as error:
            if error.state != UNIQUE_VIOLATION:  # somebody created the session meanwhile: now it is there and can be locked
                raise
    raise StoreUnavailable(f"session {commit.key.session_id!r} is created and deleted all the time", hint="try again")


def _attempt(wire: Wire, commits: tuple[Commit, ...], now_us: int | None, key: bytes | None) -> Committed:
    with transaction(wire, commits[0].key.tenant) as opened:
        results: dict[SessionKey, Committed] = {}
        plans: dict[SessionKey, Live | Committed | None] = {}
        for commit in sorted(commits, key=_key):  # one order, so that two of them do not wait for each other
            _enter(opened, commit.key)
            live = lock(opened, commit.key)
            plans[commit.key] = _plan(opened, commit, live, _now(opened, live, now_us), key)
        for commit in commits:
            _enter(opened, commit.key)
            results[commit.key] = _apply(opened, commit, plans[commit.key], now_us)
    return results[commits[0].key]


def _key(commit: Commit) -> SessionKey:
    return commit.key


def _enter(opened: Transaction, key: SessionKey) -> None:
    opened.later("SELECT set_config('turnfold.tenant', $1, true)", key.tenant)


def _now(opened: Transaction, live: Live | None, now_us: int | None) -> int:
    if now_us is not None:
        return now_us
    return live.clock_us if live is not None else int(opened.rows("SELECT clock_us()")[0][0])


# ---- checking ----------------------------------------------------------------------------------------------------------------------------
def _plan(opened: Transaction, commit: Commit, live: Live | None, now_us: int, key: bytes | None) -> Live | Committed | None:
    """Return the session that a checked commit goes to, None if it creates one, or the answer if it is a repeat."""
    if live is None:
        _plan_creation(opened, commit, now_us)
        return None
    check_scope(commit, owner=live.owner, incarnation=live.incarnation)
    done = find_repeat(opened, live, commit, key)
    if done is not None:
        return done
    if commit.verbatim is not None:
        raise AlreadyExists(f"session {commit.key.session_id!r} exists already", kind="session", name=commit.key.session_id)
    check_commit(commit, live.state(), now_us, SessionLookup(opened, commit.key, live.gen))
    return live


def _plan_creation(opened: Transaction, commit: Commit, now_us: int) -> None:
    genesis = creation_of(commit)
    check_session_id(commit.key.session_id)
    ids = [event.id for event in commit.events]
    if commit.verbatim is not None:
        check_ids(ids, [False] * len(ids), [])
        check_whole([event.seq for event in commit.events], commit.verbatim.ranges)
        return
    ids.append(genesis.event.id)
    check_ids(ids, [False] * len(ids), [])
    state = first_state(genesis)
    check_commit(commit, state, now_us, SessionLookup(opened, commit.key, 0))
    check_limits(commit.limits, state, commit, created=1)
    if genesis.owner_sessions_max is not None and genesis.kind == "session":
        scope = f"{commit.key.tenant}\0{genesis.owner}"  # one creation of an owner at a time, so that the count is exact
        opened.later(_LOCK_OWNER, scope)
        count = opened.rows(_COUNT_OPEN, commit.key.tenant, genesis.owner, names(sorted(OPEN)), now_us)[0][0]
        check_owner_sessions(genesis, count)


# ---- writing -----------------------------------------------------------------------------------------------------------------------------
def _apply(opened: Transaction, commit: Commit, found: Live | Committed | None, now_us: int | None) -> Committed:
    if isinstance(found, Committed):
        return found
    if commit.verbatim is not None:
        return _restore(opened, commit, commit.verbatim, now_us)
    calls = []
    if found is None:
        calls.append(create_call(commit, creation_of(commit), now_us))
    calls.append(commit_call(commit, now_us, checked_on=MAIN if found is None else found.active_branch))
    last_seq, recorded_at_us, incarnation, branch = opened.calls(calls)[-1][0]
    gen = found.gen if found is not None else _gen(opened, commit.key)
    for redact in commit.redacts:
        _redact(opened, commit.key, gen, redact)
    for pruned in commit.prune:
        _prune(opened, commit.key, gen, pruned)
    for entry in commit.change.entries:
        if entry.kind == "parent":
            _set_parent(opened, commit.key, gen, entry.value)
    count = len(commit.events)
    return Committed(
        last_seq - count + 1 if count else 0,
        last_seq if count else 0,
        created=found is None,
        incarnation=incarnation,
        branch=branch,
        recorded_at_us=recorded_at_us,
    )


def _gen(opened: Transaction, key: SessionKey) -> int:
    return int(opened.rows("SELECT gen::bigint FROM counter WHERE tenant = $1 AND session_id = $2", *key)[0][0])


def _set_parent(opened: Transaction, key: SessionKey, gen: int, value: bytes | None) -> None:
    opened.later(f"UPDATE session SET parent_id = $4 WHERE {_OF}", *key, gen, parent_session(value))


def _redact(opened: Transaction, key: SessionKey, gen: int, redact: Redact) -> None:
    """Erase a payload and everything that was made of it."""
    of = (*key, gen)
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
            _set_parent(opened, key, gen, entry.value)


def _prune(opened: Transaction, key: SessionKey, gen: int, pruned: RangeTombstone) -> None:
    """Put the tombstone in place of its events and of the ranges that it holds."""
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


def _restore(opened: Transaction, commit: Commit, verbatim: Verbatim, now_us: int | None) -> Committed:
    """Fill an empty incarnation with a log as it was elsewhere."""
    key, events, change = commit.key, commit.events, commit.change
    genesis = creation_of(commit)
    opened.calls([create_call(commit, genesis, now_us, with_event=False)])
    gen = _gen(opened, key)
    of = (*key, gen)
    forks = [event.seq for event in events if event.branch not in {"", MAIN} or event.type == "branch.created"]
    forked_seq = min(forks) if forks else None
    stored = [_forked(event, forked_seq) for event in events]
    opened.later(
        _INSERT_VERBATIM, *of, numbers([e.seq for e in stored]), numbers([e.recorded_at_us for e in stored]), *event_arrays(stored)[:-1]
    )
    lines = [(event.seq, event.source) for event in events if event.source is not None]
    opened.later(_INSERT_SOURCES, *of, numbers([seq for seq, _ in lines]), blobs([line for _, line in lines]))
    for pruned in verbatim.ranges:
        _prune(opened, key, gen, pruned)
    for place, seal in enumerate(verbatim.seals):
        sql = "INSERT INTO seal(tenant, session_id, gen, place, upto_seq, previous, root, at_us, signature) VALUES($1,$2,$3,$4,$5,$6,$7,$8,$9)"
        opened.later(sql, *of, place, seal.upto_seq, seal.previous, seal.root, seal.at_us, seal.signature)
    for entry in change.entries:
        event = events[entry.seq]
        branch = (entry.branch or event.branch or MAIN) if entry.kind in BRANCH_KEYED else ""
        if entry.value is None and entry.kind not in BRANCH_KEYED:
            opened.later(_DROP_ENTRY, *of, entry.kind, entry.name, branch)
        else:
            opened.later(_PUT_ENTRY, *of, entry.kind, entry.name, branch, entry.value, event.seq)
    # what is left (sums, runs, parts, status) is a commit without events and entries
    rest = msgspec.structs.replace(commit, events=(), verbatim=None, change=msgspec.structs.replace(change, entries=(), expires_at_us=None))
    _, _, incarnation, branch = opened.calls([commit_call(rest, now_us, checked_on=MAIN)])[0][0]
    expires_at_us = change.expires_at_us or None if change.expires_at_us is not None else genesis.expires_at_us
    if genesis.ttl_s is not None and events:
        expires_at_us = events[-1].recorded_at_us + int(genesis.ttl_s * 1_000_000)
    last_seq = check_whole([event.seq for event in events], verbatim.ranges)
    opened.later(
        "UPDATE counter SET last_seq = $3, updated_at_us = $4, listed_at_us = $4, expires_at_us = $5, forked_seq = $6, touched = false "
        "WHERE tenant = $1 AND session_id = $2",
        *key,
        last_seq,
        verbatim.updated_at_us,
        expires_at_us,
        forked_seq,
    )
    sql = f"UPDATE session SET created_at_us = $4, listed_at_us = $5, touched = false, parent_id = $6 WHERE {_OF}"
    parent = next((entry.value for entry in change.entries if entry.kind == "parent"), None)
    opened.later(sql, *of, verbatim.created_at_us, verbatim.updated_at_us, parent_session(parent))
    branch = change.active_branch or MAIN
    first, last = (events[0].seq, events[-1].seq) if events else (0, 0)
    return Committed(first, last, created=True, incarnation=incarnation, branch=branch, recorded_at_us=verbatim.updated_at_us)


def _forked(event: Event, forked_seq: int | None) -> Event:
    """The event with the branch that its row names: none before the session's first fork."""
    branch = (event.branch or MAIN) if forked_seq is not None and event.seq >= forked_seq else ""
    return msgspec.structs.replace(event, branch=branch)


__all__ = ["commit_slowly", "entry_arrays", "name"]
