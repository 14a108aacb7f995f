"""``turnfold keys``, and what the other commands say of an encrypted store."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import SRC, Program

FILE = next((SRC / "turnfold" / "data" / "sample" / "codex").glob("*.jsonl"))
ID = "019cb0d4-7e21-7a63-9c0f-51d2a6e8b3f4"


@pytest.fixture
def encrypted(program: Program, tmp_path: Path) -> Program:
    program.store = program.env["TURNFOLD_STORE"] = f"encrypted+sqlite:///{tmp_path}/a.db"
    program.env["TURNFOLD_KEYRING"] = str(tmp_path / "keys.jsonl")
    return program


def test_from_a_new_keyring_to_a_forgotten_session(encrypted: Program, tmp_path: Path) -> None:
    refused = encrypted.run("ls", status=12)
    assert "turnfold keys new" in refused.stderr
    made = encrypted.json("keys", "new")
    assert made["keyring"] == str(tmp_path / "keys.jsonl")
    assert encrypted.run("keys", "new", status=6).exit_code == 6
    assert encrypted.json("import", str(FILE))["outcomes"] == {"imported": 1}
    messages = encrypted.jsonl("show", ID)
    assert encrypted.run("export", ID, "--format", "codex").stdout_bytes == FILE.read_bytes()
    assert encrypted.run("search", "readings", status=2).stderr.startswith("not_supported")
    assert encrypted.json("verify", ID)["ok"] is True
    assert encrypted.json("doctor")["ok"] is True
    assert encrypted.json("config")["keyring"]["value"] == made["keyring"]

    rotated = encrypted.json("keys", "rotate")
    encrypted.run("tag", ID, "kept")
    listed = encrypted.json("keys", "ls")
    assert [(key["kind"], key["state"]) for key in listed["keys"]] == [
        ("master", "current"),
        ("master", "kept"),
        ("session", "kept"),
        ("session", "current"),
    ]
    assert rotated["master"] == listed["keys"][0]["kid"]
    eager = encrypted.json("keys", "rotate", "--eager")
    assert eager["wrapped"] == 2
    assert [info["id"] for info in encrypted.jsonl("ls", "--tag", "kept")] == [ID]
    assert encrypted.jsonl("show", ID) == messages

    assert "--yes" in encrypted.run("keys", "forget", ID, status=2).stderr
    assert encrypted.json("keys", "forget", ID, "--yes")["keys"] == 2
    assert encrypted.run("keys", "forget", ID, "--yes", status=4).exit_code == 4
    assert "forgotten" in encrypted.run("show", ID, status=12).stderr
    assert [info["id"] for info in encrypted.jsonl("ls")] == [ID]
    assert encrypted.json("verify", "--all")["sessions"][0]["unreadable"]
    encrypted.run("delete", ID, "--yes")
    assert encrypted.jsonl("ls") == []


def test_key_material_is_printed_only_when_it_is_asked_for(encrypted: Program, tmp_path: Path) -> None:
    printed = [encrypted.run("keys", "new").output]
    encrypted.run("import", str(FILE))
    printed += [encrypted.run(*args).output for args in (("keys", "ls"), ("keys", "ls", "--json"), ("keys", "rotate"), ("store", "info"))]
    lines = [json.loads(line) for line in (tmp_path / "keys.jsonl").read_text().splitlines()]
    values = [line[name] for line in lines for name in ("key", "wrapped", "index") if name in line]
    assert len(values) == 4
    assert not any(value in text for value in values for text in printed)
    master = encrypted.text("keys", "new", "--print").strip()
    encrypted.env |= {"MASTER": master, "TURNFOLD_KEYRING": "env:MASTER", "TURNFOLD_STORE": f"encrypted+files:///{tmp_path}/sessions"}
    encrypted.run("import", str(FILE))
    assert encrypted.jsonl("show", ID)
    assert master not in encrypted.run("keys", "ls").output
    assert "derives" in encrypted.run("keys", "forget", ID, "--yes", status=2).stderr


def test_another_keyring_is_refused(encrypted: Program, tmp_path: Path) -> None:
    encrypted.run("keys", "new")
    encrypted.run("import", str(FILE))
    encrypted.run("keys", "new", str(tmp_path / "other.jsonl"))
    encrypted.env["TURNFOLD_KEYRING"] = str(tmp_path / "other.jsonl")
    for args in (("ls",), ("show", ID), ("ls", "--tag", "x"), ("tag", ID, "x")):
        assert "other.jsonl" in encrypted.run(*args, status=12).stderr
    encrypted.env["TURNFOLD_STORE"] = f"sqlite:///{tmp_path}/a.db"
    assert "encrypted+URL" in encrypted.run("show", ID, status=12).stderr
