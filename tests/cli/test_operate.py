"""verify, store, doctor, config: what is well, what is not, and where things come from."""

import sqlite3
from pathlib import Path

import pytest

import turnfold as tf
from tests.cli.conftest import Program


@pytest.fixture
def kept(program: Program) -> Program:
    """A store with the sample in it."""
    program.run("import")
    return program


def path_of(program: Program) -> Path:
    return Path(program.store.removeprefix("sqlite:///"))


def test_verify_one_several_and_all(kept: Program) -> None:
    ids = [info["id"] for info in kept.jsonl("ls")]
    found = kept.json("verify", "--all")
    assert found["ok"] is True
    assert [one["session_id"] for one in found["sessions"]] == ids
    assert [line.split("\t")[-1] for line in kept.text("verify", ids[0], ids[1]).splitlines()] == ["ok", "ok"]
    assert kept.run("verify", status=2).stderr.startswith("invalid_input: ")
    assert kept.run("verify", "--all", ids[0], status=2).stderr.startswith("invalid_input: ")


def test_verify_names_the_first_bad_place(kept: Program) -> None:
    with sqlite3.connect(path_of(kept)) as database:
        changed = database.execute("UPDATE event SET data = CAST(replace(CAST(data AS TEXT), 'tidewatch', 'tidewatcj') AS BLOB)").rowcount
    database.close()
    assert changed
    result = kept.run("verify", "--all", "--json", status=8)
    assert result.stderr.startswith("integrity_error: ")
    assert '"ok":false' in result.stdout
    assert '"seq":' in result.stdout


def test_store_info_and_check(kept: Program) -> None:
    info = kept.json("store", "info")
    assert (info["tenant"], info["owner"], info["session_count"]) == ("default", None, 3)
    assert "durable_on_ack" in info["capabilities"]
    assert "session_count\t3" in kept.text("store", "info").splitlines()
    assert kept.json("store", "check")["ok"] is True
    assert kept.text("store", "check").startswith("no problems in sqlite:")


def test_doctor_is_well_and_says_what_one_should_know(kept: Program) -> None:
    findings = {one["name"]: one for one in kept.json("doctor")["findings"]}
    assert findings["writable"]["value"] == "yes"
    assert "sees the whole tenant 'default'" in findings["scope"]["value"]
    assert findings["integrity key"]["state"] == "note"
    assert findings["tools' files"]["state"] == "note"
    assert [info["id"] for info in kept.jsonl("ls") if "doctor" in info["id"]] == []
    narrowed = {one["name"]: one["value"] for one in kept.json("doctor", "--owner", "alice")["findings"]}
    assert narrowed["scope"] == "owner 'alice' in tenant 'default'"


def test_doctor_says_when_the_store_cannot_be_opened(program: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    result = program.run("doctor", "--store", f"sqlite:///{tmp_path}/file/a.db", status=1)
    assert [line for line in result.stdout.splitlines() if line.startswith("problem\tstore\tstore_unavailable: ")]
    (tmp_path / "text.db").write_text("this is no database, but it is long enough to be looked at as one\n" * 50)
    assert "problem\tstore\t" in program.run("doctor", "--store", f"sqlite:///{tmp_path}/text.db", status=1).stdout


def test_config_tells_values_and_origins_and_keeps_the_key_to_itself(program: Program) -> None:
    program.env["TURNFOLD_INTEGRITY_KEY"] = "do-not-print-me"
    program.env["TURNFOLD_OWNER"] = "alice"
    result = program.run("config", "--tenant", "acme")
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in result.stdout.splitlines()}
    assert rows["tenant"] == ["acme", "argument"]
    assert rows["owner"] == ["alice", "environment TURNFOLD_OWNER"]
    assert rows["integrity_key"][0] == "(set)"
    assert "do-not-print-me" not in result.output
    assert program.json("config")["owner"] == {"value": "alice", "origin": "environment TURNFOLD_OWNER"}
    assert {one["name"]: one["state"] for one in program.json("doctor")["findings"]}["integrity key"] == "ok"


def test_credentials_of_a_store_url_are_not_shown(program: Program) -> None:
    result = program.run("config", "--store", "postgresql://me:hunter2@db/x")
    assert "hunter2" not in result.output
    assert "postgresql://***@db/x" in result.stdout


def test_the_default_store_makes_its_folder(program: Program) -> None:
    del program.env["TURNFOLD_STORE"]
    program.env["XDG_DATA_HOME"] = str(program.home / "data")
    program.run("import")
    assert program.json("stats")["sessions"] == 3
    assert (program.home / "data" / "turnfold").stat().st_mode & 0o077 == 0


def test_what_the_cli_wrote_the_api_reads(kept: Program) -> None:
    with tf.connect(kept.store) as client:
        assert len(client.sessions().items) == 3
