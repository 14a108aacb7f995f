"""Golden files: the schema that all migrations add up to, stores that the previous version wrote, and the previous version itself.

``python -m tests.migration.golden`` from the root writes the schema anew; look at what changed before you commit it.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from turnfold.stores.sqlite import SqliteStore

DATA = Path(__file__).with_name("data")
SCHEMA = DATA / "schema.sql"
VERSIONS = Path(__file__).with_name("versions.py")
PREVIOUS_COMMIT = "35778adb8ff17dfa8b712554e512ee4afb22c40a"
"""The last commit before there was a second migration; its code made ``data/v1.*`` with ``versions.py make``."""
SCHEMES = ("sqlite", "files")


def dump_schema(path: Path) -> str:
    """Every table and index of a file, by name; SQLite's own text of them, with blank lines and comments as the migrations have them."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'search_%' ORDER BY name").fetchall()
    connection.close()
    return "".join(f"{sql};\n" for (sql,) in rows)


def old_store(scheme: str, folder: Path) -> str:
    """Unpack the store that the previous version wrote; return its URL."""
    if scheme == "sqlite":
        (folder / "sessions.db").write_bytes(gzip.decompress((DATA / "v1.db.gz").read_bytes()))
        return f"sqlite:///{folder / 'sessions.db'}"
    with tarfile.open(fileobj=io.BytesIO((DATA / "v1.files.tar.gz").read_bytes())) as archive:
        archive.extractall(folder, filter="data")
    return f"files:///{folder / 'sessions'}"


def old_content(scheme: str) -> Any:
    """What the previous version read in it."""
    return json.loads((DATA / f"v1.{scheme}.json").read_text(encoding="utf-8"))


def previous_source(folder: Path) -> Path:
    """Unpack the previous version's code; skip the test where the clone does not reach back that far."""
    done = subprocess.run(["git", "archive", PREVIOUS_COMMIT, "src"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        line = f"the previous version ({PREVIOUS_COMMIT[:8]}) is not in this clone; `git fetch --unshallow`, or run `nox -s migration` in a full one"
        if os.environ.get("TURNFOLD_TEST_PREVIOUS"):
            pytest.fail(line, pytrace=False)
        pytest.skip(line)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


def run(source: Path, what: str, url: str) -> Any:
    """Run ``versions.py`` on some version of the code; return what it printed."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHONPATH": str(source)}
    done = subprocess.run([sys.executable, str(VERSIONS), what, url], env=env, capture_output=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout) if done.stdout else None


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        SqliteStore(Path(made) / "s.db").close()
        SCHEMA.write_text(dump_schema(Path(made) / "s.db"), encoding="utf-8")
