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
    check_verbatim,
    creation_of,
    first_state,
)
from turnfold.core.lifecycle import OPEN
from turnfold.errors import InvalidInput, StoreUnavailable
from turnfold.ids import check_session_id
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import MAIN
from turnfold.model.session import SessionKey
from turnfold.stores.postgres.lookup import Live, SessionLookup, find_repeat, lock
from turnfold.stores.postgres.packing import commit_call, create_call
from turnfold.stores.postgres.rare import gen_of, prune, restore, set_parent
from turnfold.stores.postgres.rare import redact as erase
from turnfold.stores.postgres.transaction import Transaction, transaction
from turnfold.stores.postgres.values import names
from turnfold.stores.postgres.wire import SET_TENANT, UNIQUE_VIOLATION, Refused, Wire

_RACES_MAX = 8
_OF = "tenant = $1 AND session_id = $2 AND gen = $3"
_encode = msgspec.json.Encoder().encode
_COUNT_OPEN = (
    "SELECT count(*) FROM session s JOIN counter c ON c.tenant = s.tenant AND c.session_id = s.session_id WHERE s.tenant = $1 "
    "AND s.kind = 'session' AND NOT s.dead AND s.owner IS NOT DISTINCT FROM $2 AND c.status = ANY($3) "
    "AND (c.expires_at_us IS NULL OR c.expires_at_us > $4)"
)
_LOCK_OWNER = "SELECT pg_advisory_xact_lock(1414940486, hashtext($1::text))"


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
    opened.later(SET_TENANT, key.tenant)


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
        check_verbatim(commit, live.state())
        return live
    check_commit(commit, live.state(), now_us, SessionLookup(opened, commit.key, live.gen))
    return live


def _plan_creation(opened: Transaction, commit: Commit, now_us: int) -> None:
    genesis = creation_of(commit)
    check_session_id(commit.key.session_id)
    if commit.verbatim is not None:
        check_verbatim(commit, None)
        return
    ids = [*(event.id for event in commit.events), genesis.event.id]
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
        return restore(opened, commit, commit.verbatim, found, now_us)
    calls = []
    if found is None:
        calls.append(create_call(commit, creation_of(commit), now_us))
    calls.append(commit_call(commit, now_us, checked_on=MAIN if found is None else found.active_branch))
    last_seq, recorded_at_us, incarnation, branch = opened.answer(calls)
    gen = found.gen if found is not None else gen_of(opened, commit.key)
    for redact in commit.redacts:
        erase(opened, commit.key, gen, redact)
    for pruned in commit.prune:
        prune(opened, commit.key, gen, pruned)
    for entry in commit.change.entries:
        if entry.kind == "parent":
            set_parent(opened, commit.key, gen, entry.value)
    count = len(commit.events)
    return Committed(
        last_seq - count + 1 if count else 0,
        last_seq if count else 0,
        created=found is None,
        incarnation=incarnation,
        branch=branch,
        recorded_at_us=recorded_at_us,
    )
