"""``turnfold store migrate`` and ``turnfold store compact``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import SRC, Program
from tests.migration import golden
from turnfold.core import cold
from turnfold.stores.sqlite import schema

NEWER = list(schema.MIGRATIONS[1:])
PRE = [name for name in NEWER if ".pre." in name]


def old_file(program: Program, tmp_path: Path) -> Path:
    program.store = program.env["TURNFOLD_STORE"] = golden.old_store("sqlite", tmp_path)
    return tmp_path / "sessions.db"


def test_a_dry_run_says_what_would_be_done_and_leaves_the_file(program: Program, tmp_path: Path) -> None:
    path = old_file(program, tmp_path)
    before = path.read_bytes()
    assert program.text("store", "migrate", "--dry-run", "--post").splitlines() == [f"would apply {name}" for name in NEWER]
    report = program.json("store", "migrate", "--dry-run")
    assert (report["before"], report["after"], report["applied"], report["dry_run"]) == (1, 1, PRE, True)
    assert path.read_bytes() == before


def test_migrating_and_then_again(program: Program, tmp_path: Path) -> None:
    old_file(program, tmp_path)
    assert program.text("store", "migrate").splitlines() == [f"applied {name}" for name in PRE]
    rest = [name for name in NEWER if name not in PRE]
    assert program.json("store", "migrate")["pending"] == rest
    assert program.json("store", "migrate", "--post")["applied"] == rest
    assert program.text("store", "migrate", "--post") == f"nothing to apply: version {len(schema.MIGRATIONS)}\n"
    assert program.json("store", "check")["ok"] is True
    assert program.json("store", "info")["schema_version"] == len(schema.MIGRATIONS)


def test_a_store_that_is_refused_until_then(program: Program, tmp_path: Path) -> None:
    old_file(program, tmp_path)
    url = f"{program.store}?migrate=manual"
    refused = program.run("--store", url, "ls", status=11)
    assert "lacks 0002.pre.migration" in refused.stderr
    assert "turnfold store migrate" in refused.stderr
    program.run("--store", url, "store", "migrate")
    assert {info["id"] for info in program.jsonl("--store", url, "ls")} == {"varied"}


def test_stores_without_migrations_say_their_version(program: Program, tmp_path: Path) -> None:
    for url in ("memory://", f"files:///{tmp_path / 'sessions'}"):
        report = program.json("--store", url, "store", "migrate", "--post")
        assert report["applied"] == report["pending"] == []
        assert report["before"] == report["known"]


def test_compact_of_what_is_warm(program: Program, tmp_path: Path) -> None:
    for url in (program.store, f"files:///{tmp_path / 'sessions'}"):
        assert program.text("--store", url, "store", "compact") == "nothing is cold enough to be rewritten\n"
        assert program.json("--store", url, "store", "compact")["segment_count"] == 0


def test_compact_and_reclaim(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold, "COMPACT_QUIET_S", 0.0)
    monkeypatch.setattr(cold, "COMPACT_IDLE_S", 0.0)
    file = next((SRC / "turnfold" / "data" / "sample" / "codex").glob("*.jsonl"))
    for url in (program.store, f"files:///{tmp_path / 'sessions'}"):
        program.run("--store", url, "import", str(file))
        before = program.text("--store", url, "events", "019cb0d4")
        done = program.json("--store", url, "store", "compact", "--reclaim")
        assert done["event_count"] > 20
        assert done["bytes_after"] < 0.7 * done["bytes_before"]
        assert program.text("--store", url, "events", "019cb0d4") == before
        assert program.text("--store", url, "store", "compact") == "nothing is cold enough to be rewritten\n"
        assert program.json("--store", url, "store", "check")["ok"] is True
    assert program.json("store", "info")["free_bytes"] == 0


def test_a_dry_run_behind_encryption(program: Program, tmp_path: Path) -> None:
    path = old_file(program, tmp_path)
    before = path.read_bytes()
    program.run("keys", "new", str(tmp_path / "ring"))
    program.env["TURNFOLD_KEYRING"] = f"file://{tmp_path / 'ring'}"
    url = f"encrypted+{program.store}"
    assert program.json("--store", url, "store", "migrate", "--dry-run", "--post")["applied"] == NEWER
    assert path.read_bytes() == before
    assert program.json("--store", url, "store", "migrate", "--post")["applied"] == NEWER
