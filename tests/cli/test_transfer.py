"""import and export: what came in and why not, nothing twice, and out again byte for byte."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import SRC, Program
from turnfold.formats.registry import BUILT_IN, WRITERS

SAMPLE = SRC / "turnfold" / "data" / "sample"
CLAUDE = SAMPLE / "claude-code"
CODEX = SAMPLE / "codex"
CLAUDE_ID = "7d3f1c52-5a0e-4c1b-9a52-2f6f0b8e41aa"
CODEX_ID = "019cb0d4-7e21-7a63-9c0f-51d2a6e8b3f4"


def test_without_anything_on_the_machine_the_sample_comes_in(program: Program) -> None:
    text = program.text("import")
    assert "this is the sample that ships with Turnfold" in text
    assert "Fix crash of average on days without readings" in text
    assert {info["id"] for info in program.jsonl("ls")} == {CLAUDE_ID, CODEX_ID, f"{CLAUDE_ID}/subagents/agent-a41c9e07b2d35f688"}
    again = program.json("import")
    assert again["sample"] is True
    assert (again["event_count"], again["outcomes"]) == (0, {"unchanged": 3})


def test_the_tools_usual_places_are_found(program: Program) -> None:
    place = program.home / ".claude" / "projects" / "-home-robin-code-tidewatch"
    place.mkdir(parents=True)
    shutil.copy(CLAUDE / f"{CLAUDE_ID}.jsonl", place)
    found = program.json("import")
    assert found["sample"] is False
    assert found["session_ids"] == [CLAUDE_ID]
    assert ["ok", "claude-code files"] in [line.split("\t")[:2] for line in program.text("doctor").splitlines()]


def test_files_and_folders_can_be_named_and_growth_comes_in(program: Program, tmp_path: Path) -> None:
    whole = (CLAUDE / f"{CLAUDE_ID}.jsonl").read_bytes().splitlines(keepends=True)
    file = tmp_path / f"{CLAUDE_ID}.jsonl"
    file.write_bytes(b"".join(whole[:10]))
    assert program.json("import", str(file))["line_count"] == 10
    file.write_bytes(b"".join(whole))
    grown = program.json("import", str(tmp_path))
    assert (grown["outcomes"], grown["line_count"]) == ({"updated": 1}, len(whole) - 10)
    assert program.json("import", str(tmp_path))["event_count"] == 0


def test_the_account_names_what_was_skipped_and_what_was_wrong(program: Program, tmp_path: Path) -> None:
    bad = tmp_path / "notes.txt"
    bad.write_text("just notes\n")
    glued = tmp_path / f"{CLAUDE_ID}.jsonl"
    lines = (CLAUDE / f"{CLAUDE_ID}.jsonl").read_bytes().splitlines(keepends=True)
    glued.write_bytes(b"".join(lines) + b'{"type":"user","mess\x1b[31m\n')
    text = program.text("import", str(bad), str(glued))
    assert next(line for line in text.splitlines() if "skipped" in line).split() == [
        "?",
        "skipped",
        "1",
        "0",
        "0",
        "0",
        "B",
        "no",
        "known",
        "format",
    ]
    assert f"{glued}:{len(lines) + 1}: " in text
    assert "\x1b" not in text
    assert program.run("export", CLAUDE_ID, "--format", "claude-code").stdout_bytes == glued.read_bytes()


def test_when_nothing_could_be_imported_the_status_says_so(program: Program, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("just notes\n")
    for path in (tmp_path / "notes.txt", tmp_path):
        result = program.run("import", str(path), status=2)
        assert result.stderr.startswith("format_error: nothing there could be imported\nhint: ")
    program.run("import", str(tmp_path / "notes.txt"), str(CLAUDE))


def test_a_bundle_brings_a_session_to_another_store(program: Program, tmp_path: Path) -> None:
    program.run("import")
    program.run("export", CLAUDE_ID, "--format", "bundle", "-o", str(tmp_path / "b.zip"))
    other = ("--store", f"sqlite:///{tmp_path}/other.db")
    assert program.json("import", str(tmp_path / "b.zip"), *other)["sample"] is False
    assert len(program.jsonl("ls", *other)) == 2
    assert program.jsonl("events", CLAUDE_ID, *other) == program.jsonl("events", CLAUDE_ID)
    assert program.json("verify", "--all", *other)["ok"] is True
    assert program.run("export", CLAUDE_ID, "--format", "claude-code", *other).stdout_bytes == (CLAUDE / f"{CLAUDE_ID}.jsonl").read_bytes()


@pytest.mark.parametrize("args", [["/nowhere/at/all"], [str(CLAUDE), "--format", "nosuch"]])
def test_what_cannot_be_imported_is_an_error(program: Program, args: list[str]) -> None:
    result = program.run("import", *args, status=2)
    assert result.stderr.split(":")[0] in {"invalid_input", "not_supported"}
    assert program.jsonl("ls") == []


@pytest.mark.parametrize(
    ("session", "name", "file"),
    [(CLAUDE_ID, "claude-code", next(CLAUDE.glob("*.jsonl"))), (CODEX_ID, "codex", next((SAMPLE / "codex").glob("*.jsonl")))],
)
def test_a_session_goes_out_as_it_came_in(program: Program, tmp_path: Path, session: str, name: str, file: Path) -> None:
    program.run("import")
    assert program.run("export", session, "--format", name).stdout_bytes == file.read_bytes()
    written = program.json("export", session[:6], "--format", name, "-o", str(tmp_path / "one.jsonl"))
    assert written["files"] == [{"path": str(tmp_path / "one.jsonl"), "session_id": session, "byte_count": file.stat().st_size}]
    assert (tmp_path / "one.jsonl").read_bytes() == file.read_bytes()


def test_a_folder_gets_the_whole_set(program: Program, tmp_path: Path) -> None:
    program.run("import")
    assert "1 session of subagents not written" in program.run("export", CLAUDE_ID, "--format", "claude-code").stderr
    program.run("export", CLAUDE_ID, "--format", "claude-code", "-o", f"{tmp_path}/out/")
    ours = {path.relative_to(tmp_path / "out"): path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert ours == {path.relative_to(CLAUDE): path.read_bytes() for path in CLAUDE.rglob("*") if path.is_file()}


def test_files_that_are_there_stay_unless_forced(program: Program, tmp_path: Path) -> None:
    program.run("import")
    target = tmp_path / "there"
    target.write_text("mine")
    for name in ("codex", "bundle", "jsonl"):
        result = program.run("export", CODEX_ID, "--format", name, "-o", str(target), status=6)
        assert result.stderr.endswith("hint: --force replaces it\n")
        assert target.read_text() == "mine"
    program.run("export", CODEX_ID, "--format", "jsonl", "-o", str(target), "--force")
    assert target.read_text() != "mine"


def test_jsonl_is_the_log_and_a_bundle_is_a_zip(program: Program, tmp_path: Path) -> None:
    program.run("import")
    assert [json.loads(line) for line in program.text("export", CODEX_ID, "--format", "jsonl").splitlines()] == program.jsonl(
        "events", CODEX_ID
    )
    assert program.text("export", CLAUDE_ID, "--format", "bundle", "-o", str(tmp_path)).startswith(f"{tmp_path / CLAUDE_ID}.turnfold\t")
    with zipfile.ZipFile(tmp_path / f"{CLAUDE_ID}.turnfold") as bundle:
        assert bundle.testzip() is None


def test_a_format_that_only_its_own_sessions_have_is_refused_with_a_hint(program: Program) -> None:
    program.run("import")
    result = program.run("export", CODEX_ID, "--format", "pi", status=2)
    assert result.stdout == ""
    assert result.stderr.startswith("not_supported: ")
    assert "hint: export it as bundle, jsonl, " in result.stderr
    assert program.run("export", CODEX_ID, "--format", "codex", "--json", status=2).stderr.startswith("invalid_input: ")


def test_a_format_that_there_is_not_is_named_with_those_that_there_are(program: Program) -> None:
    program.run("import")
    written = program.run("export", CODEX_ID, "--format", "nonsense", status=2).stderr
    assert written.startswith("not_supported: there is no format 'nonsense' to write\nhint: one of bundle, jsonl, anthropic, claude-code, ")
    assert "pi" not in written.split(", ")
    read = program.run("import", "--format", "nonsense", str(CODEX), status=2).stderr
    assert read.startswith("not_supported: there is no format 'nonsense' to read\nhint: one of adk, aider, ")
    assert "html" not in read.split(", ")


def test_the_formats_are_listed_with_what_can_be_done_with_them(program: Program) -> None:
    listed = {one.pop("name"): one for one in program.json("formats")["formats"]}
    assert set(listed) == {*BUILT_IN, *WRITERS, "bundle", "jsonl"}
    assert listed["codex"] == {"kind": "lines", "reads": True, "writes": "any"}
    assert listed["pi"] == {"kind": "lines", "reads": True, "writes": "own"}
    assert listed["goose"] == {"kind": "document", "reads": True, "writes": ""}
    assert listed["html"] == {"kind": "", "reads": False, "writes": "any"}
    assert listed["bundle"] == {"kind": "bundle", "reads": True, "writes": "any"}
    assert [name for name, one in listed.items() if one["reads"] != bool(one["kind"]) or not (one["reads"] or one["writes"])] == []
    rows = [line.split("\t") for line in program.text("formats").splitlines()]
    assert [row[0] for row in rows] == sorted(listed)
    assert ["goose", "a document or database", ""] in rows
    program.run("import")
    for name, one in listed.items():  # what it says about writing is what export does
        status = 0 if one["writes"] == "any" else 2
        program.run("export", CLAUDE_ID, "--format", name, "-o", str(program.home / f"out.{name}"), status=status)


def test_another_shape_tells_what_it_cannot_hold(program: Program, tmp_path: Path) -> None:
    program.run("import", str(SRC / "turnfold" / "data" / "sample"))
    parent = next(session["id"] for session in program.jsonl("ls") if session["agent"] == "claude-code" and not session.get("parent"))
    result = program.run("export", parent, "--format", "openai")
    assert json.loads(result.stdout)[0]["role"] == "user"
    assert "not in the file: 1 × sessions of subagents" in result.stderr
    assert "-o FOLDER/" not in result.stderr
    told = json.loads(program.run("export", parent, "--format", "anthropic", "-o", f"{tmp_path}/out/", "--json").stdout)
    (file,) = told["files"]
    assert file["path"] == f"{tmp_path}/out/{parent}.json"
    assert file["losses"]["sessions of subagents"]["count"] == 1
    assert json.loads(Path(file["path"]).read_text())["messages"]
