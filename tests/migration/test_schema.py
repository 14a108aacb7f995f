"""The schema is the sum of the migrations, and a migration that was released is never edited."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest

from tests.migration import golden
from turnfold.errors import SchemaOutdated, SchemaTooNew
from turnfold.stores.sql.migrations import POST, PRE, Migration, load, number_of, pending
from turnfold.stores.sqlite import SqliteStore, migrating, schema

FOLDER = Path(schema.__file__).parent / "migrations"
CHECKSUMS = {
    "0001.pre.initial": "d3f991d00120dfa04dd7d00feecfbc286961aff819f23f455f46b3a07be94f41",
    "0002.pre.migration": "ca5956293e136e4e0a044b63e501cc5bd2b704792e1d9616c8b1ee785918da56",
    "0003.post.search_segments": "60aa9c3e890d31524ee95c6ba30a91058c837180679ded4a26d7ed018c367a9a",
    "0004.pre.block": "3309e1c53f0fa89b6c0b2cd9efd1ae2dbbbea4f72b984cedafab2d33602fd7cf",
    "0005.post.compact": "605db48df2e83ed910cbebd1a1ddba919f8e0aaab63ca9744bb6400875f1cc50",
}


def test_every_file_is_listed_in_order() -> None:
    assert [f"{name}.sql" for name in schema.MIGRATIONS] == sorted(path.name for path in FOLDER.iterdir())
    assert len(schema.MIGRATIONS) == schema.SCHEMA_VERSION


@pytest.mark.parametrize("name", schema.MIGRATIONS)
def test_a_migration_is_not_edited(name: str) -> None:
    text = (FOLDER / f"{name}.sql").read_bytes().replace(b"\r\n", b"\n")
    assert hashlib.sha256(text).hexdigest() == CHECKSUMS[name], "add a migration instead; this one may have been applied somewhere"


def test_a_new_file_has_the_golden_schema(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "s.db").close()
    assert golden.dump_schema(tmp_path / "s.db") == golden.SCHEMA.read_text(encoding="utf-8")


def test_an_old_file_gets_the_same_schema_in_two_steps(tmp_path: Path) -> None:
    golden.old_store("sqlite", tmp_path)
    path = tmp_path / "sessions.db"
    SqliteStore(path).close()  # pre
    store = SqliteStore(path)
    store.migrate(post=True)
    store.close()
    assert golden.dump_schema(path) == golden.SCHEMA.read_text(encoding="utf-8")


def test_post_migrations_alone_raise_what_a_file_needs() -> None:
    for item in migrating.load_all():
        assert item.needs == (item.number if item.phase == POST else 1), item.name


def test_pending_takes_post_only_when_asked() -> None:
    known = [Migration(1, PRE, "0001.pre.a", "", 1), Migration(2, POST, "0002.post.b", "", 2), Migration(3, PRE, "0003.pre.c", "", 1)]
    assert [item.number for item in pending(known, {1}, post=False)] == [3]
    assert [item.number for item in pending(known, {1, 3}, post=True)] == [2]


def test_names_must_be_in_order() -> None:
    with pytest.raises(AssertionError):
        load(schema.__name__, schema.MIGRATIONS[1:])


# ---- files of other versions ---------------------------------------------------------------------------------------------------------------
def versions(path: Path) -> tuple[int, int]:
    """The oldest code that may use a file, and its newest migration."""
    connection = sqlite3.connect(path)
    found = connection.execute("PRAGMA user_version").fetchone()[0], connection.execute("SELECT max(number) FROM migration").fetchone()[0]
    connection.close()
    return found


def change(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()


def test_a_newer_pre_migration_is_let_be(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    SqliteStore(path).close()
    needs, newest = versions(path)
    change(path, f"CREATE TABLE future(x); INSERT INTO migration VALUES({newest + 1}, 'future', '00', 0);")
    store = SqliteStore(path)
    report = store.migrate(post=True)
    assert (report.before, report.after, report.known, report.applied) == (newest + 1, newest + 1, newest, ())
    assert store.check().problems == ()
    store.close()
    assert versions(path) == (needs, newest + 1)


def test_a_newer_post_migration_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    SqliteStore(path).close()
    newest = versions(path)[1]
    change(path, f"INSERT INTO migration VALUES({newest + 1}, 'future', '00', 0); PRAGMA user_version = {newest + 1};")
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match=f"needs version {newest + 1}, this turnfold knows versions up to {newest}") as caught:
        SqliteStore(path)
    assert caught.value.details["path"] == str(path)
    assert path.read_bytes() == before


def test_an_older_file_is_refused_on_demand_until_it_is_migrated(tmp_path: Path) -> None:
    golden.old_store("sqlite", tmp_path)
    path = tmp_path / "sessions.db"
    store = SqliteStore(path, migrate="manual")
    missing = [name for name in schema.MIGRATIONS[1:] if ".pre." in name]
    for _ in range(2):
        with pytest.raises(SchemaOutdated, match=r"lacks 0002\.pre\.migration") as caught:
            store.check()
        assert caught.value.hint == "run `turnfold store migrate`"
        with pytest.raises(SchemaOutdated):
            store.changed_sessions("search", 1)
        dry = store.migrate(dry_run=True)
        assert (dry.before, dry.after, list(dry.applied)) == (1, 1, missing)
    done = store.migrate()
    assert (done.before, list(done.applied)) == (1, missing)
    assert store.check().problems == ()
    store.close()
    again = SqliteStore(path, migrate="manual")
    assert again.check().problems == ()
    again.close()


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    golden.old_store("sqlite", tmp_path)
    path = tmp_path / "sessions.db"
    before = path.read_bytes()
    store = SqliteStore(path, migrate="manual")
    report = store.migrate(dry_run=True, post=True)
    store.close()
    assert list(report.applied) == list(schema.MIGRATIONS[1:])
    assert (report.before, report.after, report.pending, report.dry_run) == (1, 1, (), True)
    assert path.read_bytes() == before


def test_an_edited_migration_shows_in_the_check(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.db")
    change(tmp_path / "s.db", "UPDATE migration SET checksum = 'ffffffff' WHERE number = 1")
    assert store.check().problems == (
        "migration 0001.pre.initial was applied in another form than this code has it: the schema may differ",
    )
    store.close()


def test_every_name_has_a_number() -> None:
    assert [number_of(name) for name in schema.MIGRATIONS] == list(range(1, len(schema.MIGRATIONS) + 1))
