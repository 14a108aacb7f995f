"""resume: the command alone on stdout, everything else beside it, and the tool started in place of the program."""

import json
from pathlib import Path

from tests.cli.conftest import SRC, Program

CLAUDE_ID = "7d3f1c52-5a0e-4c1b-9a52-2f6f0b8e41aa"
CODEX_ID = "019cb0d4-7e21-7a63-9c0f-51d2a6e8b3f4"
SAMPLE = str(SRC / "turnfold" / "data" / "sample")


def fake(program: Program, name: str) -> Path:
    """Put a program of the tool's name on the path that tells how it was started."""
    folder = program.home / "bin"
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text('#!/bin/sh\npwd\necho "$0 $@"\necho "home=$CODEX_HOME$CLAUDE_CONFIG_DIR"\nexit 7\n')
    script.chmod(0o755)
    program.env["PATH"] = f"{folder}:{program.env['PATH']}"
    return script


def test_the_command_is_the_only_result(program: Program, tmp_path: Path) -> None:
    program.run("import", SAMPLE)
    result = program.run("resume", "7d3f", "--with", "codex", "--cwd", str(tmp_path))
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"cd {tmp_path} && codex resume ")
    assert "wrote a new session of Codex" in result.stderr
    assert "not in it: 2 × reasoning parts of another provider" in result.stderr
    (path,) = (program.home / ".codex" / "sessions").rglob("*.jsonl")
    assert line.endswith(path.stem[-36:])
    assert "there already" in program.run("resume", "7d3f", "--with", "codex", "--cwd", str(tmp_path)).stderr
    with path.open("a") as file:
        file.write('{"timestamp":"2027-01-01T00:00:00Z","type":"event_msg","payload":{"type":"warning"}}\n')
    assert "has gone on in it since" in program.run("resume", "7d3f", "--with", "codex", "--cwd", str(tmp_path)).stderr


def test_json_says_everything_and_a_dry_run_writes_nothing(program: Program, tmp_path: Path) -> None:
    program.run("import", SAMPLE)
    done = program.json("resume", "019c", "--with", "claude", "--dry-run", "--config-dir", str(tmp_path / "c"))
    assert (done["outcome"], done["tool"], done["linked"]) == ("planned", "claude", False)
    assert done["variables"] == {"CLAUDE_CONFIG_DIR": str(tmp_path / "c")}
    assert not (tmp_path / "c").exists()
    native = program.json("resume", "019c", "--with", "codex", "--cwd", str(tmp_path))
    assert (native["is_native"], native["native_id"]) == (True, CODEX_ID)


def test_run_becomes_the_tool_in_the_sessions_folder(program: Program, tmp_path: Path) -> None:
    program.run("import", SAMPLE)
    work = tmp_path / "a b"
    work.mkdir()
    script = fake(program, "codex")
    status, out, err = program.process("resume", "7d3f", "--with", "codex", "--run", "--cwd", str(work), "--home", str(tmp_path / "h"))
    where, called, home = out.splitlines()
    (path,) = (tmp_path / "h" / "sessions").rglob("*.jsonl")
    assert (status, where, home) == (7, str(work), f"home={tmp_path / 'h'}")
    assert called == f"{script} resume {path.stem[-36:]}"
    assert "wrote a new session" in err
    events = program.jsonl("events", CLAUDE_ID, "--type", "link")
    assert json.dumps(events).count(path.stem[-36:]) >= 1


def test_what_cannot_be_done_is_said_before_anything_is_written(program: Program, tmp_path: Path) -> None:
    program.run("import", SAMPLE)
    program.env["PATH"] = str(tmp_path)
    result = program.run("resume", "7d3f", "--with", "claude", "--run", "--cwd", str(tmp_path), status=2)
    assert "Claude Code is not installed" in result.stderr
    assert not (program.home / ".claude").exists()
    assert "not on this machine" in program.run("resume", "7d3f", "--with", "codex", status=2).stderr
    assert "--run excludes" in program.run("resume", "7d3f", "--with", "codex", "--run", "--json", status=2).stderr
    assert "vim" in program.run("resume", "7d3f", "--with", "vim", status=2).stderr
