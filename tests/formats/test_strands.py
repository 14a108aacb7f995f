"""Strands' file layout and snapshots: recorded layouts of the genuine package, and what may be wrong with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.formats.library_documents import ReadSession, calls_of, make_genuine, read, unpack
from turnfold.errors import FormatError
from turnfold.formats.lines import parse_at
from turnfold.formats.registry import Formats
from turnfold.formats.strands import StrandsFormat, StrandsSnapshotFormat
from turnfold.model.event import MAIN, from_us
from turnfold.model.parts import BlobPart, ReasoningPart

FILES, SNAPSHOTS = StrandsFormat(), StrandsSnapshotFormat()
CALLS = [("t1", "weather", {"city": "Paris"}), ("t2", "weather", {"city": "Rome"})]
TRIP = ["What is the weather?", "I look.", "", "Sunny in both.", "Look.", "A picture.", "Bye.", "Good bye."]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return unpack("strands", tmp_path)


def session_file(folder: Path, name: str = "trip") -> Path:
    return folder / "sessions" / f"session_{name}" / "session.json"


def latest(folder: Path, name: str = "trip") -> Path:
    return folder / "snapshots/session" / name / "scopes/agent/default/snapshots/snapshot_latest.json"


def native_messages(folder: Path, agent: str = "agent_guide", name: str = "trip") -> list[dict[str, Any]]:
    """The message files in order, read without our code."""
    files = (session_file(folder, name).parent / "agents" / agent / "messages").glob("message_*.json")
    return [json.loads(path.read_text()) for path in sorted(files, key=lambda path: int(path.stem.split("_")[1]))]


@pytest.mark.slow
def test_what_the_genuine_package_writes_today_reads_as_what_was_recorded(tmp_path: Path) -> None:
    make_genuine("make_strands.py", "strands", tmp_path / "made")
    recorded, made = unpack("strands", tmp_path / "recorded"), tmp_path / "made"
    for fmt, anchors in ((FILES, ("trip", "guarded")), (SNAPSHOTS, ("trip", "went-back"))):
        place = session_file if fmt is FILES else latest
        for name in anchors:
            ours, theirs = read(fmt, place(recorded, name)), read(fmt, place(made, name))
            assert [session.texts() for session in ours] == [session.texts() for session in theirs]
            assert [len(session.of_type("checkpoint")) for session in ours] == [len(session.of_type("checkpoint")) for session in theirs]
            assert not [problem for session in theirs for problem in session.problems]


def only(sessions: list[ReadSession]) -> ReadSession:
    assert len(sessions) == 1
    return sessions[0]


# ---- files -------------------------------------------------------------------------------------------------------------------------------


def test_messages_have_their_order_times_and_calls(folder: Path) -> None:
    session, porter = read(FILES, session_file(folder))
    native = native_messages(folder)
    messages = session.messages()
    assert session.texts() == TRIP
    assert [event.at_us for event in session.of_type("message")] == [parse_at(one["created_at"]) for one in native]
    called = [block["toolUse"] for one in native for block in one["message"]["content"] if "toolUse" in block]
    assert calls_of(messages) == CALLS == [(call["toolUseId"], call["name"], call["input"]) for call in called]
    assert [(part.id, part.response, part.is_error) for part in messages[2].tool_results] == [
        ("t1", "sunny in Paris", False),
        ("t2", "sunny in Rome", False),
    ]
    assert [message.role for message in messages] == ["user", "assistant", "tool", "assistant", "user", "assistant", "user", "assistant"]
    assert session.head.info.turn_count == 3
    assert session.head.info.usage.input_tokens == 40
    assert session.values("state") == {"language": "fr"}
    assert not session.problems
    assert not porter.problems


def test_further_agents_are_child_sessions(folder: Path) -> None:
    session, porter = read(FILES, session_file(folder))
    assert session.info.native_id == "trip"
    assert porter.info.native_id == porter.document.native_id == "trip/agents/porter"
    assert porter.info.parent == {"session_id": "trip", "relation": "subagent"}
    assert porter.texts() == TRIP[:4]
    assert session.values("title") == {"": "What is the weather?"}


def test_reasoning_and_bytes_are_parts(folder: Path) -> None:
    messages = read(FILES, session_file(folder))[0].messages()
    reasoning = messages[1].parts[0]
    assert isinstance(reasoning, ReasoningPart)
    assert (reasoning.content, reasoning.signature) == ("two cities", "c2lnbmF0dXJl")
    picture = messages[4].parts[1]
    assert isinstance(picture, BlobPart)
    assert (picture.modality, picture.mime_type, picture.content) == ("image", "image/png", "iVBORw0KGgo=")


def test_what_a_guardrail_redacted_is_not_carried_on(folder: Path) -> None:
    session = only(read(FILES, session_file(folder, "guarded")))
    assert session.texts()[-1] == "[taken out]"
    assert not any(b"the secret" in line for line in session.document.lines)


def test_a_gap_in_the_numbers_is_no_end(folder: Path) -> None:
    (session_file(folder).parent / "agents/agent_guide/messages/message_5.json").unlink()
    session = read(FILES, session_file(folder))[0]
    assert session.texts() == [text for text in TRIP if text != "A picture."]


def test_numbers_are_sorted_as_numbers(folder: Path) -> None:
    messages = session_file(folder).parent / "agents/agent_guide/messages"
    for number in range(8, 12):
        shutil.copy(messages / "message_6.json", messages / f"message_{number}.json")
    names = [json.loads(line)["number"] for line in read(FILES, session_file(folder))[0].document.lines if b'"kind":"message"' in line]
    assert names == list(range(12))


def test_only_the_newest_message_and_the_records_may_change(folder: Path) -> None:
    document = next(iter(FILES.documents(session_file(folder))))
    (session_file(folder).parent / "agents/agent_guide/messages/message_7.json").unlink()
    before = next(iter(FILES.documents(session_file(folder))))
    assert before.settled_count == 7
    assert document.settled_count == 8
    assert list(document.lines[:7]) == list(before.lines[:7])


def test_trimmed_messages_are_compacted_and_stay(folder: Path) -> None:
    place = session_file(folder).parent / "agents/agent_guide/agent.json"
    record = json.loads(place.read_text())
    summary = {"role": "user", "content": [{"text": "They asked about the weather."}]}
    record["conversation_manager_state"].update(removed_message_count=4, summary_message=summary)
    place.write_text(json.dumps(record))
    session = read(FILES, session_file(folder))[0]
    compaction = session.of_type("compaction")[0].data
    seqs = [event.seq for event in session.of_type("message")]
    assert (compaction["first_seq"], compaction["last_seq"], compaction["summary"]) == (seqs[0], seqs[3], "They asked about the weather.")
    assert session.texts() == TRIP


@pytest.mark.parametrize("broken", ['{"message": {"role": "user", "con', "[1]", '{"message": 5}', "\x00", '{"message": {"role": "robot"}}'])
def test_a_broken_message_is_reported_and_kept(folder: Path, broken: str) -> None:
    (session_file(folder).parent / "agents/agent_guide/messages/message_3.json").write_text(broken)
    session = read(FILES, session_file(folder))[0]
    assert len(session.problems) == 1
    assert "message_3" in session.problems[0]
    assert session.texts() == [text for text in TRIP if text != "Sunny in both."]


@pytest.mark.parametrize("name", ["session.json", "agents/agent_guide/agent.json"])
def test_a_torn_record_is_reported_and_the_rest_is_read(folder: Path, name: str) -> None:
    place = session_file(folder).parent / name
    place.write_text(place.read_text()[:20])
    assert FILES.sniff(session_file(folder), session_file(folder).read_bytes()) >= 0.5
    sessions = read(FILES, session_file(folder))
    assert "trip" in [session.document.native_id for session in sessions]
    assert sum(len(session.problems) for session in sessions) == 1
    assert TRIP in [session.texts() for session in sessions]


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere.json"
    secret.write_text('{"message": {"role": "user", "content": [{"text": "of another"}]}}')
    place = session_file(folder).parent / "agents/agent_guide/messages/message_3.json"
    place.unlink()
    place.symlink_to(secret)
    session = read(FILES, session_file(folder))[0]
    assert "of another" not in session.texts()
    assert len(session.problems) == 1


def test_every_file_of_the_folder_is_covered(folder: Path) -> None:
    anchor = session_file(folder)
    assert {anchor, *FILES.covered(anchor)} == set(anchor.parent.rglob("*.json"))


# ---- snapshots ---------------------------------------------------------------------------------------------------------------------------


def test_snapshots_are_one_history_and_its_checkpoints(folder: Path) -> None:
    session = only(read(SNAPSHOTS, latest(folder)))
    native = json.loads(latest(folder).read_text())
    immutable = [json.loads(path.read_text()) for path in SNAPSHOTS.covered(latest(folder))]
    assert len(native["data"]["messages"]) == 4
    assert session.texts() == TRIP  # what the window has dropped is in an older snapshot
    assert session.values("system_prompt") == {"": "Be brief."}
    checkpoints = session.of_type("checkpoint")
    assert [event.at for event in checkpoints] == [from_us(parse_at(one["created_at"]) or 0) for one in immutable]
    by_seq = {event.seq: event for event in session.events}
    for checkpoint, one in zip(checkpoints, immutable, strict=True):
        last = one["data"]["messages"][-1]
        assert by_seq[checkpoint.data["at_seq"]].data["native_id"] == last["tracking_id"]
    window = session.conversation().for_model
    assert [entry.message.text for entry in window if entry.message is not None] == TRIP[4:]
    assert not session.problems


def test_a_snapshot_that_went_another_way_is_a_branch(folder: Path) -> None:
    session = only(read(SNAPSHOTS, latest(folder, "went-back")))
    assert session.texts() == [*TRIP[:4], "Something else.", "Another way."]
    branches = sorted(session.values("branch"))
    assert len(branches) == 2
    assert session.texts(branches[0]) == TRIP[:6]
    assert session.texts(branches[1]) == TRIP
    kept = {event.data["name"]: event.data["branch"] for event in session.of_type("checkpoint")}
    assert sorted(kept.values()) == [MAIN, MAIN, *branches]


def test_a_snapshot_of_another_version_is_refused(folder: Path) -> None:
    record = json.loads(latest(folder).read_text())
    latest(folder).write_text(json.dumps({**record, "schema_version": "2.0"}))
    with pytest.raises(FormatError, match=r"'2\.0'"):
        list(SNAPSHOTS.documents(latest(folder)))


@pytest.mark.parametrize("broken", ["{", '{"scope": "agent", "schema_version": "9"}', "[]"])
def test_a_broken_checkpoint_is_reported_and_the_rest_is_read(folder: Path, broken: str) -> None:
    next(iter(SNAPSHOTS.covered(latest(folder)))).write_text(broken)
    session = only(read(SNAPSHOTS, latest(folder)))
    assert len(session.problems) == 1
    assert len(session.of_type("checkpoint")) == 2
    assert session.texts()[-2:] == TRIP[-2:]


def test_a_torn_latest_leaves_the_history(folder: Path) -> None:
    latest(folder).write_text(latest(folder).read_text()[:50])
    assert SNAPSHOTS.sniff(latest(folder), latest(folder).read_bytes()) >= 0.5
    session = only(read(SNAPSHOTS, latest(folder)))
    assert len(session.problems) == 1
    assert session.texts() == TRIP


def test_a_growing_history_keeps_its_settled_lines(folder: Path) -> None:
    now = next(iter(SNAPSHOTS.documents(latest(folder))))
    newest = list(SNAPSHOTS.covered(latest(folder)))[-1]
    before = list(SNAPSHOTS.covered(latest(folder)))[-2]
    latest(folder).write_text(before.read_text())
    newest.unlink()
    then = next(iter(SNAPSHOTS.documents(latest(folder))))
    assert then.settled_count is not None
    assert now.settled_count == then.settled_count + 2
    assert list(then.lines[: then.settled_count]) == list(now.lines[: then.settled_count])


def test_an_orchestrators_snapshot_is_a_session_of_its_own(folder: Path) -> None:
    place = folder / "snapshots/session/trip/scopes/multiAgent/swarm/snapshots/snapshot_latest.json"
    place.parent.mkdir(parents=True)
    state = {"type": "swarm", "status": "completed", "node_history": ["a", "b"]}
    place.write_text(json.dumps({"scope": "multiAgent", "schema_version": "1.0", "created_at": "2026-01-01T00:00:00Z", "data": state}))
    assert SNAPSHOTS.sniff(place, place.read_bytes()) >= 0.5
    session = only(read(SNAPSHOTS, place))
    assert session.document.native_id == "trip/multi_agents/swarm"
    assert [event.data["state"] for event in session.of_type("snapshot")] == [state]


def test_each_file_is_known_for_what_it_is(folder: Path) -> None:
    formats = Formats()
    found = {str(path.relative_to(folder)): fmt.name for path in folder.rglob("*.json") if (fmt := formats.detect(path)) is not None}
    anchors = [session_file(folder), session_file(folder, "guarded")], [latest(folder), latest(folder, "went-back")]
    expected = {
        str(path.relative_to(folder)): name for paths, name in zip(anchors, ("strands", "strands-snapshot"), strict=True) for path in paths
    }
    assert found == expected


HOSTILE: list[Any] = [
    None,
    5,
    "x",
    [],
    {},
    [None],
    {"role": 1},
    {"role": "user", "content": {"a": 1}},
    {"role": "user", "content": [None, 1, "x", {}]},
]
BLOCKS = ["text", "toolUse", "toolResult", "reasoningContent", "image", "document", "video", "citationsContent", "cachePoint"]


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, {"format": 1, "source": []}, {"content": [1, {}]}, {"name": 7, "toolUseId": {}}])
def test_hostile_values_never_raise(folder: Path, value: Any) -> None:
    anchor = session_file(folder)
    messages = anchor.parent / "agents/agent_guide/messages"
    content = [{name: value} for name in BLOCKS]
    hostile = [{"message": one, "created_at": value, "redact_message": value} for one in HOSTILE]
    for number, one in enumerate([*hostile, {"message": {"role": "assistant", "content": content, "metadata": value}}], 10):
        (messages / f"message_{number}.json").write_text(json.dumps(one))
    (anchor.parent / "agents/agent_guide/agent.json").write_text(json.dumps({"state": value, "conversation_manager_state": value}))
    read(FILES, anchor)
    latest(folder).write_text(
        json.dumps({"scope": "agent", "schema_version": "1.0", "data": {"messages": [value, *HOSTILE], "state": value}})
    )
    read(SNAPSHOTS, latest(folder))


def test_deep_nesting_never_raises(folder: Path) -> None:
    deep = "[" * 5_000 + "]" * 5_000
    (session_file(folder).parent / "agents/agent_guide/messages/message_3.json").write_text(
        f'{{"message": {{"role": "user", "content": {deep}}}}}'
    )
    assert len(read(FILES, session_file(folder))[0].problems) == 1
