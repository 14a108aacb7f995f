"""Reads: pages of events, heads, runs, parts. One round trip each, two for a branch of a forked session or behind a pruned range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from turnfold.core.branches import segments
from turnfold.core.checks import check_owner, not_found
from turnfold.core.filtering import bounds, check_page_limit, through
from turnfold.core.fold import branches_from, build_head
from turnfold.errors import NotFound, StoreCorrupt
from turnfold.model.event import MAIN, Event
from turnfold.model.query import ACTIVE_BRANCH, EventPage, EventQuery
from turnfold.model.run import Run
from turnfold.model.session import Entry, Head, SessionKey
from turnfold.model.usage import Usage
from turnfold.stores.postgres.blocks import FILL_ATTEMPTS_MAX, Missing, fill
from turnfold.stores.postgres.lookup import SELECT_RANGES, ranges_of
from turnfold.stores.postgres.values import names, original, original_or_none
from turnfold.stores.postgres.wire import SET_TENANT, Step, Wire
from turnfold.stores.sql.rows import events_of, session_info

Row = tuple[Any, ...]

FREQUENT_TYPES: Final = ("message", "message.delta", "tool.progress", "usage", "session.created", "branch.created")
"""Left out of the index ``event_rare``; the same list as in the function ``rare_of``."""
_COLUMNS: Final = (
    "e.seq, e.id, e.type, e.data, e.at_us, e.recorded_at_us, e.branch, e.run_id, e.message_id, e.parent_id, e.visibility, e.message_count, "
    "e.turn_count, e.token_count, e.usage, e.extra, e.meta, e.salt, e.digest"
)
_NAMES_AT: Final = (1, 2, 6, 7, 8, 9)
_FIND: Final = (
    "SELECT gen::bigint, incarnation, owner, last_seq, forked_seq, pruned, active_branch FROM counter WHERE tenant = $1 AND session_id = $2"
)
_IS: Final = "c.tenant = $1 AND c.session_id = $2"
HEAD_COLUMNS: Final = (
    "s.gen::bigint, s.session_id, s.tenant, s.incarnation, s.owner, s.agent, s.kind, s.created_at_us, NULL::bytea, c.status, c.end_reason, "
    "c.updated_at_us, c.expires_at_us, c.last_seq, c.message_count, c.turn_count, c.token_count, c.branch_count, c.active_branch, "
    "c.input_tokens, c.output_tokens, c.cache_read_input_tokens, c.cache_creation_input_tokens, c.reasoning_output_tokens, "
    "c.cost_microusd, c.ttl_us"
)
_HEAD_NAMES_AT: Final = (1, 2, 3, 4, 5, 6, 10, 18)
HEAD_TABLES: Final = "session s JOIN counter c ON c.tenant = s.tenant AND c.session_id = s.session_id AND c.gen = s.gen"
_HEAD: Final = f"SELECT {HEAD_COLUMNS}, clock_us() FROM {HEAD_TABLES} WHERE s.tenant = $1 AND s.session_id = $2"
_OF: Final = f"JOIN counter c ON c.tenant = t.tenant AND c.session_id = t.session_id AND c.gen = t.gen WHERE {_IS}"
_ENTRIES: Final = f"SELECT t.kind, t.name, t.value, t.seq, t.branch FROM entry t {_OF}"
_MODELS: Final = (
    "SELECT t.input_tokens, t.output_tokens, t.cache_read_input_tokens, t.cache_creation_input_tokens, t.reasoning_output_tokens, "
    f"t.cost_microusd, t.model FROM usage_by_model t {_OF}"
)
_VIEWER: Final = (
    "(e.extra IS NULL OR (SELECT (CASE json_typeof(x->5) WHEN 'array' THEN EXISTS(SELECT FROM json_array_elements(x->5) v "
    "WHERE v::text = {0}) ELSE true END) AND (CASE json_typeof(x->6) WHEN 'array' THEN NOT EXISTS(SELECT FROM json_array_elements(x->6) v "
    "WHERE v::text = {0}) ELSE true END) FROM (SELECT convert_from(e.extra, 'UTF8')::json AS x) j))"
)
"""Names are compared as the JSON that they were written as: PostgreSQL cannot decode every one of them."""
_run_decoder = msgspec.json.Decoder(Run)
_encode = msgspec.json.Encoder().encode


class Found(NamedTuple):
    """A living session, as a read needs it."""

    gen: int
    incarnation: str
    owner: str | None
    last_seq: int
    forked_seq: int | None
    pruned: bool
    active_branch: str


class Piece(NamedTuple):
    """A stretch of the log: seqs ``first..last``, of one branch or of all."""

    first: int
    last: int
    branch: str | None


def names_restored(row: Row, places: Sequence[int]) -> Row:
    """Return a row with its names as they were given."""
    for at in places:
        value = row[at]
        if value is not None and "\1" in value:
            return tuple(original(item) if isinstance(item, str) else item for item in row)
    return row


def found_of(rows: Sequence[Row], key: SessionKey, owner: str | None, incarnation: str | None = None) -> Found:
    """Return the living session of the caller out of the rows of ``FIND``, or raise SessionNotFound."""
    if not rows:
        raise not_found(key.session_id)
    found = Found(*names_restored(rows[0], (1, 2, 6)))
    check_owner(key.session_id, found.owner, owner)
    if incarnation is not None and incarnation != found.incarnation:
        raise not_found(key.session_id)
    return found


# ---- events ------------------------------------------------------------------------------------------------------------------------------
def read_events(wire: Wire, query: EventQuery) -> EventPage:
    """Read a page of events."""
    check_page_limit(query.limit)
    for _ in range(FILL_ATTEMPTS_MAX):
        try:
            return _read_events(wire, query)
        except Missing:
            continue
    hint = "`turnfold store check` says which; restore the database from a backup"
    raise StoreCorrupt(f"events of session {query.key.session_id!r} have lost their payload", hint=hint)


def _read_events(wire: Wire, query: EventQuery) -> EventPage:
    if query.branch in {None, ACTIVE_BRANCH, MAIN}:
        first_row, rows = wire.read(query.key.tenant, [(_FIND, query.key), _whole_log(query)])
        found = found_of(first_row, query.key, query.owner, query.incarnation)
        if query.branch is None or (found.forked_seq is None and query.branch != MAIN) or found.forked_seq is None:
            return _page(wire, query, found, rows)
    entries_of_branches = f"{_ENTRIES} AND t.kind = 'branch'"
    first_row, entries = wire.read(query.key.tenant, [(_FIND, query.key), (entries_of_branches, query.key)])
    found = found_of(first_row, query.key, query.owner, query.incarnation)
    first, last = bounds(query, found.last_seq)
    name = found.active_branch if query.branch == ACTIVE_BRANCH else query.branch
    assert name is not None
    pieces = [piece for piece in _branch_pieces(found, _entries(entries), name, first, last) if piece.first <= piece.last]
    if query.descending:
        pieces.reverse()
    rows = [row for found_rows in wire.read(query.key.tenant, [_piece(query, found, piece) for piece in pieces]) for row in found_rows]
    return _page(wire, query, found, rows[: query.limit + 1])


def _page(wire: Wire, query: EventQuery, found: Found, rows: list[Row]) -> EventPage:
    more = len(rows) > query.limit
    restored = [names_restored(row, _NAMES_AT) for row in rows[: query.limit]]
    events = events_of(fill(wire, query.key, found.gen, restored, with_source=query.with_source))
    through_seq = through(query, found.last_seq, events[-1].seq if events else None, more=more)
    if not found.pruned:
        return EventPage(events, through_seq, found.last_seq, found.incarnation, (), more)
    first, last = bounds(query, found.last_seq)
    low, high = (through_seq, last) if query.descending else (first, through_seq)
    ranges = ranges_of(wire.read(query.key.tenant, [(SELECT_RANGES, (*query.key, found.gen, low, high))])[0])
    return EventPage(_outside(events, ranges), through_seq, found.last_seq, found.incarnation, ranges, more)


def _outside(events: list[Event], ranges: Sequence[Any]) -> list[Event]:
    """Leave out what was pruned between the two round trips: each seq is an event or in a range."""
    return [event for event in events if not any(item.first_seq <= event.seq <= item.last_seq for item in ranges)]


class _Statement:
    """Collects conditions and their values."""

    def __init__(self, key: SessionKey) -> None:
        self.values: list[Any] = [*key]
        self.conditions = ["e.tenant = $1", "e.session_id = $2"]

    def mark(self, value: Any) -> str:
        """Take in a value; return its place."""
        self.values.append(value)
        return f"${len(self.values)}"

    def add(self, condition: str, *values: Any) -> None:
        """Take in a condition with {0}, {1} … for the values."""
        self.conditions.append(condition.format(*(self.mark(value) for value in values)))


def _whole_log(query: EventQuery) -> Step:
    """The page where the view is the whole log: before the session's first fork, or where no branch was asked for."""
    statement = _Statement(query.key)
    unforked = " AND c.forked_seq IS NULL" if query.branch is not None else ""
    # as a constant, not as a join: only then the index gives the order, and the read ends with the page
    statement.conditions.append(f"e.gen = (SELECT c.gen FROM counter c WHERE c.tenant = $1 AND c.session_id = $2{unforked})")
    statement.add("e.seq > {0}", max(query.after, 0))
    if query.before is not None:
        statement.add("e.seq < {0}", query.before)
    return _select(query, statement, "")


def _piece(query: EventQuery, found: Found, piece: Piece) -> Step:
    statement = _Statement(query.key)
    statement.add("e.gen = {0}", found.gen)
    statement.add("e.seq >= {0} AND e.seq <= {1}", piece.first, piece.last)
    if piece.branch is not None:
        statement.add("e.branch = {0}", piece.branch)
    return _select(query, statement, "")


def _select(query: EventQuery, statement: _Statement, join: str) -> Step:
    if query.types is not None:
        column = "e.rare" if query.types.isdisjoint(FREQUENT_TYPES) else "e.type"
        statement.add(f"{column} = ANY({{0}})", names(sorted(query.types)))
    if query.run_id is not None:
        statement.add("e.run_id = {0}", query.run_id)
    if query.since_us is not None:
        statement.add("e.at_us >= {0}", query.since_us)
    if query.until_us is not None:
        statement.add("e.at_us < {0}", query.until_us)
    if query.visible is not None:
        statement.add("coalesce(e.visibility, 'both') = ANY({0})", names(sorted(query.visible)))
    if query.viewer is not None:
        statement.add(_VIEWER, _encode(query.viewer).decode())
    line = "NULL::bytea"
    if query.with_source:
        line = "x.line"
        join += " LEFT JOIN event_source x ON x.tenant = e.tenant AND x.session_id = e.session_id AND x.gen = e.gen AND x.seq = e.seq"
    order = "DESC" if query.descending else "ASC"
    limit = statement.mark(query.limit + 1)
    where = " AND ".join(statement.conditions)
    return f"SELECT {_COLUMNS}, {line} FROM event e {join} WHERE {where} ORDER BY e.seq {order} LIMIT {limit}", statement.values


def _branch_pieces(found: Found, entries: Iterable[Entry], name: str, first: int, last: int) -> Iterator[Piece]:
    """Before the session's first fork every event is on ``main`` and its row names no branch; there the whole log is read."""
    forked_seq = found.last_seq + 1 if found.forked_seq is None else found.forked_seq
    for segment in segments(branches_from(entries), name):
        low = max(first, segment.after + 1)
        high = last if segment.upto is None else min(last, segment.upto)
        if segment.branch == MAIN:
            yield Piece(low, min(high, forked_seq - 1), None)
            low = max(low, forked_seq)
        yield Piece(low, high, segment.branch)


def _entries(rows: Iterable[Row]) -> list[Entry]:
    return [Entry(*names_restored(row, (0, 1, 4))) for row in rows]


# ---- heads -------------------------------------------------------------------------------------------------------------------------------
def get_session(wire: Wire, key: SessionKey, owner: str | None, now_us: int | None) -> Head:
    """Return the head."""
    heads, entries, models = wire.read(key.tenant, [(_HEAD, key), (_ENTRIES, key), (_MODELS, key)])
    if not heads:
        raise not_found(key.session_id)
    row = names_restored(heads[0], _HEAD_NAMES_AT)
    check_owner(key.session_id, row[4], owner)
    light = session_info(row, row[26] if now_us is None else now_us)
    fields = {name: getattr(light, name) for name in light.__struct_fields__ if name not in _FROM_ENTRIES}
    by_model = {original(sums[-1]): Usage(sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], original(sums[6])) for sums in models}
    ttl_s = None if row[25] is None else row[25] / 1_000_000
    return build_head(light.id, light.tenant, light.incarnation, fields=fields, entries=_entries(entries), by_model=by_model, ttl_s=ttl_s)


_FROM_ENTRIES: Final = frozenset({"id", "tenant", "incarnation", "title", "tags", "metadata", "native", "parent"})


def last_seqs(wire: Wire, keys: Iterable[SessionKey]) -> dict[SessionKey, tuple[str, int]]:
    """Return (incarnation, last seq) of those that exist, of any tenants."""
    steps: list[Step] = []
    tenants: list[str] = []
    for tenant, group in groupby(sorted(keys), key=attrgetter("tenant")):
        tenants.append(tenant)
        ids = names([key.session_id for key in group])
        sql = "SELECT session_id, incarnation, last_seq FROM counter WHERE tenant = $1 AND session_id = ANY($2)"
        steps += [(SET_TENANT, (tenant,)), (sql, (tenant, ids))]
    found = wire.ask(steps)[1::2] if steps else []
    return {
        SessionKey(tenant, original(row[0])): (original(row[1]), row[2])
        for tenant, rows in zip(tenants, found, strict=True)
        for row in rows
    }


# ---- runs and parts ----------------------------------------------------------------------------------------------------------------------
def get_run(wire: Wire, key: SessionKey, owner: str | None, run_id: str) -> Run:
    """Return a run row."""
    first, rows = wire.read(key.tenant, [(_FIND, key), (f"SELECT t.body FROM run t {_OF} AND t.id = $3", (*key, run_id))])
    found_of(first, key, owner)
    if not rows:
        raise NotFound(f"there is no run {run_id!r} in session {key.session_id!r}", run_id=run_id)
    return _run_decoder.decode(rows[0][0])


def list_runs(wire: Wire, key: SessionKey, owner: str | None, status: str | None, limit: int) -> list[Run]:
    """Return run rows, newest id first."""
    sql = f"SELECT t.body FROM run t {_OF} AND ($3::text IS NULL OR t.status = $3) ORDER BY t.id DESC LIMIT $4"
    first, rows = wire.read(key.tenant, [(_FIND, key), (sql, (*key, status, limit))])
    found_of(first, key, owner)
    return [_run_decoder.decode(row[0]) for row in rows]


def read_part(wire: Wire, key: SessionKey, owner: str | None, ref: str) -> bytes:
    """Return an out-of-line part."""
    first, rows = wire.read(key.tenant, [(_FIND, key), (f"SELECT t.body FROM part t {_OF} AND t.ref = $3", (*key, ref))])
    found_of(first, key, owner)
    if not rows:
        raise NotFound(f"there is no part {ref} in session {key.session_id!r}", ref=ref)
    return bytes(rows[0][0])


FIND: Final = _FIND
__all__ = ["FIND", "Found", "found_of", "original_or_none"]
