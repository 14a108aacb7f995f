"""OpenCode's sessions, from its database and from the folder that came before it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.formats.databases.kit import HERE, ask, change, known, recorded, sessions_of, settled, sniffed
from turnfold.errors import FormatError
from turnfold.formats.registry import formats
from turnfold.model.usage import Usage

NAME = "opencode"
PROGRAM_VARIABLE = "TURNFOLD_OPENCODE"
MAIN, CHILD = "ses_e06ab4642ffedXMwzqn8aQCvkI", "ses_e06aaa191ffejXqiqYEjR3V0ND"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return recorded(tmp_path, NAME)


def check_counts(path: Path) -> None:
    """Compare with what SQL alone says."""
    found = sessions_of(NAME, path)
    assert list(found) == [row[0] for row in ask(path, "SELECT id FROM session ORDER BY time_created, id")]
    for name, session in found.items():
        kinds = dict(ask(path, f"SELECT json_extract(data, '$.type'), count(*) FROM part WHERE session_id = '{name}' GROUP BY 1"))
        summaries = f"SELECT count(*) FROM message WHERE session_id = '{name}' AND json_extract(data, '$.summary') = 1"
        assert len(session.parts("text")) == kinds.get("text", 0) - ask(path, summaries)[0][0]
        assert len(session.parts("reasoning")) == kinds.get("reasoning", 0)
        assert len(session.parts("tool_call")) == len(session.parts("tool_call_response")) == kinds.get("tool", 0)
        assert len(session.of("compaction")) == kinds.get("compaction", 0)
        cost, read_in = ask(path, f"SELECT cost, tokens_input + tokens_cache_read FROM session WHERE id = '{name}'")[0]
        assert session.usage.cost_microusd == round(cost * 1_000_000)
        assert session.usage.input_tokens == read_in
        assert session.of("title")[-1].data["title"] == ask(path, f"SELECT title FROM session WHERE id = '{name}'")[0][0]
        assert session.problems == []


def test_every_message_and_part_is_read(path: Path) -> None:
    assert sniffed(path) == {NAME: 0.95}
    check_counts(path)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_database_of_the_genuine_program(tmp_path: Path) -> None:
    program = os.environ.get(PROGRAM_VARIABLE)
    if program is None:
        pytest.skip(f"{PROGRAM_VARIABLE} names no program of OpenCode")
    home = tmp_path / "home"
    subprocess.run([sys.executable, str(HERE / "make_opencode.py"), program, str(home)], check=True, timeout=300)
    (path,) = known(NAME).discover(home, {})
    assert sniffed(path) == {NAME: 0.95}
    check_counts(path)


def test_parts_of_the_messages(path: Path) -> None:
    main = sessions_of(NAME, path)[MAIN]
    assert main.parts("reasoning")[0] == {
        "type": "reasoning",
        "content": "I should look at the files.",
        "provider": "loop",
        "model": "scripted",
    }
    calls = [(part["id"], part["name"], part["status"]) for part in main.parts("tool_call")][:3]
    assert calls == [("call_a", "read", "completed"), ("call_b", "bash", "completed"), ("call_c", "read", "error")]
    answers = {part["id"]: part for part in main.parts("tool_call_response")}
    assert answers["call_b"]["exit_code"] == 0
    assert answers["call_b"]["response"] == "a.txt\nopencode.json\n"
    assert answers["call_c"]["is_error"] is True
    assert answers["call_c"]["response"] == "File not found: /srv/ada/notes/missing.txt"
    assert (main.parts("blob")[0]["mime_type"], main.parts("blob")[0]["filename"]) == ("image/png", "dot.png")
    (patch,) = main.of("snapshot")
    assert patch.data["files"] == ["/srv/ada/notes/new.txt"]
    assert main.info.metadata["cwd"] == "/srv/ada/notes"
    assert main.usage == Usage(900, 180, 360, 0, 45, 1080)


def test_a_session_that_a_tool_started_has_its_parent(path: Path) -> None:
    assert sessions_of(NAME, path)[CHILD].info.parent == {"session_id": MAIN, "relation": "subagent"}


def test_a_compaction_stands_for_what_came_before(path: Path) -> None:
    (compaction,) = sessions_of(NAME, path)[MAIN].of("compaction")
    assert compaction.data == {"summary": "Summary: a file was read.", "trigger": "manual", "first_seq": 1, "last_seq": compaction.seq - 1}


def test_an_output_stands_once(path: Path) -> None:
    output = "line of a long output\\n" * 400
    change(path, "UPDATE part SET data = json_set(data, '$.state.output', '" + output + "') WHERE data LIKE '%call_b%'")
    main = sessions_of(NAME, path)[MAIN]
    kept = b"".join((event.source or b"") + event.data_raw for event in main.events)
    assert kept.count(b"line of a long output") == 400


def write_answer(path: Path, message: dict[str, Any], *parts: dict[str, Any], time: int = 1_900_000_000_000) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        name = f"msg_{time}"
        connection.execute("INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?)", (name, MAIN, time, time, json.dumps(message)))
        for number, part in enumerate(parts):
            row = (f"prt_{time}_{number}", name, MAIN, time, time, json.dumps(part))
            connection.execute("INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?, ?)", row)


def test_settled_lines_stay_when_the_session_goes_on(path: Path) -> None:
    steps = [settled(sessions_of(NAME, path)[MAIN])]
    write_answer(path, {"role": "user", "time": {"created": 1}}, {"type": "text", "text": "More"})
    steps.append(settled(sessions_of(NAME, path)[MAIN]))
    running = {"type": "tool", "callID": "c", "tool": "bash", "state": {"status": "running", "input": {}}}
    write_answer(path, {"role": "assistant", "time": {"created": 2}}, running, time=1_900_000_000_001)
    write_answer(path, {"role": "user", "time": {"created": 3}}, {"type": "text", "text": "Waiting"}, time=1_900_000_000_002)
    steps.append(settled(sessions_of(NAME, path)[MAIN]))
    assert len(steps[2]) == len(steps[1])  # the answer is open, and what waits behind it may move
    done = {"type": "tool", "callID": "c", "tool": "bash", "state": {"status": "completed", "input": {}, "output": "x", "time": {"end": 4}}}
    write_answer(path, {"role": "assistant", "time": {"created": 2, "completed": 4}}, done, time=1_900_000_000_001)
    change(
        path,
        "UPDATE session SET title = 'Another', time_updated = 9, cost = 7",
        "UPDATE part SET data = json_set(data, '$.state.time.compacted', 5), time_updated = 9 WHERE data LIKE '%call_a%'",
        "INSERT INTO todo VALUES ('" + MAIN + "', 'Tidy', 'pending', 'high', 0, 1, 1)",
    )
    main = sessions_of(NAME, path)[MAIN]
    steps.append(settled(main))
    for before, after in pairwise(steps):
        assert after[: len(before)] == before
    assert len(steps[3]) == len(steps[2]) + 3
    assert main.of("state.set")[0].data["values"]["todo"][0]["content"] == "Tidy"
    assert main.of("title")[-1].data == {"title": "Another"}


def test_an_answer_of_several_requests_keeps_its_order(path: Path) -> None:
    tool = {"type": "tool", "callID": "c", "tool": "bash", "state": {"status": "completed", "input": {}, "output": "x"}}
    start, end = {"type": "step-start"}, {"type": "step-finish", "tokens": {"input": 1, "output": 2}, "cost": 0.5}
    patch, text = {"type": "patch", "hash": "h", "files": []}, {"type": "text", "text": "Done"}
    message = {"role": "assistant", "modelID": "m", "providerID": "p", "time": {"completed": 1}}
    write_answer(path, message, start, tool, end, patch, start, text, end)
    main = sessions_of(NAME, path)[MAIN]
    assert [(m["role"], m["parts"][0]["type"]) for m in main.messages[-3:]] == [
        ("assistant", "tool_call"),
        ("tool", "tool_call_response"),
        ("assistant", "text"),
    ]
    assert main.usage.cost_microusd == 1_001_080
    assert len({event.message_id for event in main.of("message")[-3:]}) == 3


def test_errors_and_retries_are_run_errors(path: Path) -> None:
    error = {"name": "APIError", "data": {"message": "overloaded"}}
    retry = {"type": "retry", "attempt": 1, "error": error}
    write_answer(path, {"role": "assistant", "error": error}, retry)
    main = sessions_of(NAME, path)[MAIN]
    assert [event.data for event in main.of("run.error")] == [
        {"kind": "APIError", "message": "overloaded"},
        {"kind": "retry", "attempt": 1, "message": "overloaded"},
    ]


def test_bad_rows_are_kept_with_their_problem(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        bad = ["{", "[]", "7", b"\xff", '{"role": []}', '{"role": "user", "summary": 7, "time": []}', '{"role": "assistant", "error": 5}']
        for number, text in enumerate(bad):
            connection.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?)", (f"bad_{number}", MAIN, -number, 0, text))
            parts = [text, '{"type": "tool", "state": {"status": "completed", "time": 5, "attachments": [{"url": 1}, {"url": "x"}]}}']
            parts += ['{"type": "file", "url": []}', '{"type": "reasoning", "text": "", "metadata": {"x": {"signature": 5}}}']
            for place, part in enumerate(parts):
                row = (f"bad_{number}_{place}", f"bad_{number}", MAIN, 0, 0, part)
                connection.execute("INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)", row)
        connection.execute("INSERT INTO part VALUES ('lost', 'nowhere', ?, 0, 0, '{}')", (MAIN,))
    main = sessions_of(NAME, path)[MAIN]
    assert main.problems == ["the message is no JSON object"] * 4
    assert [event.data["native_type"] for event in main.of("opaque")][-1] == "part"


def folder_of(path: Path, root: Path) -> Path:
    """Write a session of the database as the files of old."""

    def write(name: str, value: Any) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(value, indent=2), encoding="utf-8")

    for name, title, directory, version, created in ask(path, "SELECT id, title, directory, version, time_created FROM session"):
        fields = {
            "id": name,
            "projectID": "global",
            "directory": directory,
            "title": title,
            "version": version,
            "time": {"created": created},
        }
        write(f"session/global/{name}.json", fields | ({"parentID": MAIN} if name == CHILD else {}))
    for name, session, data in ask(path, "SELECT id, session_id, data FROM message"):
        write(f"message/{session}/{name}.json", {"id": name, "sessionID": session, **json.loads(data)})
    for name, message, session, data in ask(path, "SELECT id, message_id, session_id, data FROM part"):
        write(f"part/{message}/{name}.json", {"id": name, "sessionID": session, "messageID": message, **json.loads(data)})
    write(f"todo/{MAIN}.json", [{"id": "1", "content": "Tidy", "status": "pending"}])
    return root / "session" / "global" / f"{MAIN}.json"


def test_the_folder_of_old_says_the_same(path: Path, tmp_path: Path) -> None:
    root = tmp_path / "data" / "opencode" / "storage"
    file = folder_of(path, root)
    assert sniffed(file) == {NAME: 0.9}
    old, new = sessions_of(NAME, file), sessions_of(NAME, path)
    assert list(old) == [MAIN]
    assert old[MAIN].messages == new[MAIN].messages
    assert old[MAIN].usage == new[MAIN].usage
    assert old[MAIN].of("state.set")[0].data["values"]["todo"][0]["content"] == "Tidy"
    assert old[MAIN].of("title")[-1].data == new[MAIN].of("title")[-1].data
    covered = set(known(NAME).covered(file))
    names = [row[0] for row in ask(path, f"SELECT id FROM message WHERE session_id = '{MAIN}'")]
    mine = [found for name in names for found in [root / "message" / MAIN / f"{name}.json", *(root / "part" / name).iterdir()]]
    assert covered == {*mine, root / "todo" / file.name, root / "session_diff" / file.name, root / "project" / "global.json"}
    for other in (root / "message").rglob("*.json"):
        assert sniffed(other).get(NAME) is None


def test_broken_files_of_the_folder_are_kept_with_their_problem(path: Path, tmp_path: Path) -> None:
    file = folder_of(path, tmp_path / "storage")
    before = len(sessions_of(NAME, file)[MAIN].messages)
    next((tmp_path / "storage" / "message" / MAIN).iterdir()).write_text("{", encoding="utf-8")
    session = sessions_of(NAME, file)[MAIN]
    assert session.problems == ["the message is no JSON object"]
    assert len(session.messages) < before
    file.write_text("[]", encoding="utf-8")
    with pytest.raises(FormatError, match="not the file of a session"):
        sessions_of(NAME, file)


def test_its_usual_places(path: Path, tmp_path: Path) -> None:
    fmt = known(NAME)
    home = tmp_path / "home"
    data = home / ".local" / "share" / "opencode"
    file = folder_of(path, data / "storage")
    assert file in list(fmt.discover(home, {}))
    (data / "opencode.db").write_bytes(path.read_bytes())
    assert list(fmt.discover(home, {})) == [data / "opencode.db"]
    assert list(fmt.discover(home, {"XDG_DATA_HOME": str(home / ".local" / "share")})) == [data / "opencode.db"]
    assert list(fmt.discover(tmp_path / "nobody", {})) == []


def test_no_other_file_is_taken_for_one(shared_dir: Path) -> None:
    own = {"adk", "goose", "langgraph", "openai-agents", "opencode"} & set(formats().names())
    for path in (shared_dir / "data" / "transcripts").rglob("*"):
        if path.is_file():
            assert own & set(sniffed(path)) == set(), path
