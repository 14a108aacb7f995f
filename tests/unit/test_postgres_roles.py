"""Row-level security as the only barrier: statements that say the wrong tenant, or none, find nothing; and what the application's role may."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.postgres import TABLES, application_role, execute, fresh_database
from turnfold.core.search import index_rows
from turnfold.errors import PermissionDenied, SessionNotFound
from turnfold.model.event import Seal
from turnfold.model.message import assistant
from turnfold.model.query import EventQuery, SearchQuery, SessionQuery
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.model.usage import Usage
from turnfold.stores.postgres import PostgresStore, reads, slow, transaction, upkeep, wire
from turnfold.testing.contract import build

MINE = SessionKey("mine", "s")
TENANT_TABLES = [name for name in TABLES.split(", ") if name != "follower"]
FILLED = ["session", "counter", "event", "event_source", "entry", "usage_by_model", "run", "part", "seal", "follower_seq", "search_row"]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    yield from fresh_database("roles")


@pytest.fixture(scope="module")
def application(database: str) -> Iterator[str]:
    yield from application_role(database)


@pytest.fixture(scope="module")
def store(application: str) -> Iterator[PostgresStore]:
    made = PostgresStore(application)
    message = assistant("found word", usage=Usage(1, 2, model="m"))
    made.commit(
        build.commit(MINE, message, genesis=build.genesis(title="t"), runs=(Run(id="r", session_id="s"),), parts=(("sha256:0", b"x"),))
    )
    made.commit(build.commit(MINE, build.event("line", source=b"a line")))
    log = made.read_events(EventQuery(key=MINE)).events
    incarnation = made.get_session(MINE).info.incarnation
    made.changed_sessions("search", 10)
    made.advance("search", MINE, incarnation=incarnation, from_seq=0, to_seq=3, rows=index_rows(log))
    made.add_seal(MINE, Seal(1, b"", b"r" * 32), incarnation=incarnation)
    yield made
    made.close()


@pytest.fixture
def raw(application: str, store: PostgresStore) -> Iterator[psycopg.Connection[tuple[int]]]:
    assert store.check().facts["row_level_security_binds"]
    with psycopg.connect(application.partition("?")[0], options="-c search_path=turnfold") as connection:
        yield connection


@pytest.mark.parametrize("tenant", ["other", "", None])
@pytest.mark.parametrize("table", TENANT_TABLES)
def test_raw_statements_of_another_tenant(raw: psycopg.Connection[tuple[int]], table: str, tenant: str | None) -> None:
    if tenant is not None:
        raw.execute("SELECT set_config('turnfold.tenant', %s, true)", (tenant,))
    assert raw.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,)
    assert raw.execute(f"UPDATE {table} SET session_id = session_id".encode()).rowcount == 0
    assert raw.execute(f"DELETE FROM {table}".encode()).rowcount == 0
    raw.rollback()


@pytest.mark.parametrize("table", FILLED)
def test_the_same_statements_of_its_own_tenant_find_it(raw: psycopg.Connection[tuple[int]], table: str) -> None:
    raw.execute("SELECT set_config('turnfold.tenant', 'mine', true)")
    found = raw.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert found is not None
    assert found[0] > 0


def test_nothing_is_written_for_another_tenant(raw: psycopg.Connection[tuple[int]]) -> None:
    raw.execute("SELECT set_config('turnfold.tenant', 'other', true)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        raw.execute("INSERT INTO part(tenant, session_id, gen, ref, body) VALUES('mine', 's', 1, 'r', '')")


@pytest.fixture
def _wrong_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every statement goes on naming the right tenant; only the setting is another's."""
    for module in (wire, transaction, reads, slow, upkeep):
        monkeypatch.setattr(module, "SET_TENANT", "SELECT set_config('turnfold.tenant', 'other' || left($1, 0), true)")


NOT_FOUND: dict[str, Callable[[PostgresStore], object]] = {
    "read_events": lambda store: store.read_events(EventQuery(key=MINE)),
    "read_branch": lambda store: store.read_events(EventQuery(key=MINE, branch="b")),
    "get_session": lambda store: store.get_session(MINE),
    "get_run": lambda store: store.get_run(MINE, "r"),
    "list_runs": lambda store: store.list_runs(MINE),
    "read_part": lambda store: store.read_part(MINE, "sha256:0"),
    "read_seals": lambda store: store.read_seals(MINE),
    "acquire_lease": lambda store: store.acquire_lease(MINE, "thief", 10),
    "delete_session": lambda store: store.delete_session(MINE),
    "commit": lambda store: store.commit(build.commit(MINE, build.switch_event("main"))),
}
EMPTY: dict[str, tuple[Callable[[PostgresStore], object], object]] = {
    "list_sessions": (lambda store: store.list_sessions(SessionQuery(tenant="mine")), ([], None)),
    "search": (lambda store: store.search(SearchQuery(tenant="mine", terms=("word",))), []),
    "last_seqs": (lambda store: store.last_seqs([MINE]), {}),
    "follower_seq": (lambda store: store.follower_seq("search", MINE), 0),
}


@pytest.mark.usefixtures("_wrong_tenant")
@pytest.mark.parametrize("name", NOT_FOUND)
def test_what_names_a_session_does_not_find_it(store: PostgresStore, name: str) -> None:
    with pytest.raises(SessionNotFound):
        NOT_FOUND[name](store)


@pytest.mark.usefixtures("_wrong_tenant")
@pytest.mark.parametrize("name", EMPTY)
def test_what_looks_for_something_finds_nothing(store: PostgresStore, name: str) -> None:
    work, nothing = EMPTY[name]
    assert work(store) == nothing


def test_all_of_it_is_there_for_its_tenant(store: PostgresStore) -> None:
    for name in ("read_events", "get_session", "get_run", "list_runs", "read_part", "read_seals"):
        NOT_FOUND[name](store)
    assert all(work(store) != nothing for work, nothing in EMPTY.values())


def test_a_role_without_grants_is_told_what_to_do(database: str, store: PostgresStore) -> None:
    assert store.url
    for url in application_role(database, "granted"):
        execute(database, "REVOKE USAGE ON SCHEMA granted FROM PUBLIC")
        with pytest.raises(PermissionDenied, match="may not make") as caught:
            PostgresStore(url.replace("schema=granted", "schema=elsewhere"))
        assert "grant_to" in caught.value.hint


def test_the_application_cannot_change_the_schema(raw: psycopg.Connection[tuple[int]]) -> None:
    for statement in (
        b"DROP TABLE event",
        b"DELETE FROM migration",
        b"ALTER TABLE event DISABLE ROW LEVEL SECURITY",
        b"INSERT INTO follower VALUES('x')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            raw.execute(statement)
        raw.rollback()
