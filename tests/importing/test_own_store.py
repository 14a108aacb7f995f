"""A folder is imported that the store itself lies in: the database is looked at and stays sound."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.importing.sessions import check_session, codex_session
from turnfold.engine.importer import Importer
from turnfold.formats.heads import SQLITE_MAGIC, read_head
from turnfold.stores.registry import open_store

LOOK = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute('PRAGMA quick_check').fetchone()[0]); c.close()"


def test_importing_the_stores_own_folder_leaves_its_locks_and_its_log_alone(tmp_path: Path) -> None:
    """Another process that opens and closes the database while ours is open must not think itself the last one and delete the log."""
    (tmp_path / "rollout.jsonl").write_bytes(codex_session("talk", ["one", "two"]))
    path = tmp_path / "agent.db"
    store = open_store(f"sqlite:///{path}")
    for _ in range(3):
        result = Importer(store).import_tree([tmp_path])
        assert result.session_ids == ["talk"]
        look = subprocess.run([sys.executable, "-c", LOOK, str(path)], capture_output=True, text=True, check=True)
        assert look.stdout.strip() == "ok"
        assert path.with_name("agent.db-wal").exists()
        with (tmp_path / "rollout.jsonl").open("ab") as file:
            file.write(codex_session("talk", ["more"]).partition(b"\n")[2])
    check_session(store, "talk")
    store.close()


def test_a_databases_head_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(SQLITE_MAGIC + b"one")
    assert read_head(path, 100) == SQLITE_MAGIC + b"one"
    path.write_bytes(SQLITE_MAGIC + b"two")
    assert read_head(path, 100) == SQLITE_MAGIC + b"two"
    path.unlink()
    path.write_bytes(b"another file")
    assert read_head(path, 7) == b"another"
