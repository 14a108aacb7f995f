"""Sessions of the OpenAI Agents SDK, recorded and made by the genuine package."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.formats.databases.kit import ask, change, genuine, recorded, sessions_of, settled, sniffed
from turnfold.errors import FormatError
from turnfold.formats.registry import get_format
from turnfold.model.usage import Usage

NAME = "openai-agents"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return recorded(tmp_path, "openai_agents")


def check_counts(path: Path) -> None:
    """Compare with what SQL alone says."""
    found = sessions_of(NAME, path)
    assert sorted(found) == sorted(row[0] for row in ask(path, "SELECT session_id FROM agent_sessions"))
    for name, session in found.items():
        items = [
            json.loads(row[0]) for row in ask(path, f"SELECT message_data FROM agent_messages WHERE session_id = '{name}' ORDER BY id")
        ]
        assert len(session.of("message")) == len(items)
        assert len(session.parts("tool_call")) == sum(item.get("type") == "function_call" for item in items)
        assert len(session.parts("tool_call_response")) == sum(item.get("type") == "function_call_output" for item in items)
        assert sum(event.turn_count for event in session.events) == sum(item.get("role") == "user" for item in items)
        query = f"SELECT sum(input_tokens), sum(output_tokens) FROM turn_usage WHERE session_id = '{name}'"
        assert (session.usage.input_tokens or None, session.usage.output_tokens or None) == ask(path, query)[0]
        assert session.problems == []


def test_every_item_is_a_message(path: Path) -> None:
    assert sniffed(path) == {NAME: 0.95}
    check_counts(path)


@pytest.mark.slow
def test_a_database_of_the_genuine_package(tmp_path: Path) -> None:
    path = genuine(tmp_path, "openai_agents", "agents")
    assert sniffed(path) == {NAME: 0.95}
    check_counts(path)


def test_parts_of_the_items(path: Path) -> None:
    trip = sessions_of(NAME, path)["trip-42"]
    assert trip.parts("reasoning") == [
        {"type": "reasoning", "summary": ["Two cities to look up."], "encrypted": "gAAAAABopaque", "provider": "openai", "id": "rs_1"}
    ]
    assert [(part["id"], part["arguments"]) for part in trip.parts("tool_call")] == [
        ("call_a", {"city": "Bergen"}),
        ("call_b", {"city": "Oslo"}),
    ]
    assert [part["id"] for part in trip.parts("tool_call_response")] == ["call_a", "call_b"]
    assert trip.parts("blob")[0]["mime_type"] == "image/png"
    assert sessions_of(NAME, path)["plain"].parts("server_tool_call")[0]["name"] == "web_search"
    assert trip.of("title")[0].data == {"title": "Weather in Bergen and Oslo?"}


def test_a_branch_begins_behind_the_last_item_that_it_shares(path: Path) -> None:
    trip = sessions_of(NAME, path)["trip-42"]
    (created,) = trip.of("branch.created")
    assert created.data == {"name": "what-if", "parent": "main", "fork_seq": trip.places["7"].seq}
    assert [event.data["parts"][0]["content"] for event in trip.of("message") if event.branch == "what-if"] == [
        "Something else?",
        "On the branch.",
    ]
    assert trip.of("branch.switched")[0].data == {"name": "what-if", "previous": "main"}
    assert trip.usage == Usage(400, 80, 160, 0, 20)


def test_a_branch_from_the_first_turn_shares_nothing(path: Path) -> None:
    change(path, "DELETE FROM message_structure WHERE branch_id = 'what-if' AND message_id < 10")
    (created,) = sessions_of(NAME, path)["trip-42"].of("branch.created")
    assert created.data == {"name": "what-if", "parent": "main", "fork_seq": 0}


def test_settled_lines_stay_when_the_session_goes_on(path: Path) -> None:
    before = {name: settled(session) for name, session in sessions_of(NAME, path).items()}
    change(
        path,
        'INSERT INTO agent_messages (session_id, message_data) VALUES (\'trip-42\', \'{"role": "user", "content": "More"}\')',
        "INSERT INTO message_structure (session_id, message_id, branch_id, message_type, sequence_number, user_turn_number)"
        " VALUES ('trip-42', 15, 'what-if', 'user', 19, 3)",
        "UPDATE turn_usage SET input_tokens = 500 WHERE branch_id = 'what-if'",
        "UPDATE agent_sessions SET updated_at = '2031-01-01 00:00:00'",
    )
    after = sessions_of(NAME, path)
    for name, lines in before.items():
        assert settled(after[name])[: len(lines)] == lines
    assert after["trip-42"].usage.input_tokens == 800
    assert len(settled(after["trip-42"])) == len(before["trip-42"]) + 2  # the usage of the turn that ended, and the item


def test_tables_may_have_other_names(path: Path) -> None:
    change(path, 'ALTER TABLE agent_messages RENAME TO "chat items"', "ALTER TABLE agent_sessions RENAME TO chats")
    assert sniffed(path) == {NAME: 0.85}
    assert {name: len(session.messages) for name, session in sessions_of(NAME, path).items()} == {"trip-42": 11, "plain": 3}
    change(path, "CREATE TABLE agent_messages (id, session_id, message_data)", "INSERT INTO agent_messages VALUES (1, 'plain', '{}')")
    assert sorted(sessions_of(NAME, path)) == ["chat items/plain", "chat items/trip-42", "plain"]


def test_bad_rows_are_kept_with_their_problem(path: Path) -> None:
    deep = "[" * 5000 + "]" * 5000
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        for bad in (
            "{",
            "[1]",
            "",
            None,
            7,
            b"\xff\x00",
            deep,
            '{"role": "user", "content": "\\ud800 lone"}',
            '{"type": 5}',
            '{"role": []}',
        ):
            value = "null" if bad is None else bad
            connection.execute("INSERT INTO agent_messages (session_id, message_data) VALUES ('plain', ?)", (value,))
        connection.execute("INSERT INTO agent_messages (session_id, message_data, created_at) VALUES ('', '{}', 'never')")
    found = sessions_of(NAME, path)
    plain = found["plain"]
    assert len(plain.problems) == 7
    assert [event.data["native_type"] for event in plain.of("opaque")] == ["agent_messages"] * 9
    assert plain.messages[-1]["parts"][0]["content"] == "\ufffd lone"
    assert len([name for name in found if name.startswith("unnamed-")]) == 1


def test_a_file_that_is_cut_off(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    cut = tmp_path / "cut.db"
    for size in (1, 90, 4096, 5000):
        cut.write_bytes(whole[:size])
        with pytest.raises(FormatError, match=str(cut)):
            sessions_of(NAME, cut)
    place = whole.index(b"Weather in Bergen") // 4096 * 4096
    cut.write_bytes(whole[:place] + b"\xff" * 4096 + whole[place + 4096 :])
    trip = sessions_of(NAME, cut)["trip-42"]
    assert len(trip.problems) == 1
    assert trip.problems[0].startswith("items: the rest could not be read: database disk image is malformed")


def test_another_database_is_none_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (id, session_id, body)")
    assert sniffed(path) == {}
    assert get_format(NAME).sniff(path, b"SQLite format 3\x00") == 0.0
    assert get_format(NAME).sniff(tmp_path / "none", b"SQLite format 3\x00") == 0.0
