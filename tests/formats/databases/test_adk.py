"""Sessions of Google's ADK, recorded and made by the genuine package."""

from __future__ import annotations

import json
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.formats.databases.kit import ask, change, genuine, recorded, sessions_of, settled, sniffed
from turnfold.errors import FormatError

NAME = "adk"
BOB = "planner/bob/trip-1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return recorded(tmp_path, "adk")


def check_counts(path: Path) -> None:
    """Compare with what SQL alone says."""
    found = sessions_of(NAME, path)
    assert list(found) == ["trip-1", BOB]
    for name, user in (("trip-1", "ada"), (BOB, "bob")):
        session = found[name]
        events = [json.loads(row[0]) for row in ask(path, f"SELECT event_data FROM events WHERE user_id = '{user}' ORDER BY rowid")]
        parts = [part for event in events for part in (event.get("content") or {}).get("parts", ())]
        assert len(session.of("message")) == sum("content" in event for event in events)
        assert sum(len(message["parts"]) for message in session.messages) == len(parts)
        for kind, key in (("tool_call", "function_call"), ("tool_call_response", "function_response"), ("reasoning", "thought")):
            assert len(session.parts(kind)) == sum(key in part for part in parts)
        assert session.usage.output_tokens == sum(event.get("usage_metadata", {}).get("total_token_count", 100) - 100 for event in events)
        assert session.problems == []
        assert session.info.metadata == {"app_name": "planner", "user_id": user}


def test_every_event_with_content_is_a_message(path: Path) -> None:
    assert sniffed(path) == {NAME: 0.95}
    check_counts(path)


@pytest.mark.slow
def test_a_database_of_the_genuine_package(tmp_path: Path) -> None:
    path = genuine(tmp_path, "adk", "google.adk")
    assert sniffed(path) == {NAME: 0.95}
    check_counts(path)


def test_parts_of_the_messages(path: Path) -> None:
    trip = sessions_of(NAME, path)["trip-1"]
    assert trip.parts("reasoning") == [{"type": "reasoning", "content": "Thinking of it.", "signature": "c2lnAAE=", "provider": "google"}]
    assert [(part["id"], part["name"], part["arguments"]) for part in trip.parts("tool_call")] == [
        ("c1", "weather", {"city": "Bergen"}),
        ("c2", "slow", {}),
    ]
    assert [(part["id"], part.get("is_error")) for part in trip.parts("tool_call_response")] == [("c1", None), ("c2", True)]
    assert trip.parts("blob") == [{"type": "blob", "modality": "image", "mime_type": "image/png", "content": "iVBORyD//v0="}]
    assert trip.parts("uri")[0]["uri"] == "gs://bucket/x.pdf"
    assert [message["role"] for message in trip.messages] == ["user", "assistant", "tool", "assistant", "user"]
    assert trip.messages[1]["native_finish_reason"] == "STOP"
    assert trip.usage.reasoning_output_tokens == 7
    assert [event.data["code"] for event in trip.of("run.error")] == ["429"]


def test_state_is_set_where_it_changed(path: Path) -> None:
    trip = sessions_of(NAME, path)["trip-1"]
    assert [event.data["values"] for event in trip.of("state.set")] == [{"step": 1, "user:lang": "en"}, {"step": 0}, {"app:theme": "dark"}]


def test_compaction_and_rewind_know_what_they_cover(path: Path) -> None:
    trip = sessions_of(NAME, path)["trip-1"]
    ids = [row[0] for row in ask(path, "SELECT id FROM events WHERE user_id = 'ada' ORDER BY rowid")]
    (compaction,) = trip.of("compaction")
    first, last = trip.places[ids[0]].seq, trip.places[ids[2]].seq
    assert compaction.data == {"summary": "They asked about the weather.", "first_seq": first, "last_seq": last}
    (rewind,) = trip.of("retract")
    assert rewind.data["ranges"] == [[trip.places[ids[4]].seq, trip.places[ids[7]].seq - 1]]


def test_settled_lines_stay_when_the_session_goes_on(path: Path) -> None:
    before = {name: settled(session) for name, session in sessions_of(NAME, path).items()}
    event = {"author": "user", "content": {"role": "user", "parts": [{"text": "More"}]}, "timestamp": 1}
    with closing(sqlite3.connect(path)) as connection, connection:
        row = ("new", "planner", "bob", "trip-1", "e-10", "2001-01-01 00:00:00.000000", json.dumps(event))
        connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        connection.execute("UPDATE sessions SET state = '{\"step\": 7}', update_time = '2031-01-01 00:00:00'")
        connection.execute('UPDATE app_states SET state = \'{"theme": "light"}\'')
    after = sessions_of(NAME, path)
    for name, lines in before.items():
        assert settled(after[name])[: len(lines)] == lines
    assert after[BOB].messages[-1]["parts"] == [{"type": "text", "content": "More"}]  # written last, whatever its time says
    assert after["trip-1"].of("state.set")[-1].data["values"] == {"step": 7, "app:theme": "light"}
    assert after[BOB].of("state.set")[-1].data["values"] == {"step": 7}


def test_a_later_session_of_the_same_id_takes_nothing_over(path: Path) -> None:
    change(path, "INSERT INTO sessions VALUES ('a/b', 'carl', 'trip-1', '{}', '2031-01-01 00:00:00', '2031-01-01 00:00:00')")
    assert list(sessions_of(NAME, path)) == ["trip-1", BOB, "a%2Fb/carl/trip-1"]


class Trap:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_pickles_of_the_old_schema_are_never_opened(tmp_path: Path) -> None:
    path, sprung = recorded(tmp_path, "adk_v0"), tmp_path / "sprung"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE events SET actions = ?", (pickle.dumps(Trap(sprung)),))
    check_old(path)
    assert not sprung.exists()


@pytest.mark.slow
def test_a_database_of_the_old_schema_of_the_genuine_package(tmp_path: Path) -> None:
    check_old(genuine(tmp_path, "adk_v0", "google.adk"))


def check_old(path: Path) -> None:
    assert sniffed(path) == {NAME: 0.95}
    old = sessions_of(NAME, path)["s-0"]
    assert [message["role"] for message in old.messages] == ["user", "assistant", "tool"]
    assert old.parts("tool_call")[0]["arguments"] == {"a": 1}
    assert old.usage.input_tokens == 10
    assert [event.data["values"] for event in old.of("state.set")] == [{"k": 1}]
    assert sum(b'"actions":"gA' in line for line in old.document.lines) == 3


def test_bad_rows_are_kept_with_their_problem(path: Path) -> None:
    bad = ["{", "[]", "7", '{"content": 7, "actions": []}', '{"content": {"parts": [7, {"text": []}, {"function_call": {"id": 1}}]}}']
    bad += ['{"actions": {"state_delta": {"": 1, "k": null}, "compaction": {"start_timestamp": "x"}, "rewind_before_invocation_id": []}}']
    bad += ['{"timestamp": 1e300, "long_running_tool_ids": {}, "branch": 5, "author": [], "content": {"parts": [{"inline_data": {}}]}}']
    with closing(sqlite3.connect(path)) as connection, connection:
        for number, text in enumerate([*bad, None]):
            row = (f"bad-{number}", "planner", "bob", "trip-1", "e", "never", text)
            connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    bob = sessions_of(NAME, path)[BOB]
    assert bob.problems == ["the event is no JSON object"] * 3
    assert bob.parts("opaque") == [{"type": "opaque", "native": 7}, {"type": "opaque", "native": {"text": []}}]


def test_a_file_that_is_cut_off(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    cut = tmp_path / "cut.db"
    for size in (1, 90, 4096, 9000):
        cut.write_bytes(whole[:size])
        with pytest.raises(FormatError, match=str(cut)):
            sessions_of(NAME, cut)
