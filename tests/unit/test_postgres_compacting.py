"""Blocks in PostgreSQL, and the migrations that bring them: what an older schema is refused, and what it takes to go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.postgres import execute, fresh_database, with_database
from turnfold.errors import SchemaOutdated, SchemaTooNew
from turnfold.model.event import Event
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.stores.postgres import PostgresStore, migrating, schema
from turnfold.stores.postgres import store as store_module
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import build

KEY = SessionKey("default", "s")
DAY_US = 86_400_000_000
TEXT = "the same words come again and again, " * 20
PRE = [name for name in schema.MIGRATIONS[1:] if ".pre." in name]


@pytest.fixture
def url() -> Iterator[str]:
    yield from fresh_database("compacting")


def log(store: PostgresStore) -> list[Event]:
    return store.read_events(EventQuery(key=KEY, limit=10_000, with_source=True)).events


def fill(store: PostgresStore, count: int) -> list[Event]:
    store.commit(build.commit(KEY, *(f"{index} {TEXT}" for index in range(count)), genesis=build.genesis()))
    return log(store)


def make_old(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a schema as the first version did."""
    with monkeypatch.context() as patched:
        for module in (schema, migrating, store_module):
            patched.setattr(module, "MIGRATIONS", schema.MIGRATIONS[:1])
        PostgresStore(url).close()


def test_an_idle_session_goes_into_blocks(url: str) -> None:
    clock = FakeClock()
    build.follow_clock(clock)
    try:
        store = PostgresStore(url, clock=clock)
        before = fill(store, 600)
        assert store.compact().segment_count == 0, "it is warm"
        clock.advance(2 * DAY_US)
        done = store.compact()
        assert (done.session_count, done.event_count, done.more) == (1, 601, False)
        assert done.bytes_after < 0.1 * done.bytes_before
        assert log(store) == before
        report = store.check()
        assert report.problems == ()
        assert report.facts["compacted_event_count"] == 601
        execute(f"{url}", "DELETE FROM turnfold.block")
        assert store.check().problems == ("session 's' of tenant 'default': 601 events are without their payload, and no block has them",)
        store.close()
    finally:
        build.follow_clock(None)


def test_an_older_schema_is_refused_until_it_is_migrated(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old(url, monkeypatch)
    store = PostgresStore(url)
    calls: list[Any] = [lambda: fill(store, 1), lambda: store.commit_many([build.commit(KEY, "x")]), store.check]
    for call in calls:
        with pytest.raises(SchemaOutdated, match=r"lacks 0002\.pre\.block") as caught:
            call()
        assert caught.value.hint == "run `turnfold store migrate`"
    dry = store.migrate(dry_run=True, post=True)
    assert list(dry.applied) == list(schema.MIGRATIONS[1:])
    with pytest.raises(SchemaOutdated):
        store.check()
    assert list(store.migrate().applied) == PRE
    assert len(fill(store, 3)) == 4
    with pytest.raises(SchemaOutdated, match=r"lacks 0003\.post\.compact") as caught:
        store.compact()
    assert "--post" in caught.value.hint
    assert store.migrate(post=True).after == schema.SCHEMA_VERSION
    store.compact()
    assert store.check().problems == ()
    store.close()


def test_an_older_schema_is_brought_up_on_opening_where_that_is_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old(url, monkeypatch)
    store = PostgresStore(f"{url}?migrate=auto")
    assert len(fill(store, 3)) == 4
    assert store.migrate(dry_run=True).applied == ()
    store.close()


def open_as_older_code(url: str, monkeypatch: pytest.MonkeyPatch) -> PostgresStore:
    with monkeypatch.context() as patched:
        for module in (schema, migrating, store_module):
            patched.setattr(module, "MIGRATIONS", schema.MIGRATIONS[:1])
        patched.setattr(migrating, "SCHEMA_VERSION", 1)
        return PostgresStore(url)


def test_older_code_goes_on_until_post(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old(url, monkeypatch)
    store = PostgresStore(url)
    store.migrate()
    older = open_as_older_code(url, monkeypatch)
    before = fill(older, 3)
    older.close()
    store.migrate(post=True)
    with pytest.raises(SchemaTooNew, match="needs version 3, this turnfold knows versions up to 1"):
        open_as_older_code(url, monkeypatch)
    assert log(store) == before
    store.close()


def test_a_role_that_was_granted_the_first_schema_may_use_blocks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old(url, monkeypatch)
    role = f"turnfold_blocks_{id(url)}"
    execute(url, f"CREATE ROLE {role} LOGIN", f"SET search_path = turnfold; SELECT grant_to('{role}')")
    try:
        owner = PostgresStore(url)
        owner.migrate(post=True)
        database = url.rpartition("/")[2]
        store = PostgresStore(with_database(url, database, user=role))
        before = fill(store, 300)
        clock = FakeClock(before[-1].recorded_at_us + 3 * DAY_US)
        later = PostgresStore(url, clock=clock)
        assert later.compact().event_count == 301
        assert log(store) == before, "the role reads through blocks"
        store.commit(build.redaction(KEY, before[5]))
        assert log(store)[5].redacted
        assert owner.check().problems == ()
        for one in (store, later, owner):
            one.close()
    finally:
        execute(url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")
