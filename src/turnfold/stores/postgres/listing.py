"""Lists of sessions, newest first, by keyset pages: exact although a session's place in the index is rewritten at most once a grain.

A session that was written once stands at its exact place (``touched`` false, ``listed_at`` = ``updated_at``). One that was written again stands
at most a grain below its place (``touched`` true, ``listed_at`` ≤ ``updated_at`` ≤ ``listed_at`` + grain). So the n-th row by ``listed_at`` of either
kind bounds the n-th newest from below, and of the second kind only those are looked at that were listed at most a grain before that.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import msgspec

from turnfold.core.fold import INFO_KINDS, info_fields
from turnfold.core.lifecycle import EXPIRED, OPEN
from turnfold.core.paging import check_list_limit, list_cursor, parse_list_cursor
from turnfold.limits import LIST_GRAIN_S, SESSION_ID_BYTES_MAX
from turnfold.model.query import SessionQuery
from turnfold.model.session import Entry, SessionInfo
from turnfold.stores.postgres.reads import HEAD_COLUMNS, names_restored
from turnfold.stores.postgres.values import names, original
from turnfold.stores.postgres.wire import Wire
from turnfold.stores.sql.rows import session_info

_GRAIN_US: Final = LIST_GRAIN_S * 1_000_000
_HEAD_NAMES_AT: Final = (1, 2, 3, 4, 5, 6, 10, 18)
_WITH_COUNTER: Final = (
    "session s CROSS JOIN LATERAL (SELECT * FROM counter c WHERE c.tenant = s.tenant AND c.session_id = s.session_id OFFSET 0) c"
)
"""A look per session, whatever the planner believes about their number: it does not know how few lie above the floor, and would read all."""
_HAS_TAG: Final = (
    "EXISTS(SELECT FROM entry t WHERE t.tenant = s.tenant AND t.session_id = s.session_id AND t.gen = s.gen AND t.kind = 'tag' "
    "AND t.name = {0} AND t.branch = '')"
)


class _Scope:
    """Which sessions: conditions and their values."""

    def __init__(self, query: SessionQuery) -> None:
        self.values: list[Any] = []
        self.conditions: list[str] = ["NOT s.dead"]
        self.add("s.tenant = {0}", query.tenant)
        self.add("s.kind = {0}", query.kind)
        for column in ("owner", "agent", "parent_id"):
            value = getattr(query, column)
            if value is not None:
                self.add(f"s.{column} = {{0}}", value)
        if query.id_prefix is not None:
            # the range is for the index; its end is the greatest id that there can be
            end = query.id_prefix + "\U0010ffff" * (SESSION_ID_BYTES_MAX // 4)
            self.add("starts_with(s.session_id, {0}) AND s.session_id >= {0} AND s.session_id <= {1}", query.id_prefix, end)
        for tag in query.tags:
            self.add(_HAS_TAG, tag)

    def add(self, condition: str, *values: Any) -> None:
        """Take in a condition with {0}, {1} … for the values."""
        self.conditions.append(condition.format(*(self.mark(value) for value in values)))

    def mark(self, value: Any) -> str:
        """Take in a value; return its place."""
        self.values.append(value)
        return f"${len(self.values)}"

    def add_status(self, status: str, now_us: int | None) -> None:
        """Count what is open and past its expiry as expired."""
        if status == EXPIRED:
            now = self._time(now_us)
            self.add(f"(c.status = {{0}} OR (c.status = ANY({{1}}) AND c.expires_at_us <= {now}))", status, names(sorted(OPEN)))
            return
        self.add("c.status = {0}", status)
        if status in OPEN:
            self.conditions.append(f"(c.expires_at_us IS NULL OR c.expires_at_us > {self._time(now_us)})")

    def _time(self, now_us: int | None) -> str:
        return "clock_us()" if now_us is None else f"{self.mark(now_us)}::bigint"


def list_sessions(wire: Wire, query: SessionQuery, now_us: int | None) -> tuple[list[SessionInfo], str | None]:
    """Return a page of sessions and the cursor of the next one."""
    check_list_limit(query.limit)
    scope = _Scope(query)
    if query.status is not None:
        scope.add_status(query.status, now_us)
    sql = _statement(scope, parse_list_cursor(query.cursor), query.limit + 1)
    rows = wire.read(query.tenant, [(sql, scope.values)])[0]
    page = [names_restored(row, _HEAD_NAMES_AT) for row in rows[: query.limit]]
    infos = _with_entries(wire, query.tenant, [session_info(row, row[26] if now_us is None else now_us) for row in page])
    if len(rows) <= query.limit:
        return infos, None
    return infos, list_cursor(infos[-1].updated_at_us, infos[-1].id)


def _statement(scope: _Scope, below: tuple[int, str] | None, wanted: int) -> str:
    """The page in one statement. Its limit is in the text: a plan for any limit would read the whole index (100 ms of 200,000 sessions)."""
    where = " AND ".join(scope.conditions)
    exact = near = ""
    tables = _WITH_COUNTER if " c." in where or "(c." in where else "session s"
    around = tables
    if below is not None:
        at, session_id = scope.mark(below[0]), scope.mark(below[1])
        exact = f" AND (s.listed_at_us, s.session_id) < ({at}, {session_id})"
        near = f" AND s.listed_at_us <= {at} AND (c.updated_at_us, s.session_id) < ({at}, {session_id})"
        around = _WITH_COUNTER
    return (
        f"WITH exact AS (SELECT s.listed_at_us AS at, s.session_id, s.gen FROM {tables} WHERE {where}{exact} AND NOT s.touched "
        f"ORDER BY s.listed_at_us DESC, s.session_id DESC LIMIT {wanted}), "
        f"floor AS (SELECT greatest((SELECT min(at) FROM exact HAVING count(*) >= {wanted}), "
        f"(SELECT s.listed_at_us FROM {around} WHERE {where}{near} AND s.touched ORDER BY s.listed_at_us DESC, s.session_id DESC "
        f"OFFSET {wanted - 1} LIMIT 1)) AS at), "
        f"near AS (SELECT c.updated_at_us AS at, s.session_id, s.gen FROM {_WITH_COUNTER} WHERE {where}{near} AND s.touched "
        f"AND s.listed_at_us >= coalesce((SELECT at FROM floor) - {_GRAIN_US}, -9223372036854775808) ORDER BY 1 DESC, 2 DESC LIMIT {wanted}), "
        f"place AS (SELECT * FROM exact UNION ALL SELECT * FROM near ORDER BY 1 DESC, 2 DESC LIMIT {wanted}) "
        f"SELECT {HEAD_COLUMNS}, clock_us() FROM place p JOIN session s ON s.tenant = $1 AND s.session_id = p.session_id AND s.gen = p.gen "
        "JOIN counter c ON c.tenant = $1 AND c.session_id = p.session_id ORDER BY p.at DESC, p.session_id DESC"
    )


def _with_entries(wire: Wire, tenant: str, infos: list[SessionInfo]) -> list[SessionInfo]:
    """Add what lists show of the head's entries: title, tags and the like, of the whole page in one read."""
    if not infos:
        return infos
    sql = (
        "SELECT t.session_id, t.kind, t.name, t.value, t.seq, t.branch FROM entry t JOIN counter c ON c.tenant = t.tenant "
        "AND c.session_id = t.session_id AND c.gen = t.gen WHERE t.tenant = $1 AND t.session_id = ANY($2) AND t.kind = ANY($3)"
    )
    values = (tenant, names([info.id for info in infos]), names(sorted(INFO_KINDS)))
    entries: defaultdict[str, list[Entry]] = defaultdict(list)
    for row in wire.read(tenant, [(sql, values)])[0]:
        entries[original(row[0])].append(Entry(*names_restored(row[1:], (0, 1, 4))))
    return [
        msgspec.structs.replace(info, **info_fields(sorted(entries[info.id], key=_order))) if info.id in entries else info for info in infos
    ]


def _order(entry: Entry) -> tuple[str, str, str]:
    return entry.kind, entry.name, entry.branch
