"""store copy, store backup, store info: what a person sees, and the exit status."""

import json
from pathlib import Path

import pytest

import turnfold as tf
from tests.cli.conftest import SRC, Program

SAMPLE = SRC / "turnfold" / "data" / "sample" / "codex"


@pytest.fixture
def kept(program: Program) -> Program:
    """A store with the sample in it."""
    program.run("import", str(SAMPLE))
    return program


def test_copy_there_and_again(kept: Program, tmp_path: Path) -> None:
    target = f"files:///{tmp_path}/copy"
    first = kept.json("store", "copy", kept.store, target)
    assert (first["ok"], first["copied_count"], first["problems"]) == (True, first["session_count"], [])
    assert kept.json("store", "copy", kept.store, target)["unchanged_count"] == first["session_count"]
    assert "unchanged\t" in kept.text("store", "copy", kept.store, target)
    compared = kept.json("store", "copy", "--verify-only", kept.store, target)
    assert (compared["ok"], compared["event_count"]) == (True, first["event_count"])
    assert "equal\t" in kept.text("store", "copy", "--verify-only", kept.store, target)
    ids = [info["id"] for info in kept.jsonl("ls", "--all")]
    assert [info["id"] for info in kept.jsonl("ls", "--all", "--store", target)] == ids
    kept.run("verify", "--all", "--store", target)
    for name in ids:
        assert kept.run("show", name, "--jsonl", "--store", target).stdout == kept.run("show", name, "--jsonl").stdout


def test_a_conflict_is_said_and_is_a_failure(kept: Program, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/copy.db"
    kept.run("store", "copy", kept.store, target)
    name = kept.jsonl("ls")[0]["id"]
    with tf.connect(target) as client:
        client.open(name, create=False).append(tf.user("here only"))
    result = kept.run("store", "copy", kept.store, target, status=8)
    assert f"default/{name}: session '{name}' of the target has events of its own" in result.stdout
    assert "were not copied" in result.stderr
    assert "hint: nothing was changed there; delete it in the target to have it copied" in result.stdout
    found = json.loads(kept.run("store", "copy", kept.store, target, "--json", status=8).stdout)
    assert [(problem["session_id"], problem["code"]) for problem in found["problems"]] == [(name, "already_exists")]
    assert "differ" in kept.run("store", "copy", "--verify-only", kept.store, target, status=8).stderr


def test_digests_made_with_a_key(program: Program, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/copy.db"
    with tf.connect(program.store, integrity_key="the key") as client:
        client.open("s").append(tf.user("hello"))
        client.seal("s")
    result = program.run("store", "copy", program.store, target, status=8)
    assert "TURNFOLD_INTEGRITY_KEY" in result.stdout
    program.env["TURNFOLD_INTEGRITY_KEY"] = "the key"
    assert program.json("store", "copy", program.store, target)["copied_count"] == 1
    with tf.connect(target, integrity_key="the key") as client:
        found = client.verify("s")
    assert (found.keyed, found.sealed_through) == (True, 2)


def test_one_tenant_only(kept: Program, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/copy.db"
    assert kept.json("store", "copy", kept.store, target, "--tenant", "nobody")["session_count"] == 0
    assert kept.json("store", "copy", kept.store, target, "--tenant", "default")["session_count"] > 0


def test_urls_without_credentials_and_the_same_store(kept: Program) -> None:
    assert "same store" in kept.run("store", "copy", kept.store, kept.store, status=2).stderr
    result = kept.run("store", "copy", kept.store, "ftp://me:hunter2@host/x", status=2)
    assert "hunter2" not in result.output


def test_a_source_that_is_not_there_is_not_made(program: Program, tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/typo.db", f"files:///{tmp_path}/typo", f"encrypted+sqlite:///{tmp_path}/typo.db?search=tokens"):
        result = program.run("store", "copy", url, f"sqlite:///{tmp_path}/copy.db", status=10)
        assert "there is no store at" in result.stderr
    assert list(tmp_path.glob("*typo*")) == list(tmp_path.glob("*copy*")) == []


def test_backup(kept: Program, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    said = kept.json("store", "backup", str(file))
    assert (said["file"], said["session_count"]) == (str(file), len(kept.jsonl("ls", "--all")))
    assert "exists already" in kept.run("store", "backup", str(file), status=6).stderr
    assert kept.text("store", "backup", str(file), "--replace").rstrip().endswith(f"in {file}, checked")
    assert kept.json("verify", "--all", "--store", f"sqlite:///{file}")["ok"] is True
    compared = kept.json("store", "copy", "--verify-only", kept.store, f"sqlite:///{file}")
    assert compared["ok"] is True


def test_backup_of_a_store_without_files(program: Program, tmp_path: Path) -> None:
    assert "there is no store at" in program.run("store", "backup", str(tmp_path / "b"), status=10).stderr
    result = program.run("store", "backup", str(tmp_path / "b"), "--store", "memory://", status=2)
    assert "turnfold store copy" in result.stderr


def test_info_counts_what_followers_lack(kept: Program) -> None:
    info = kept.json("store", "info")
    assert info["version"] == tf.__version__
    assert info["seals_lag_sessions"] <= info["session_count"]
    assert info["seals_lag_events"] <= info["event_count"]
    with tf.connect(kept.store, upkeep=False) as client:
        client.open("new").append([tf.user("one"), tf.user("two")])
    assert kept.json("store", "info")["search_lag_events"] == info["search_lag_events"] + 3


def test_check_names_orphans_of_a_composite_store(program: Program, tmp_path: Path) -> None:
    url = f"composite:?sessions=sqlite%3A%2F%2F%2F{tmp_path}%2Fs.db&artifacts=files%3A%2F%2F%2F{tmp_path}%2Fa".replace("/", "%2F")
    image = tf.BlobPart(mime_type="image/png", modality="image", content="iVBO" * 20_000)
    with tf.connect(url) as client:
        client.open("s").append(tf.Message(role="user", parts=[image]))
    assert "without a session" not in program.text("store", "check", "--store", url)
    with tf.connect(f"sqlite:///{tmp_path}/s.db") as client:
        client.delete("s")
    assert "1 artifact without a session: sha256:" in program.text("store", "check", "--store", url)
    assert program.json("store", "info", "--store", url)["orphan_count"] == 1
