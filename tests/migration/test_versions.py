"""Old data and new code, new data and the previous code: what was written is read, and what cannot be read is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.migration import golden, versions
from turnfold.stores.registry import open_store
from turnfold.stores.sqlite import schema

SCHEMES = golden.SCHEMES


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return golden.previous_source(tmp_path_factory.mktemp("previous"))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_old_data_is_read_and_extended(scheme: str, tmp_path: Path) -> None:
    url = golden.old_store(scheme, tmp_path)
    store = open_store(url)
    before = versions.read(store)
    assert before == golden.old_content(scheme)
    assert store.check().problems == ()
    versions.write(store)
    log = versions.log(store, versions.KEY)
    assert log[-1].type == "title"
    store.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_old_data_after_every_migration_and_compacted(scheme: str, tmp_path: Path) -> None:
    store = open_store(golden.old_store(scheme, tmp_path))
    store.migrate(post=True)
    report = store.migrate(post=True, dry_run=True)
    assert report.applied == report.pending == ()
    assert report.before == report.known
    store.compact()
    assert versions.read(store) == golden.old_content(scheme)
    assert store.check().problems == ()
    store.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_old_and_new_code_take_turns_until_post(scheme: str, tmp_path: Path, previous: Path) -> None:
    url = golden.old_store(scheme, tmp_path)
    for turn in range(2):
        store = open_store(url)
        versions.write(store)
        mine = versions.read(store)
        store.close()
        assert golden.run(previous, "read", url) == mine, f"turn {turn}: the previous version reads something else"
        golden.run(previous, "write", url)
    store = open_store(url)
    assert [event.data.get("title") for event in versions.log(store, versions.KEY) if event.type == "title"].count("old times") == 1
    assert store.check().problems == ()
    assert versions.read(store) == golden.run(previous, "read", url)
    store.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_after_post_the_previous_code_is_told(scheme: str, tmp_path: Path, previous: Path) -> None:
    url = golden.old_store(scheme, tmp_path)
    store = open_store(url)
    report = store.migrate(post=True)
    store.close()
    found = golden.run(previous, "read", url)
    if any(".post." in name for name in report.applied):
        assert found == {"refused": "schema_too_new"}
    else:
        assert found == golden.old_content(scheme)


def test_a_new_file_is_refused_by_the_previous_code_or_read(tmp_path: Path, previous: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    store = open_store(url)
    versions.make(store)
    mine = versions.read(store)
    store.close()
    needs_more = any(".post." in name for name in schema.MIGRATIONS)
    assert golden.run(previous, "read", url) == ({"refused": "schema_too_new"} if needs_more else mine)
