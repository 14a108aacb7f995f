"""What the database and the server say about themselves."""

from __future__ import annotations

from typing import Final

from turnfold.model.query import CheckReport
from turnfold.stores.postgres.migrating import edited
from turnfold.stores.postgres.options import Options
from turnfold.stores.postgres.schema import SCHEMA_VERSION
from turnfold.stores.postgres.values import original
from turnfold.stores.postgres.wire import BEGIN_READ, COMMIT, SET_TENANT, Wire

PROBLEMS_MAX: Final = 100
CHECK_S_MAX: Final = 3_600.0
"""How long the answer about one tenant is waited for."""
_SERVER: Final = (
    "SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'), current_user::text, "
    "pg_is_in_recovery(), current_setting('full_page_writes'), "
    "(SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) "
    "OR pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = to_regclass('counter')), 'USAGE')"
)
_TENANTS: Final = "SELECT o_tenant FROM all_tenants()"
_SIZE: Final = (
    "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c WHERE c.relnamespace = to_regnamespace(current_schema())::oid "
    "AND c.relkind = 'r'"
)
_COUNTS: Final = (
    "SELECT (SELECT count(*) FROM counter WHERE tenant = $1), (SELECT count(*) FROM event WHERE tenant = $1 AND EXISTS (SELECT FROM counter c "
    "WHERE c.tenant = event.tenant AND c.session_id = event.session_id AND c.gen = event.gen))"
)
_INCOMPLETE: Final = (
    "SELECT c.session_id, c.last_seq, e.events, r.pruned FROM counter c "
    "CROSS JOIN LATERAL (SELECT count(*) AS events FROM event e WHERE e.tenant = c.tenant AND e.session_id = c.session_id AND e.gen = c.gen) e "
    "CROSS JOIN LATERAL (SELECT coalesce(sum(t.last_seq - t.first_seq + 1), 0)::bigint AS pruned FROM range_tombstone t "
    "WHERE t.tenant = c.tenant AND t.session_id = c.session_id AND t.gen = c.gen) r "
    f"WHERE c.tenant = $1 AND e.events + r.pruned <> c.last_seq LIMIT {PROBLEMS_MAX}"
)

_LOST: Final = (
    "SELECT e.session_id, count(*) FROM event e WHERE e.tenant = $1 AND e.data = '' AND NOT EXISTS (SELECT FROM block b "
    "WHERE b.tenant = e.tenant AND b.session_id = e.session_id AND b.gen = e.gen AND b.first_seq <= e.seq AND b.last_seq >= e.seq) "
    f"GROUP BY e.session_id LIMIT {PROBLEMS_MAX}"
)
_WRONG: Final = (
    "SELECT b.session_id, b.last_seq, b.event_count::bigint, e.slim FROM block b CROSS JOIN LATERAL (SELECT count(*) AS slim FROM event e "
    "WHERE e.tenant = b.tenant AND e.session_id = b.session_id AND e.gen = b.gen AND e.seq BETWEEN b.first_seq AND b.last_seq "
    f"AND e.data = '') e WHERE b.tenant = $1 AND e.slim <> b.event_count LIMIT {PROBLEMS_MAX}"
)
_COMPACTED: Final = "SELECT coalesce(sum(event_count), 0)::bigint FROM block WHERE tenant = $1"


def is_durable(wire: Wire) -> bool:
    """Whether the server says that what it acknowledged survives a power loss."""
    sql = "SELECT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off'"
    return bool(wire.ask([(sql, ())])[0][0][0])


def check_database(wire: Wire, options: Options) -> CheckReport:
    """Look whether every session, of every tenant, has as many events as its counter says, on one snapshot per tenant."""
    version, fsync, synchronous, role, standby, pages, exempt = wire.ask([(_SERVER, ())])[0][0]
    problems: list[str] = [f"migration {name} was edited after it was applied" for name in edited(wire)]
    sessions = events = compacted = 0
    usual_s, wire.deadline_s = wire.deadline_s, CHECK_S_MAX  # it reads the index of every log
    for (stored,) in wire.ask([(_TENANTS, ())])[0]:
        tenant = original(stored)
        no_limit = "SELECT set_config('statement_timeout', '0', true)"
        steps = [(BEGIN_READ, ()), (SET_TENANT, (tenant,)), (no_limit, ()), (_COUNTS, (tenant,)), (_INCOMPLETE, (tenant,))]
        of = (tenant,)
        _, _, _, counts, incomplete, lost, wrong, held, _ = wire.ask([*steps, (_LOST, of), (_WRONG, of), (_COMPACTED, of), (COMMIT, ())])
        compacted += held[0][0]
        for session_id, number in lost:
            problem = f"{number} events are without their payload, and no block has them"
            problems.append(f"session {original(session_id)!r} of tenant {tenant!r}: {problem}")
        for session_id, last_seq, noted, slim in wrong:
            problem = f"block {last_seq} has {noted} events, and {slim} rows are without their payload"
            problems.append(f"session {original(session_id)!r} of tenant {tenant!r}: {problem}")
        sessions, events = sessions + counts[0][0], events + counts[0][1]
        for session_id, last_seq, there, pruned in incomplete:
            found = f"last seq is {last_seq}, {there} events and {pruned} pruned are there"
            problems.append(f"session {original(session_id)!r} of tenant {tenant!r}: {found}")
    wire.deadline_s = usual_s
    facts: dict[str, str | int | float | bool] = {
        "server_version": version,
        "schema": options.schema,
        "schema_version": SCHEMA_VERSION,
        "fsync": fsync,
        "synchronous_commit": synchronous,
        "full_page_writes": pages,
        "standby": standby,
        "role": role,
        "row_level_security_binds": not exempt,
        "size_bytes": wire.ask([(_SIZE, ())])[0][0][0] or 0,
        "session_count": sessions,
        "event_count": events,
        "compacted_event_count": compacted,
        "pgbouncer": options.pgbouncer,
    }
    return CheckReport(tuple(problems[:PROBLEMS_MAX]), facts)
