"""Goose's sessions: rows with the schema of its public repository, and the JSON lines of before."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.formats.databases.kit import ask, change, known, recorded, sessions_of, settled, sniffed
from turnfold.codec.residual import join
from turnfold.engine.prepare import prepare
from turnfold.errors import FormatError
from turnfold.formats.base import Line
from turnfold.formats.registry import get_format
from turnfold.model.event import NewEvent
from turnfold.model.usage import Usage

NAME, LINES = "goose", "goose-jsonl"
MAIN = "20300101_1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return recorded(tmp_path, NAME)


def test_every_message_is_read(path: Path) -> None:
    assert sniffed(path) == {NAME: 0.95}
    found = sessions_of(NAME, path)
    assert list(found) == [row[0] for row in ask(path, "SELECT id FROM sessions ORDER BY created_at")]
    main = found[MAIN]
    contents = [json.loads(row[0]) for row in ask(path, f"SELECT content_json FROM messages WHERE session_id = '{MAIN}'")]
    assert len(main.messages) == len(contents)
    assert sum(len(message["parts"]) for message in main.messages) == sum(map(len, contents))
    assert main.problems == []


def test_parts_of_the_messages(path: Path) -> None:
    main = sessions_of(NAME, path)[MAIN]
    assert [message["role"] for message in main.messages] == ["user", "assistant", "tool", "assistant", "assistant"]
    assert main.parts("reasoning") == [
        {"type": "reasoning", "content": "I should look.", "signature": "c2ln"},
        {"type": "reasoning", "encrypted": "b3BhcXVl", "redacted": True},
    ]
    assert main.parts("tool_call")[0] == {
        "type": "tool_call",
        "id": "call_a",
        "name": "weather__get",
        "arguments": {"city": "Bergen"},
        "status": "success",
    }
    answers = main.parts("tool_call_response")
    assert answers[0]["response"] == "It rains in Bergen, as it does on most days of the year."
    assert (answers[1]["id"], answers[1]["is_error"]) == ("call_b", True)
    assert main.parts("blob")[0]["content"] == "iVBORw0KGgo="
    assert [event.visibility for event in main.of("message")] == ["both"] * 4 + ["ui"]
    assert main.of("title")[-1].data == {"title": "Look at the weather"}
    assert main.of("session.updated")[0].data["metadata"] == {"cwd": "/srv/ada/notes", "provider": "anthropic", "model": "scripted"}
    assert main.of("state.set")[0].data["values"]["extension_data"]["todo.v0"]["content"] == "- [ ] tidy"


def test_the_ledger_and_what_the_totals_have_beyond_it(path: Path) -> None:
    main = sessions_of(NAME, path)[MAIN]
    assert [event.usage for event in main.of("usage")] == [
        Usage(100, 20, 40, 10, 0, 5000, "scripted"),
        Usage(120, 10, 60, 0, 0, 4000, "scripted"),
    ]
    assert main.usage == Usage(250, 50, 100, 10, 0, 20_000)
    change(path, "DROP TABLE usage_ledger")
    assert sessions_of(NAME, path)[MAIN].usage == Usage(250, 50, 0, 0, 0, 20_000)


def add(path: Path, name: str, role: str, text: str, metadata: str | None, *, at: int = 1893492100) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        row = (name, MAIN, role, json.dumps([{"type": "text", "text": text}]), at, metadata)
        connection.execute(
            "INSERT INTO messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )


def compact(path: Path) -> None:
    """Do what Goose does: write the whole conversation anew, marked, and go on from a summary."""
    with closing(sqlite3.connect(path)) as connection, connection:
        columns = "message_id, session_id, role, content_json, created_timestamp"
        old = connection.execute(f"SELECT {columns} FROM messages WHERE session_id = ? ORDER BY id", (MAIN,)).fetchall()
        connection.execute("DELETE FROM messages WHERE session_id = ?", (MAIN,))
        marks = '{"userVisible":true,"agentVisible":false}'
        connection.executemany(f"INSERT INTO messages ({columns}, metadata_json) VALUES (?, ?, ?, ?, ?, '{marks}')", old)
    add(path, "msg_s", "user", "They asked about the weather.", '{"userVisible":false,"agentVisible":true}')
    add(path, "msg_c", "assistant", "Your context was compacted.", '{"userVisible":false,"agentVisible":true}')
    add(path, "msg_n", "user", "And tomorrow?", None, at=1893492101)


def test_a_compaction_appends(path: Path) -> None:
    before = settled(sessions_of(NAME, path)[MAIN])
    change(path, "DELETE FROM messages WHERE message_id = 'msg_5'")
    without = settled(sessions_of(NAME, path)[MAIN])
    assert without == before[:-1]
    compact(path)
    main = sessions_of(NAME, path)[MAIN]
    assert settled(main)[: len(without)] == without
    (compaction,) = main.of("compaction")
    assert compaction.data == {"summary": "They asked about the weather.", "first_seq": 1, "last_seq": compaction.seq - 1}
    assert [(event.visibility, event.turn_count) for event in main.of("message")][-2:] == [("model", 0), ("both", 1)]
    assert b'"message_ids":["msg_1","msg_2","msg_3","msg_4"]' in main.document.lines[-2]


def test_settled_lines_stay_when_the_session_goes_on(path: Path) -> None:
    before = settled(sessions_of(NAME, path)[MAIN])
    add(path, "msg_6", "user", "More", None)
    change(
        path,
        "UPDATE sessions SET name = 'Another', updated_at = '2031-01-01 00:00:00', accumulated_input_tokens = 900, working_dir = '/tmp'",
        f"INSERT INTO usage_ledger (session_id, created_timestamp, input_tokens) VALUES ('{MAIN}', 1893492102, 300)",
    )
    main = sessions_of(NAME, path)[MAIN]
    assert settled(main)[: len(before)] == before
    assert len(settled(main)) == len(before) + 2
    assert main.usage.input_tokens == 900
    assert main.of("title")[-1].data == {"title": "Another"}


def test_older_and_newer_columns(path: Path) -> None:
    change(
        path,
        "ALTER TABLE messages DROP COLUMN metadata_json",
        "ALTER TABLE messages DROP COLUMN message_id",
        "ALTER TABLE sessions DROP COLUMN name",
        "ALTER TABLE sessions DROP COLUMN accumulated_cost",
        "ALTER TABLE sessions ADD COLUMN parent_session_id TEXT",
        f"UPDATE sessions SET parent_session_id = '{MAIN}', description = 'Of old' WHERE id != '{MAIN}'",
    )
    assert sniffed(path) == {NAME: 0.95}
    found = sessions_of(NAME, path)
    assert len(found[MAIN].messages) == 5
    assert found["20300102_1"].info.parent == {"session_id": MAIN, "relation": "subagent"}
    assert found["20300102_1"].of("title")[-1].data == {"title": "Of old"}


def test_bad_rows_are_kept_with_their_problem(path: Path) -> None:
    bad: list[Any] = [
        "{",
        "{}",
        "7",
        b"\xff",
        "[7, {}, null]",
        '[{"type": "toolRequest", "toolCall": 5}, {"type": "toolResponse", "toolResult": []}]',
    ]
    bad += [
        '[{"type": "toolResponse", "id": [], "toolResult": {"value": [{"type": "text", "text": "old form"}]}}]',
        '[{"type": "image", "data": 5}]',
    ]
    with closing(sqlite3.connect(path)) as connection, connection:
        for number, content in enumerate(bad):
            row = (MAIN, "user" if number else "robot", content, -5, ["{", "[]", '{"userVisible": 7}', None][number % 4])
            statement = "INSERT INTO messages (session_id, role, content_json, created_timestamp, metadata_json) VALUES (?, ?, ?, ?, ?)"
            connection.execute(statement, row)
        connection.execute("INSERT INTO usage_ledger (session_id, input_tokens, cost, model) VALUES (?, 'x', 'y', X'00')", (MAIN,))
        connection.execute("UPDATE sessions SET extension_data = '[', model_config_json = '5', created_at = 'never'")
    main = sessions_of(NAME, path)[MAIN]
    assert main.problems == ["the content is no JSON array"] * 4
    assert main.parts("tool_call_response")[-1]["response"] == "old form"


def test_a_file_that_is_cut_off(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    cut = tmp_path / "cut.db"
    for size in (1, 90, 4096, 9000):
        cut.write_bytes(whole[:size])
        with pytest.raises(FormatError, match=str(cut)):
            sessions_of(NAME, cut)


# ---- the lines of before -----------------------------------------------------------------------------------------------------------------


def lines_of(path: Path, folder: Path) -> Path:
    """Write the session as the file of old."""
    folder.mkdir(parents=True, exist_ok=True)
    out = [{"working_dir": "/srv/ada/notes", "description": "Look at the weather", "message_count": 5, "total_tokens": 130}]
    for role, created, content in ask(path, f"SELECT role, created_timestamp, content_json FROM messages WHERE session_id = '{MAIN}'"):
        out.append({"role": role, "created": created, "content": json.loads(content)})
    file = folder / "20300101_100000.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in out) + '{"role": 7, "content": 5}\n{"torn', encoding="utf-8")
    return file


def test_the_lines_of_old_say_the_same(path: Path, tmp_path: Path) -> None:
    file = lines_of(path, tmp_path / "old")
    assert sniffed(file) == {LINES: 0.9}
    fmt = get_format(LINES)
    lines = file.read_bytes().splitlines(keepends=True)
    info = fmt.describe(file, lines)
    assert (info.native_id, info.title, info.metadata) == ("20300101_100000", "Look at the weather", {"cwd": "/srv/ada/notes"})
    reader = fmt.reader(file, info, None, lambda _name: None)
    projected = [item for number, line in enumerate(lines, 1) for item in reader.feed(Line(number, 0, line), number + 1)]
    assert [item.problem is None for item in projected] == [True] * 6 + [False] * 2
    parts: list[tuple[str, bytes]] = []
    events = [
        prepare(NewEvent(**{name: getattr(item.event, name) for name in item.event.__struct_fields__}), None, parts) for item in projected
    ]
    assert b"".join(join(event.source or b"", event.data, dict(parts).__getitem__) for event in events) == file.read_bytes()
    messages = [event.data for event in events if event.type == "message"]
    assert [m["parts"] for m in messages] == [m["parts"] for m in sessions_of(NAME, path)[MAIN].messages]
    assert reader.finish(20) == []


def test_its_usual_places(path: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    sessions = home / ".local" / "share" / "goose" / "sessions"
    file = lines_of(path, sessions)
    assert list(get_format(LINES).discover(home, {})) == [file]
    assert list(known(NAME).discover(home, {})) == []
    (sessions / "sessions.db").write_bytes(path.read_bytes())
    assert list(get_format(LINES).discover(home, {})) == []
    assert list(known(NAME).discover(home, {})) == [sessions / "sessions.db"]
    assert list(known(NAME).discover(tmp_path, {"XDG_DATA_HOME": str(home / ".local" / "share")})) == [sessions / "sessions.db"]
    assert list(known(NAME).discover(tmp_path, {"GOOSE_PATH_ROOT": str(home)})) == []
