"""agent-session-linker's files and database: recorded ones of the genuine package, and what may be wrong with them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.formats.library_documents import ReadSession, make_genuine, read, unpack
from turnfold.errors import FormatError
from turnfold.formats.lines import parse_at
from turnfold.formats.registry import Formats
from turnfold.formats.session_linker import SessionLinkerFormat
from turnfold.formats.session_linker.state import checksum_of
from turnfold.model.event import MAIN
from turnfold.model.parts import ReasoningPart

LINKER = SessionLinkerFormat()
TEXTS = ["segment 1", "", "segment 3", "segment 4", "unknown role", "segment 8", "segment 9", "segment 10"]
DDL = "CREATE TABLE sessions (session_id TEXT PRIMARY KEY, payload TEXT NOT NULL, saved_at TEXT NOT NULL DEFAULT (datetime('now')))"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return unpack("session-linker", tmp_path) / "files"


def database(folder: Path, name: str = "sessions.db") -> Path:
    """Put the recorded documents into the SQLite backend's table."""
    path = folder.parent / name
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(DDL)
        rows = [(place.stem, place.read_text()) for place in sorted(folder.glob("*.json")) if place.name != "links.json"]
        connection.executemany("INSERT INTO sessions (session_id, payload) VALUES (?, ?)", rows)
    return path


def native(folder: Path, name: str = "first") -> Any:
    return json.loads((folder / f"{name}.json").read_text())


def change(folder: Path, name: str, **fields: Any) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**native(folder, name), **fields}, indent=2))
    return path


def one(folder: Path, name: str = "first") -> ReadSession:
    sessions = read(LINKER, folder / f"{name}.json")
    assert len(sessions) == 1
    return sessions[0]


def test_the_checksum_is_that_of_the_specification() -> None:
    at = "2026-01-01T00:00:00Z"
    lists: dict[str, Any] = {name: [] for name in ("segments", "entities", "tasks", "tools_used")}
    facts: dict[str, Any] = {
        "session_id": "s",
        "agent_id": "a",
        "schema_version": "1.0",
        "preferences": {},
        "summary": "",
        "parent_session_id": None,
    }
    document = {**lists, **facts, "total_cost_usd": 0.0, "created_at": at, "updated_at": at}
    assert checksum_of(document) == "bc2838c1e9be994bb65b4237f445f88666727a34dcc0303ed8fb55cd49cb7c5a"
    assert checksum_of({**document, "checksum": "x", "of a later version": 1}) == checksum_of(document)


def test_segments_have_their_order_times_and_roles(folder: Path) -> None:
    session = one(folder)
    segments = native(folder)["segments"]
    events = [event for event in session.of_type("message") if event.branch == MAIN]
    assert [event.at_us for event in events] == [parse_at(segment["timestamp"]) for segment in segments]
    messages = session.messages()
    assert [message.native_id for message in messages] == [segment["segment_id"] for segment in segments]
    assert session.texts() == TEXTS
    assert messages[1].parts == [ReasoningPart("segment 2")]
    assert (messages[4].role, messages[4].name, messages[4].ext) == (
        "assistant",
        "critic",
        {"segment_type": "plan", "metadata": {"k": "v"}},
    )
    assert [event.token_count for event in events if event.token_count] == [s["token_count"] for s in segments if s["token_count"]]
    assert not session.problems


def test_the_rest_of_the_state_is_there(folder: Path) -> None:
    session = one(folder)
    state = native(folder)
    assert session.values("state") == {name: state[name] for name in ("preferences", "entities", "tasks", "summary")}
    assert session.head.info.usage.cost_microusd == 12_500
    tool = session.of_type("tool.progress")
    assert [event.data["tool_name"] for event in tool] == [used["tool_name"] for used in state["tools_used"]] == ["search"]


def test_a_continuation_names_its_parent_and_its_links(folder: Path) -> None:
    session = one(folder, "second")
    assert session.info.parent == {"session_id": "first", "relation": "continuation"}
    assert [(event.data["target"], event.data["relation"]) for event in session.of_type("link")] == [("first", "references")]
    assert not one(folder).of_type("link")


def test_checkpoints_are_places_and_what_was_left_is_a_branch(folder: Path) -> None:
    session = one(folder)
    index = native(folder, "__checkpoint__first__index__")
    checkpoints = {event.data["name"]: event for event in session.of_type("checkpoint")}
    assert list(checkpoints) == [record["label"] for record in index]
    by_seq = {event.seq: event for event in session.events}
    for record in index:
        event = checkpoints[record["label"]]
        last = native(folder, record["checkpoint_id"])["segments"][-1]
        assert event.at_us == parse_at(record["created_at"])
        assert by_seq[event.data["at_seq"]].data["native_id"] == last["segment_id"]
    assert [event.data["branch"] for event in checkpoints.values()] == [MAIN, "checkpoint-seven", MAIN]
    assert session.texts("checkpoint-seven") == [*TEXTS[:5], "segment 6", "segment 7"]


def test_a_database_holds_the_same_sessions(folder: Path) -> None:
    path = database(folder)
    assert LINKER.sniff(path, path.read_bytes()[: 64 * 1024]) >= 0.5
    sessions = {session.document.native_id: session for session in read(LINKER, path)}
    assert set(sessions) == {"first", "second"}
    for name, session in sessions.items():
        beside = [line for line in one(folder, name).document.lines if b'"kind":"link"' not in line]  # links.json is not beside it
        assert list(session.document.lines) == beside


def test_a_broken_row_is_reported_and_the_others_are_read(folder: Path) -> None:
    path = database(folder)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO sessions VALUES ('torn', '{\"session_id\": \"to', 'now'), ('list', '[1]', 'now'), ('blob', x'ff00', 5)"
        )
    sessions = {session.document.native_id: session for session in read(LINKER, path)}
    assert {name: len(session.problems) for name, session in sessions.items()} == {"first": 0, "second": 0, "torn": 1, "list": 1, "blob": 1}


def test_a_torn_file_is_refused_by_name(folder: Path) -> None:
    path = folder / "first.json"
    path.write_text(path.read_text()[:500])
    assert LINKER.sniff(path, path.read_bytes()) >= 0.5
    with pytest.raises(FormatError, match=r"first\.json: not JSON"):
        list(LINKER.documents(path))


@pytest.mark.parametrize(
    ("edit", "count"), [({"summary": "edited"}, 1), ({"summary": "edited", "checksum": ""}, 0), ({"schema_version": "2.0"}, 1)]
)
def test_a_wrong_checksum_or_version_is_reported(folder: Path, edit: dict[str, Any], count: int) -> None:
    change(folder, "first", **edit)
    session = one(folder)
    assert len(session.problems) == count
    assert session.texts() == TEXTS


def test_a_broken_checkpoint_is_reported_and_the_rest_is_read(folder: Path) -> None:
    (folder / "__checkpoint__first__0000.json").write_text("{")
    (folder / "__checkpoint__first__0002.json").unlink()
    session = one(folder)
    assert len(session.problems) == 2
    assert [event.data["name"] for event in session.of_type("checkpoint")] == ["seven"]


def test_a_checkpoint_that_another_one_overwrote_is_reported(folder: Path) -> None:
    (folder / "__checkpoint__first__0000.json").write_text((folder / "__checkpoint__first__0002.json").read_text())
    session = one(folder)
    assert session.problems == ["it was overwritten by a later one: it should have 5 segments and has 8"]


def test_a_lost_index_leaves_the_checkpoints(folder: Path) -> None:
    (folder / "__checkpoint__first__index__.json").unlink()
    assert len(one(folder).of_type("checkpoint")) == 3


def test_checkpoints_without_their_session_are_sessions(folder: Path) -> None:
    (folder / "first.json").unlink()
    formats = Formats()
    orphan = folder / "__checkpoint__first__0001.json"
    assert getattr(formats.detect(orphan), "name", None) == "session-linker"
    (session,) = read(LINKER, orphan)
    assert session.document.native_id == "first/checkpoints/0001"
    assert len(session.messages()) == 7
    assert {"first/checkpoints/0001"} < {document.native_id for document in LINKER.documents(database(folder))}


def test_growing_keeps_the_settled_lines(folder: Path) -> None:
    before = next(iter(LINKER.documents(folder / "first.json")))
    segments = native(folder)["segments"]
    (folder / "__checkpoint__first__0000.json").unlink()
    change(folder, "first", segments=[*segments, {**segments[0], "segment_id": "new"}], updated_at="2027-01-01T00:00:00Z")
    after = next(iter(LINKER.documents(folder / "first.json")))
    assert before.settled_count is not None
    assert list(after.lines[: before.settled_count]) == list(before.lines[: before.settled_count])


def test_each_file_is_known_for_what_it_is(folder: Path) -> None:
    formats = Formats()
    found = {path.name: fmt.name for path in folder.iterdir() if (fmt := formats.detect(path)) is not None}
    assert found == {"first.json": "session-linker", "second.json": "session-linker"}
    assert {path.name for path in LINKER.covered(folder / "first.json")} == {path.name for path in folder.iterdir()} - {
        "first.json",
        "second.json",
    }


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, [5], {"a": 1}, True, "\ud800", 1e300, 10**30])
def test_hostile_values_never_raise(folder: Path, value: Any) -> None:
    good = native(folder)
    for name in good:
        (folder / "first.json").write_text(json.dumps({**good, name: value}))
        read(LINKER, folder / "first.json")
    for name in good["segments"][0]:
        (folder / "first.json").write_text(json.dumps({**good, "segments": [value, {**good["segments"][0], name: value}]}))
        read(LINKER, folder / "first.json")
    (folder / "__checkpoint__first__index__.json").write_text(
        json.dumps([value, {"checkpoint_id": value, "label": value, "segment_count": value}])
    )
    (folder / "links.json").write_text(json.dumps([value, {"source_session_id": "first", "relationship": value}]))
    read(LINKER, folder / "first.json")


@pytest.mark.parametrize("depth", [300, 50_000])  # between them it depends on Python how deep its own code may go
def test_deep_nesting_is_read_or_refused(folder: Path, depth: int) -> None:
    path = folder / "first.json"
    path.write_text(path.read_text().replace('"k": "v"', f'"k": {"[" * depth + "]" * depth}'))
    if depth == 300:
        assert read(LINKER, path)[0].texts() == TEXTS
    else:
        with pytest.raises(FormatError, match="recursion"):
            list(LINKER.documents(path))
    assert read(LINKER, database(folder))


@pytest.mark.slow
def test_what_the_genuine_package_writes_today_reads_as_what_was_recorded(folder: Path, tmp_path: Path) -> None:
    make_genuine("make_session_linker.py", "agent_session_linker", tmp_path / "made")
    made = tmp_path / "made"
    for name in ("first", "second"):
        ours, theirs = one(folder, name), one(made / "files", name)
        assert ours.texts() == theirs.texts()
        assert len(ours.of_type("checkpoint")) == len(theirs.of_type("checkpoint"))
        assert not theirs.problems
    in_database = {session.document.native_id: session.texts() for session in read(LINKER, made / "sessions.db")}
    assert in_database == {name: one(folder, name).texts() for name in ("first", "second")}
