"""LangGraph's checkpoints, recorded and made by the genuine package."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.formats.databases.kit import Session, ask, genuine, recorded, sessions_of, settled, sniffed
from turnfold.core.transcript import messages_of
from turnfold.errors import FormatError
from turnfold.formats.databases.jsonplus import Unreadable, decode
from turnfold.formats.databases.langgraph_walk import VALUE_BYTES_MAX
from turnfold.model.usage import Usage

NAME = "langgraph"
_encode = msgspec.msgpack.encode


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return recorded(tmp_path, NAME)


def states_of(path: Path, thread: str) -> dict[str, dict[str, Any]]:
    """Decode every checkpoint's channels with ten lines of our own: objects become their arguments."""

    def hook(_code: int, data: memoryview) -> Any:
        return msgspec.msgpack.decode(data, ext_hook=hook)[2]

    query = f"SELECT checkpoint_id, checkpoint FROM checkpoints WHERE thread_id = '{thread}' AND checkpoint_ns = '' ORDER BY 1"
    return {name: msgspec.msgpack.decode(data, ext_hook=hook)["channel_values"] for name, data in ask(path, query)}


def view(session: Session, branch: str, upto_seq: int) -> list[tuple[str, str]]:
    """The ids and texts of the messages that a branch shows."""
    forks = {event.data["name"]: event.data for event in session.of("branch.created")}
    reach = {branch: upto_seq}
    name = branch
    while name in forks:
        reach[forks[name]["parent"]] = min(forks[name]["fork_seq"], reach[name])
        name = forks[name]["parent"]
    seen = (event for event in session.events if event.seq <= reach.get(event.branch or "main", 0))
    return [(message.native_id or "", message.text) for message in messages_of(seen) if message.role != "tool"]


def texts(messages: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    found = []
    for message in messages:
        content = message["content"]
        text = content if isinstance(content, str) else "".join(block.get("text", "") for block in content)
        if message["type"] != "tool":
            found.append((message["id"], text))
    return found


def check_states(path: Path) -> None:
    """At each checkpoint the branch shows the very messages that the checkpoint holds, in its order."""
    for thread in ("trip-42", "waiting"):
        session = sessions_of(NAME, path)[thread]
        states = states_of(path, thread)
        checkpoints = session.of("checkpoint")
        assert [event.data["name"] for event in checkpoints] == list(states)
        for event in checkpoints:
            expected = texts(states[event.data["name"]].get("messages", ()))
            assert view(session, event.branch or "main", event.data["at_seq"]) == expected
        assert session.problems == []


def test_each_checkpoint_shows_its_messages(path: Path) -> None:
    assert sniffed(path) == {NAME: 0.95}
    check_states(path)


def check_deltas(path: Path) -> None:
    deltas = sessions_of(NAME, path)["deltas"]
    assert view(deltas, "main", 10_000) == [
        ("h-0", "question 0"),
        ("a-1", "answer 1"),
        ("a-3", "answer 3"),
        ("h-2", "question 2"),
        ("a-5", "answer 5, edited"),
    ]
    kept = b"".join(deltas.document.lines)
    assert [kept.count(b'"fact %d"' % number) for number in (1, 3, 5)] == [1, 1, 1]
    assert kept.count(b"question 1") == 2  # in the input, and as a message


def test_a_channel_that_is_kept_as_deltas(path: Path) -> None:
    check_deltas(path)


@pytest.mark.slow
def test_a_database_of_the_genuine_package(tmp_path: Path) -> None:
    path = genuine(tmp_path, NAME, "langgraph.checkpoint.sqlite, langgraph.prebuilt")
    assert sniffed(path) == {NAME: 0.95}
    check_states(path)
    check_deltas(path)


def test_messages_and_state(path: Path) -> None:
    trip = sessions_of(NAME, path)["trip-42"]
    assert [message["role"] for message in trip.messages][:6] == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert [(part["id"], part["arguments"]) for part in trip.parts("tool_call")] == [
        ("call_B", {"city": "Bergen"}),
        ("call_O", {"city": "Oslo"}),
    ]
    assert [part["id"] for part in trip.parts("tool_call_response")] == ["call_B", "call_O"]
    assert trip.parts("blob") == [{"type": "blob", "modality": "image", "mime_type": "image/png", "content": "iVBORw0KGgo="}]
    assert trip.usage == Usage(100, 20, 40, 0, 5)
    values = [event.data["values"] for event in trip.of("state.set")]
    assert [value["count"] for value in values] == [1, 2, 3, 3]
    assert values[0]["notes"] == {
        "at": {"$type": "datetime.datetime", "value": "2026-01-02T03:04:05+00:00"},
        "id": {"$type": "uuid.UUID", "value": "00000000000000000000000000000007"},
        "some": {"$type": "builtins.set", "value": [1]},
        "raw": {"$type": "bytes", "value": "/w=="},
        "3": {"$type": "float", "value": "inf"},
    }


def test_a_checkpoint_that_is_gone_on_from_again_begins_a_branch(path: Path) -> None:
    trip = sessions_of(NAME, path)["trip-42"]
    (created,) = trip.of("branch.created")
    parent = ask(path, "SELECT parent_checkpoint_id FROM checkpoints GROUP BY 1 HAVING count(*) = 2 AND parent_checkpoint_id != ''")[0][0]
    assert created.data["fork_seq"] == trip.places[parent].seq
    assert trip.of("branch.switched")[0].data["name"] == created.data["name"]
    assert [event.data["reason"] for event in trip.of("retract")] == ["removed", "rewritten"]
    assert view(trip, created.data["name"], 10_000)[-1] == ("ai-4", "On the fork, edited.")
    assert view(trip, "main", 10_000)[-1] == ("ai-3", "Then take a coat – ok?")


def test_a_subgraph_is_a_session_below_its_thread(path: Path) -> None:
    found = sessions_of(NAME, path)
    (inner,) = [session for name, session in found.items() if name.startswith("waiting/inner:")]
    assert inner.info.parent == {"session_id": "waiting", "relation": "subagent"}
    (asked,) = inner.of("context")
    assert asked.data["kind"] == "interrupt"
    assert asked.data["value"][0]["value"]["value"] == "Really?"


class Writer:
    """Writes checkpoints as the saver does, so that long threads need no graph."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def put(self, values: dict[str, Any], parent: str | None, thread: str = "made") -> str:
        name = f"2f1e4f12-{self.count:04x}-6c3d-8000-0123456789ab"
        self.count += 1
        versions = dict.fromkeys(values, f"{self.count:032}.0.5")
        value = {"v": 4, "ts": "2030-01-02T03:04:05+00:00", "id": name, "channel_values": values, "channel_versions": versions}
        self.raw((thread, "", name, parent, "msgpack", _encode(value | {"versions_seen": {}}), b'{"step": 1}'))
        return name

    def raw(self, row: tuple[Any, ...]) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def said(kind: str, text: str, name: str | None = None) -> msgspec.msgpack.Ext:
    fields = {"content": text, "type": kind, "id": name}
    return msgspec.msgpack.Ext(5, _encode(["langchain_core.messages", "Message", fields, "model_validate_json"]))


@pytest.mark.slow
def test_a_long_thread_is_kept_as_what_it_changes(path: Path) -> None:
    """200 steps: the database grows with the square, what is kept with the length."""
    writer = Writer(path)
    messages: list[Any] = []
    facts: list[str] = []
    parent = None
    for step in range(200):
        messages.append(said("human" if step % 2 == 0 else "ai", f"message {step} " * 20, f"m-{step}"))
        facts.append(f"fact {step} " * 10)
        parent = writer.put({"messages": messages, "facts": facts, "step": step}, parent)
    whole = ask(path, "SELECT sum(length(checkpoint)) FROM checkpoints WHERE thread_id = 'made'")[0][0]
    content = sum(len(message.data) for message in messages) + sum(map(len, facts))
    made = sessions_of(NAME, path)["made"]
    kept = sum(len(event.source or b"") + len(event.data_raw) for event in made.events)
    assert whole > 7_000_000
    assert kept < 7 * content < whole / 10, (kept, content, whole)
    assert len(made.messages) == 200
    state = {key: value for event in made.of("state.set") for key, value in event.data["values"].items()}
    assert state == {"facts": facts, "step": 199}
    assert max(len(_encode(event.data)) for event in made.of("state.set")[:-1]) < VALUE_BYTES_MAX + 200


def test_settled_lines_stay_when_the_thread_goes_on(path: Path) -> None:
    steps = [settled(sessions_of(NAME, path)["trip-42"])]
    ids = [row[0] for row in ask(path, "SELECT checkpoint_id FROM checkpoints WHERE thread_id = 'trip-42' ORDER BY 1")]
    writer = Writer(path)
    for parent in (ids[-1], ids[2], ids[7]):  # on from the end, a fork in the middle, and on from the end of the first branch
        writer.put({"messages": [said("human", "More", f"h-{parent}")]}, parent, "trip-42")
        steps.append(settled(sessions_of(NAME, path)["trip-42"]))
    for before, after in pairwise(steps):
        assert after[: len(before)] == before
        assert len(after) > len(before)


def test_writes_that_no_checkpoint_holds_are_kept_whole(path: Path) -> None:
    last = ask(path, "SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = 'trip-42'")[0][0]
    with closing(sqlite3.connect(path)) as connection, connection:
        for index, (channel, value) in enumerate([("__error__", "ValueError('no')"), ("messages", "half an answer")]):
            row = ("trip-42", "", last, "task", "", index, channel, "msgpack", _encode(value))
            connection.execute("INSERT INTO writes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    trip = sessions_of(NAME, path)["trip-42"]
    assert trip.of("run.error")[0].data == {"kind": "error", "message": "ValueError('no')"}
    assert b"half an answer" in trip.document.lines[-1]
    assert trip.document.settled_count == len(trip.document.lines) - 1


def test_older_checkpoints_in_json_are_read(path: Path) -> None:
    message = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"]}
    value = {"ts": "2024-01-02T03:04:05+00:00", "channel_values": {"messages": [message | {"kwargs": {"content": "Old", "type": "human"}}]}}
    Writer(path).raw(("old", "", "1", None, "json", json.dumps(value).encode(), b"{}"))
    assert sessions_of(NAME, path)["old"].messages[0]["parts"] == [{"type": "text", "content": "Old"}]


def test_bad_rows_are_kept_with_their_problem(path: Path, tmp_path: Path) -> None:
    writer = Writer(path)
    trap = b"c" + f"os\nsystem\n(S'touch {tmp_path / 'sprung'}'\ntR.".encode()
    nested = b"\x91" * 100_000 + b"\xc0"
    blobs: list[tuple[Any, Any]] = [("pickle", trap), ("msgpack", b"\xc1"), ("msgpack", nested), ("msgpack+aes", b"\x00"), (None, None)]
    blobs += [("json", b"{"), ("msgpack", _encode([1])), ("msgpack", _encode({"channel_values": {"messages": [said("human", "x")] * 3}}))]
    blobs += [("msgpack", _encode({"channel_values": 7, "channel_versions": [], "versions_seen": {"a": 1}, "ts": 5}))]
    blobs += [
        ("msgpack", _encode({"channel_values": {"messages": [msgspec.msgpack.Ext(5, _encode(["a", "b", {"content": 7, "type": "ai"}]))]}}))
    ]
    for number, (kind, blob) in enumerate(blobs):
        writer.raw(("bad", "", f"{number:03}", f"{number - 1:03}", kind, blob, b"\xff"))
    bad = sessions_of(NAME, path)["bad"]
    assert len(bad.problems) == 6
    assert "pickle" in bad.problems[0]
    assert not (tmp_path / "sprung").exists()


def test_nothing_that_bytes_name_is_imported() -> None:
    """A module that would fail on import, and one that is not there, are names like any other."""
    for module in ("antigravity", "no.such.module"):
        value = msgspec.msgpack.Ext(0, _encode([module, "Name", "argument"]))
        assert decode("msgpack", _encode(value)) == {"$type": f"{module}.Name", "value": "argument"}
    with pytest.raises(Unreadable, match="pickle"):
        decode("pickle", b"")


def test_a_file_that_is_cut_off(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    cut = tmp_path / "cut.db"
    for size in (1, 90, 4096):
        cut.write_bytes(whole[:size])
        with pytest.raises(FormatError, match=str(cut)):
            sessions_of(NAME, cut)
