"""lexigram-ai-session's stores: recorded ones of the genuine package, and what may be wrong with them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.formats.library_documents import ReadSession, calls_of, make_genuine, read, unpack
from turnfold.errors import FormatError
from turnfold.formats.lexigram import LexigramFormat
from turnfold.formats.lines import parse_at
from turnfold.formats.registry import Formats
from turnfold.model.event import MAIN

LEXIGRAM = LexigramFormat()
TEXTS = ["Look for cats.", "I look.", "", "And dogs?"]
CALLS = [("c1", "search", {"q": "cats"}), ("c2", "add", {"a": 1})]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    unpack("lexigram", tmp_path)
    with closing(sqlite3.connect(tmp_path / "lexigram.db")) as connection:
        connection.executescript((tmp_path / "lexigram.sql").read_text())
    return tmp_path


def both(path: Path) -> tuple[ReadSession, ReadSession]:
    sessions = read(LEXIGRAM, path)
    assert len(sessions) == 2
    return sessions[0], sessions[1]


def native(folder: Path) -> Any:
    return json.loads((folder / "session.json").read_text())


@pytest.mark.parametrize("name", ["cache.json", "lexigram.db"])
def test_turns_have_their_order_times_and_calls(folder: Path, name: str) -> None:
    path = folder / name
    assert LEXIGRAM.sniff(path, path.read_bytes()[: 64 * 1024]) >= 0.5
    session, fork = both(path)
    turns = native(folder)["turns"]
    assert session.texts() == TEXTS
    assert calls_of(session.messages()) == CALLS
    events = [event for event in session.of_type("message") if event.branch == MAIN and event.source is not None]
    assert [event.at_us for event in events] == [parse_at(turn["timestamp"]) for turn in turns]
    assert [event.data["native_id"] for event in events] == [turn["turn_id"] for turn in turns]
    assert [(part.id, part.response) for part in session.messages()[2].tool_results] == [("c1", "3 hits")]
    assert session.messages()[1].ext == {"skill_results": [{"skill": "unpaired", "ok": True}]}
    assert (session.messages()[1].model, session.messages()[1].provider) == ("m1", "p1")
    assert session.values("state") == {"topic": "animals"}
    assert session.metadata["native_status"] == "suspended"
    assert session.metadata["channel"] == "web"
    assert not session.problems
    assert fork.info.parent == {"session_id": session.info.native_id, "relation": "fork"}
    assert fork.texts() == [*TEXTS, "No dogs."]
    assert fork.metadata["branch_name"] == "what-if"


def test_tokens_and_cost_add_up(folder: Path) -> None:
    (session,) = read(LEXIGRAM, folder / "session.json")
    state = native(folder)
    usage = session.head.info.usage
    assert (usage.total_tokens, usage.cost_microusd) == (state["total_tokens"], 2_000)


@pytest.mark.parametrize("name", ["cache.json", "lexigram.db"])
def test_checkpoints_are_places_and_what_was_left_is_a_branch(folder: Path, name: str) -> None:
    session, fork = both(folder / name)
    checkpoints = session.of_type("checkpoint")
    assert [event.data["branch"] for event in checkpoints] == [MAIN, f"checkpoint-{checkpoints[1].data['name']}"]
    by_seq = {event.seq: event for event in session.events}
    assert [by_seq[event.data["at_seq"]].data["native_id"] for event in checkpoints] == ["turn-2", "turn-4"]
    left = session.messages(checkpoints[1].data["branch"])
    assert [message.text for message in left if message.role != "tool"] == ["Look for cats.", "I look.", "Three ünïcode cats."]
    assert [part.response for part in left[-2].tool_results] == ["three"]
    assert left[-2].tool_results[0].id == "c2"
    assert not fork.of_type("checkpoint")


def test_a_broken_record_is_reported_and_the_others_are_read(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "lexigram.db")) as connection, connection:
        connection.execute("UPDATE ai_sessions SET turns = '[{\"turn_id' WHERE branch_name IS NOT NULL")
        connection.execute("UPDATE ai_checkpoints SET state = 'x' WHERE rowid = 1")
    session, fork = both(folder / "lexigram.db")
    assert session.texts() == TEXTS
    assert len(session.problems) == 1
    assert len(fork.problems) == 1
    values = json.loads((folder / "cache.json").read_text())
    (folder / "cache.json").write_text(json.dumps({**values, "ai:session:torn": "{", "ai:checkpoint:torn": "[]", "other": "x"}))
    sessions = {session.document.native_id: session for session in read(LEXIGRAM, folder / "cache.json")}
    assert len(sessions["torn"].problems) == 1
    assert sum(len(session.problems) for session in sessions.values()) == 2


def test_checkpoints_without_their_session_are_sessions(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "lexigram.db")) as connection, connection:
        connection.execute("DELETE FROM ai_sessions WHERE branch_name IS NULL")
    fork, *left = read(LEXIGRAM, folder / "lexigram.db")
    assert fork.texts()[-1] == "No dogs."
    assert [session.texts()[-1] for session in left] == ["", "Three ünïcode cats."]
    assert all("/checkpoints/" in session.document.native_id for session in left)


def test_what_is_no_json_is_refused(folder: Path) -> None:
    (folder / "session.json").write_text((folder / "session.json").read_text()[:200])
    assert LEXIGRAM.sniff(folder / "session.json", (folder / "session.json").read_bytes()) >= 0.5
    with pytest.raises(FormatError, match="not JSON"):
        list(LEXIGRAM.documents(folder / "session.json"))


def test_each_file_is_known_for_what_it_is(folder: Path) -> None:
    found = {path.name: fmt.name for path in folder.iterdir() if (fmt := Formats().detect(path)) is not None}
    assert found == dict.fromkeys(("cache.json", "session.json", "lexigram.db"), "lexigram")


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, [5], {"a": 1}, True, "\ud800", 1e300, 10**30, float("nan")])
def test_hostile_values_never_raise(folder: Path, value: Any) -> None:
    good = native(folder)
    documents = [{**good, name: value} for name in good if name != "session_id"]
    documents += [{**good, "turns": [value, {**good["turns"][1], name: value}]} for name in good["turns"][1]]
    documents += [{**good, "turns": [{**good["turns"][1], "tool_calls": [value, {"id": value, "function": value}, {"name": value}]}]}]
    checkpoint = {"checkpoint_id": value, "session_id": value, "state": {"turns": [value]}, "created_at": value}
    dump = {f"ai:session:{number}": json.dumps(document) for number, document in enumerate(documents)}
    (folder / "cache.json").write_text(
        json.dumps({**dump, "ai:session:x": value, "ai:checkpoint:x": json.dumps(checkpoint), "ai:checkpoint:y": value})
    )
    assert len(read(LEXIGRAM, folder / "cache.json")) >= len(documents)


@pytest.mark.slow
def test_what_the_genuine_package_writes_today_reads_as_what_was_recorded(folder: Path, tmp_path: Path) -> None:
    make_genuine("make_lexigram.py", "lexigram.ai.session", tmp_path / "made")
    for name in ("cache.json", "lexigram.db"):
        for ours, theirs in zip(both(folder / name), both(tmp_path / "made" / name), strict=True):
            assert ours.texts() == theirs.texts()
            assert len(ours.of_type("checkpoint")) == len(theirs.of_type("checkpoint"))
            assert not theirs.problems
