"""PostgreSQL: the schema is the sum of the migrations, in one go or in steps, and a migration that was released is never edited."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import fresh_database
from turnfold.stores.postgres import PostgresStore, migrating, schema
from turnfold.stores.postgres import store as store_module
from turnfold.stores.sql.migrations import POST

FOLDER = Path(schema.__file__).parent / "migrations"
CHECKSUMS = {
    "0001.pre.initial": "ad5935d7adc2a4fb219522d16cc1d3d7e55b6e70bbdd5240d6b9ba896926bc67",
    "0002.pre.block": "3b488bbdf5dab3660ab01aa4693276138ccb85e49fb6cc3af09751b191c11805",
    "0003.post.compact": "0293cbe3fcd093b0656db7d443308982d8c995a64334be400a865caa4b7a6fe7",
}
CATALOG = (
    (
        "SELECT 'column', table_name, column_name, data_type, is_nullable, column_default, collation_name FROM information_schema.columns "
        "WHERE table_schema = 'turnfold'"
    ),
    "SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'turnfold'",
    "SELECT 'function', proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'turnfold'::regnamespace",
    "SELECT 'policy', tablename, policyname, qual, with_check FROM pg_policies WHERE schemaname = 'turnfold'",
    "SELECT 'table', relname, relrowsecurity::text FROM pg_class WHERE relnamespace = 'turnfold'::regnamespace AND relkind = 'r'",
)


@pytest.fixture
def urls() -> Iterator[tuple[str, str]]:
    for one in fresh_database("migrated"):
        for other in fresh_database("fresh"):
            yield one, other


def catalog(url: str) -> list[Any]:
    import psycopg

    with psycopg.connect(url) as connection:
        return sorted(str(row) for query in CATALOG for row in connection.execute(query.encode()).fetchall())


def test_every_file_is_listed_in_order() -> None:
    assert [f"{name}.sql" for name in schema.MIGRATIONS] == sorted(path.name for path in FOLDER.iterdir())
    assert len(schema.MIGRATIONS) == schema.SCHEMA_VERSION


@pytest.mark.parametrize("name", schema.MIGRATIONS)
def test_a_migration_is_not_edited(name: str) -> None:
    text = (FOLDER / f"{name}.sql").read_bytes().replace(b"\r\n", b"\n")
    assert hashlib.sha256(text).hexdigest() == CHECKSUMS[name], "add a migration instead; this one may have been applied somewhere"


def test_post_migrations_alone_raise_what_a_schema_needs() -> None:
    for item in migrating.load_all():
        assert item.needs == (item.number if item.phase == POST else 1), item.name


def test_an_old_schema_becomes_the_new_one_in_steps(urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = urls
    with monkeypatch.context() as patched:
        for module in (schema, migrating, store_module):
            patched.setattr(module, "MIGRATIONS", schema.MIGRATIONS[:1])
        PostgresStore(old).close()
    store = PostgresStore(old)
    store.migrate()
    store.migrate(post=True)
    assert store.migrate(post=True, dry_run=True).applied == ()
    assert store.check().problems == ()
    store.close()
    PostgresStore(new).close()
    assert catalog(old) == catalog(new)
