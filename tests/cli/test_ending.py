"""How processes end: pipes that close, Ctrl-C, errors on stderr, and what a terminal gets to see."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import turnfold as tf
from tests.cli.conftest import Program
from tests.support import skip_or_fail
from turnfold.testing.servers import redis

NASTY = "\x1b]52;c;cm0=\x07\x1b]0;title\x07\x9b2J\x1b[2Jred \u202eevil [bold]x[/bold]"


@pytest.fixture
def filled(program: Program) -> Program:
    """A session with many events and nasty text in all of them."""
    with tf.connect(program.store) as client:
        session = client.open("talk", title=NASTY)
        session.append([tf.user(f"{number} {NASTY}") for number in range(3_000)])
    return program


def test_errors_go_to_stderr_with_their_exit_status(program: Program, tmp_path: Path) -> None:
    assert program.process("show", "nobody") == (
        4,
        "",
        "session_not_found: there is no session 'nobody'\nhint: turnfold ls shows the ids\n",
    )
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    status, out, err = program.process("ls", "--store", f"sqlite:///{tmp_path}/file/a.db")
    assert (status, out) == (10, "")
    assert err.startswith("store_unavailable: ")
    assert "Traceback" not in err
    assert program.process("nonsense")[0] == 2


def test_a_reader_that_has_enough_is_no_error(filled: Program) -> None:
    with filled.start("events", "talk", "--jsonl") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b'{"seq":1,')
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_ctrl_c_while_following_says_how_to_go_on(filled: Program) -> None:
    with filled.start("follow", "talk", "--after", "2999", "--jsonl") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert [process.stdout.readline().startswith(b'{"seq":3') for _ in range(2)] == [True, True]
        process.send_signal(signal.SIGINT)
        told = process.stderr.read().decode().strip()
        # the signal may fall between the line and the note of it: then going on shows the last one again, and never misses one
        assert told in {f"stopped; `turnfold follow talk --after {seq}` goes on" for seq in (3000, 3001)}
    assert process.returncode == 130


def test_follow_sees_another_process_append_and_ends_with_the_session(program: Program) -> None:
    with tf.connect(program.store) as client:
        session = client.open("talk", persist=True)
        with program.start("follow", "talk", "--jsonl", "--after", "0") as process:
            assert process.stdout is not None
            assert b'"session.created"' in process.stdout.readline()
            session.append(tf.user("hello"))
            assert b'"hello"' in process.stdout.readline()
            session.close()
            assert b'"completed"' in process.stdout.readline()
            assert process.stdout.read() == b""
        assert process.returncode == 0


def write_rollout(folder: Path, message_count: int) -> None:
    """Write a Codex rollout of so many user messages."""
    native_id, at = "019cb0d4-7e21-7a63-9c0f-51d2a6e8b3f4", "2026-03-03T14:05:11.402Z"
    lines: list[dict[str, object]] = [{"timestamp": at, "type": "session_meta", "payload": {"id": native_id}}]
    for number in range(message_count):
        content = [{"type": "input_text", "text": f"line {number} {'x' * 400}"}]
        lines.append({"timestamp": at, "type": "response_item", "payload": {"type": "message", "role": "user", "content": content}})
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (folder / f"rollout-2026-03-03T14-05-11-{native_id}.jsonl").write_text(text)


def test_ctrl_c_during_an_import_keeps_what_came_in_and_a_second_run_goes_on(program: Program, tmp_path: Path) -> None:
    write_rollout(tmp_path, 30_000)
    with program.start("import", str(tmp_path)) as process:
        assert process.stderr is not None
        deadline = time.monotonic() + 20
        while not program.jsonl("ls") and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        err = process.stderr.read().decode()
    assert process.returncode == 130
    assert err.strip() == "interrupted; what came in is kept, run the same command again to go on"
    before = program.jsonl("ls")[0]["message_count"]
    assert 0 < before < 30_000
    assert program.json("import", str(tmp_path))["line_count"] == 30_001 - before - 1
    assert program.jsonl("ls")[0]["message_count"] == 30_000


def on_terminal(program: Program, *args: str, columns: int = 100, **env: str) -> tuple[int, str]:
    """Run with a pseudo terminal as stdin, stdout and stderr; return status and what it showed."""
    ours, theirs = pty.openpty()
    environment = {**program.env, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40", **env}
    command = [sys.executable, "-m", "turnfold", *args]
    with subprocess.Popen(command, env=environment, cwd=program.home, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65_536):
                shown += piece
        except OSError:  # the other side is closed: Linux says it so
            pass
        os.close(ours)
    return process.returncode, shown.decode()


@pytest.mark.parametrize(
    "args", [["ls"], ["show", "talk", "--last", "3"], ["events", "talk", "--limit", "3"], ["tree", "talk"], ["search", "evil"]]
)
def test_on_a_terminal_only_our_own_styling_acts(filled: Program, args: list[str]) -> None:
    status, shown = on_terminal(filled, *args, columns=200)
    assert status == 0
    assert "\x1b[" in shown  # styled
    left = re.sub(r"\x1b\[[0-9;]*m|\r\n", "", shown)
    assert not {"\x1b", "\x9b", "\x07", "\r", "\u202e"} & set(left)
    assert "[bold]x[/bold]" in left


def test_no_color_takes_the_colours_away(filled: Program) -> None:
    _, shown = on_terminal(filled, "ls", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", shown)
    assert "talk" in shown


def test_tables_have_headings_on_a_terminal_and_give_way_when_it_is_narrow(filled: Program) -> None:
    wide, narrow = on_terminal(filled, "ls")[1], on_terminal(filled, "ls", columns=50)[1]
    assert "agent" in wide
    assert "agent" not in narrow
    plain = re.sub(r"\x1b\[[0-9;]*m", "", narrow)
    assert max(len(line) for line in plain.splitlines()) <= 50
    assert "title" in plain


def test_an_export_to_a_terminal_is_escaped_and_says_so(filled: Program) -> None:
    status, shown = on_terminal(filled, "export", "talk", "--format", "jsonl")
    assert status == 0
    assert "shown with control characters escaped" in shown
    assert not {"\x1b", "\x9b", "\x07", "\u202e"} & set(shown)
    assert on_terminal(filled, "export", "talk", "--format", "bundle")[0] == 2


def test_a_warning_is_one_line_without_code(program: Program, tmp_path: Path) -> None:
    if redis.executable() is None:
        skip_or_fail("no Redis server is installed")
    with redis.RedisServer(tmp_path / "redis", {"appendonly": "no"}) as server:
        status, out, err = program.process("ls", "--store", server.url)
        assert (status, out) == (0, "")
        assert re.fullmatch(r"warning: redis://\S+ is not durable: appendonly is no[^\n]*\n", err)
        findings = json.loads(program.process("doctor", "--json", "--store", server.url)[1])["findings"]
        assert [one["state"] for one in findings if one["name"] == "durability"] == ["note"]
