"""The Go package's SQLite file, made with its schema and written as its two drivers write times."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.formats.library_documents import ReadSession, calls_of, read
from turnfold.errors import FormatError
from turnfold.formats.go_session import GoSessionFormat, parse_go_time
from turnfold.formats.registry import Formats

GO = GoSessionFormat()
SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    peer_id TEXT NOT NULL,
    thread_id TEXT,
    state INTEGER NOT NULL DEFAULT 0,
    metadata TEXT,
    messages TEXT,
    system_prompt TEXT,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    last_active_at DATETIME NOT NULL,
    compacted_at DATETIME
);
CREATE INDEX IF NOT EXISTS idx_sessions_agent ON sessions(agent_id);
CREATE INDEX IF NOT EXISTS idx_sessions_channel ON sessions(channel_id);
CREATE INDEX IF NOT EXISTS idx_sessions_peer ON sessions(peer_id);
CREATE INDEX IF NOT EXISTS idx_sessions_state ON sessions(state);
CREATE INDEX IF NOT EXISTS idx_sessions_last_active ON sessions(last_active_at);
"""
CREATED, ACTIVE = "2026-03-04 05:06:07.123456789 +0100 CET m=+0.012345678", "2026-03-04 06:00:00.5+00:00"
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "Weather in <Paris> & Rome?"},
    {"role": "assistant", "content": "I look.", "tool_calls": [{"id": "t1", "name": "weather", "arguments": '{"city": "Paris"}'}]},
    {"role": "tool", "content": "sunny", "tool_call_id": "t1"},
    {"role": "assistant", "content": "Sunny."},
]
METADATA = {
    "title": "Weather",
    "tags": ["travel", "sun"],
    "custom_data": {"lang": "fr"},
    "message_count": 4,
    "token_count": 40,
    "compaction_count": 0,
}
ROW: dict[str, Any] = {
    "id": "guide:matrix:@bob:srv.org",
    "agent_id": "guide",
    "channel_id": "matrix",
    "peer_id": "@bob:srv.org",
    "thread_id": None,
    "state": 4,
    "metadata": json.dumps(METADATA),
    "messages": json.dumps({"messages": MESSAGES}),
    "system_prompt": "Be brief.",
    "created_at": CREATED,
    "updated_at": ACTIVE,
    "last_active_at": ACTIVE,
    "compacted_at": None,
}


def store(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "sessions.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SCHEMA)
        for number, row in enumerate(rows):
            values = {**ROW, "id": f"row {number}", **row}
            connection.execute(f"INSERT INTO sessions ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", list(values.values()))
    return path


def only(path: Path) -> ReadSession:
    (session,) = read(GO, path)
    return session


def test_messages_have_their_order_and_calls(tmp_path: Path) -> None:
    path = store(tmp_path, {})
    assert getattr(Formats().detect(path), "name", None) == "go-session"
    session = only(path)
    assert [message.text for message in session.messages()] == ["Weather in <Paris> & Rome?", "I look.", "", "Sunny."]
    assert calls_of(session.messages()) == [("t1", "weather", {"city": "Paris"})]
    assert [(part.id, part.response) for part in session.messages()[2].tool_results] == [("t1", "sunny")]
    assert not session.problems


def test_the_sessions_facts_are_there(tmp_path: Path) -> None:
    session = only(store(tmp_path, {}))
    info = session.head.info
    assert (info.title, info.tags, info.turn_count) == ("Weather", ("sun", "travel"), 1)
    assert session.values("system_prompt") == {"": "Be brief."}
    assert {name: info.metadata[name] for name in ("agent_id", "peer_id", "lang", "native_state")} == {
        "agent_id": "guide",
        "peer_id": "@bob:srv.org",
        "lang": "fr",
        "native_state": "archived",
    }
    assert info.created_at_us == 1_772_597_167_123_456
    assert {event.at_us for event in session.of_type("message")} == {1_772_604_000_500_000}


def test_ids_that_the_package_mixes_up_are_apart(tmp_path: Path) -> None:
    path = store(tmp_path, {}, {"peer_id": "@bob", "thread_id": "srv.org"})
    assert [session.document.native_id for session in read(GO, path)] == ["guide:matrix:@bob%3Asrv.org", "guide:matrix:@bob:srv.org"]


def test_a_compaction_is_no_system_prompt(tmp_path: Path) -> None:
    metadata = {**METADATA, "summary": "They spoke of [rain]."}
    prompt = "[Previous conversation summary: They spoke of [rain].]"
    session = only(
        store(tmp_path, {"metadata": json.dumps(metadata), "system_prompt": prompt, "compacted_at": "2026-03-04 05:30:00+00:00"})
    )
    assert session.values("system_prompt") == {}
    (compaction,) = session.of_type("compaction")
    assert compaction.data["summary"] == "They spoke of [rain]."
    window = [entry.message.text for entry in session.conversation().for_model if entry.message is not None]
    assert window == ["They spoke of [rain].", "Weather in <Paris> & Rome?", "I look.", "", "Sunny."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-04T05:06:07Z", 1_772_600_767_000_000),
        ("2026-03-04 05:06:07", 1_772_600_767_000_000),
        ("2026-03-04 05:06:07.1 +0000 UTC", 1_772_600_767_100_000),
        ("2026-03-04 05:06:07.000000999 -0130 -0130 m=-1.5", 1_772_606_167_000_000),
        ("0001-01-01 00:00:00 +0000 UTC", -62_135_596_800_000_000),
        ("yesterday", None),
        ("2026-13-04 05:06:07", None),
        (5, None),
        (None, None),
    ],
)
def test_times_of_both_drivers_are_read(text: Any, expected: int | None) -> None:
    assert parse_go_time(text) == expected


def test_a_broken_row_is_reported_and_the_others_are_read(tmp_path: Path) -> None:
    path = store(tmp_path, {"messages": '{"messages": [{"ro', "peer_id": "torn"}, {"metadata": "[", "peer_id": "odd"}, {"peer_id": "sound"})
    sessions = {session.metadata["peer_id"]: session for session in read(GO, path)}
    assert {name: (len(session.problems), len(session.messages())) for name, session in sessions.items()} == {
        "torn": (1, 0),
        "odd": (1, 4),
        "sound": (0, 4),
    }


def test_a_message_of_no_known_role_is_reported_and_kept(tmp_path: Path) -> None:
    session = only(store(tmp_path, {"messages": json.dumps({"messages": [{"role": "robot", "content": "x"}, *MESSAGES]})}))
    assert len(session.problems) == 1
    assert len(session.messages()) == 4


def test_growing_keeps_the_settled_lines(tmp_path: Path) -> None:
    path = store(tmp_path, {})
    before = next(iter(GO.documents(path)))
    with closing(sqlite3.connect(path)) as connection, connection:
        grown = json.dumps({"messages": [*MESSAGES, MESSAGES[0]]})
        connection.execute("UPDATE sessions SET messages = ?, updated_at = '2027-01-01 00:00:00', state = 0", [grown])
    after = next(iter(GO.documents(path)))
    assert before.settled_count is not None
    assert list(after.lines[: before.settled_count]) == list(before.lines[: before.settled_count])


def test_a_damaged_database_is_refused_by_name(tmp_path: Path) -> None:
    path = store(tmp_path, *({"peer_id": f"peer {number}", "system_prompt": "x" * 3000} for number in range(20)))
    data = path.read_bytes()
    path.write_bytes(data[:9000] + b"\xff" * (len(data) - 9000))
    with pytest.raises(FormatError, match=r"sessions\.db"):
        list(GO.documents(path))


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, [5], {"a": 1}, True, "\ud800", 1e300])
def test_hostile_values_never_raise(tmp_path: Path, value: Any) -> None:
    hostile = [value, *({**MESSAGES[1], name: value} for name in MESSAGES[1]), {**MESSAGES[1], "tool_calls": [value, {"name": value}]}]
    rows: list[dict[str, Any]] = [
        {"messages": json.dumps({"messages": hostile})},
        {"messages": json.dumps(value)},
        {"metadata": json.dumps(value)},
    ]
    rows += [{"metadata": json.dumps({**METADATA, name: value})} for name in METADATA]
    scalar = value if isinstance(value, (int, float)) else b"\xff\x00"
    rows += [{name: scalar} for name in ("agent_id", "peer_id", "state", "system_prompt", "created_at", "last_active_at", "compacted_at")]
    assert len(read(GO, store(tmp_path, *rows))) == len(rows)
