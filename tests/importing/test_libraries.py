"""Scenario 28: what session libraries have stored comes in whole, once, and again when it has grown."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.formats.library_documents import calls_of, unpack
from tests.formats.test_go_session import MESSAGES
from tests.formats.test_go_session import store as go_store
from tests.importing.sessions import check_session, events_of, head_of, key_of
from turnfold.core.transcript import messages_of
from turnfold.engine.importer import Importer, ImportResult
from turnfold.engine.reading import read_all
from turnfold.formats.lines import parse_at
from turnfold.model.event import MAIN
from turnfold.ports.store import Store


class Told(NamedTuple):
    """A session as its raw data say it, counted without our readers: texts in order, times, calls, checkpoints' last texts."""

    texts: list[str]
    times: list[int | None]
    calls: list[tuple[str, str]]
    checkpoints: list[str]


def place(path: Path) -> int:
    return int(path.stem.split("_")[-1])


def text_of(native: dict[str, Any]) -> str:
    return "".join(block.get("text", "") for block in native["content"])


def converse_calls(native: list[dict[str, Any]]) -> list[tuple[str, str]]:
    blocks = [block["toolUse"] for one in native for block in one["content"] if "toolUse" in block]
    return [(block["toolUseId"], block["name"]) for block in blocks]


def strands(folder: Path) -> dict[str, Told]:
    out = {}
    for record in (folder / "sessions").glob("session_*/session.json"):
        session_id = json.loads(record.read_text())["session_id"]
        for agent in (record.parent / "agents").iterdir():
            files = sorted((agent / "messages").iterdir(), key=place)
            native = [json.loads(path.read_text()) for path in files]
            said = [one["redact_message"] or one["message"] for one in native]
            times = [parse_at(one["created_at"]) for one in native]
            name = f"{session_id}/agents/porter" if agent.name == "agent_porter" else session_id
            out[name] = Told([text_of(one) for one in said], times, converse_calls(said), [])
    return out


def snapshots(folder: Path) -> dict[str, Told]:
    out = {}
    for latest in folder.rglob("snapshot_latest.json"):
        native = [json.loads(path.read_text()) for path in [*sorted(latest.parent.glob("immutable_history/*.json")), latest]]
        messages = native[-1]["data"]["messages"]
        if messages[0] != native[0]["data"]["messages"][0]:  # the window has moved on: what was dropped is in older snapshots
            seen = {message["tracking_id"]: message for one in native for message in one["data"]["messages"]}
            messages = list(seen.values())
        lasts = [text_of(one["data"]["messages"][-1]) for one in native[:-1]]
        session_id = latest.parts[-6]
        out[session_id] = Told([text_of(one) for one in messages], [], converse_calls(messages), lasts)
    return out


def linker(folder: Path) -> dict[str, Told]:
    out = {}
    for path in folder.glob("files/[a-z]*.json"):
        if path.name != "links.json":
            state = json.loads(path.read_text())
            segments = state["segments"]
            index = path.with_name(f"__checkpoint__{path.stem}__index__.json")
            records = json.loads(index.read_text()) if index.exists() else []
            copies = [json.loads(path.with_name(f"{record['checkpoint_id']}.json").read_text()) for record in records]
            texts = ["" if one["segment_type"] == "reasoning" else one["content"] for one in segments]
            lasts = [copy["segments"][-1]["content"] for copy in copies]
            out[path.stem] = Told(texts, [parse_at(one["timestamp"]) for one in segments], [], lasts)
    return out


def lexigram_calls(turns: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(call["id"], call.get("name") or call["function"]["name"]) for turn in turns for call in turn["tool_calls"]]


def lexigram(folder: Path) -> dict[str, Told]:
    with closing(sqlite3.connect(folder / "lexigram.db")) as connection:
        rows = connection.execute("SELECT session_id, turns FROM ai_sessions").fetchall()
        states = connection.execute("SELECT session_id, state FROM ai_checkpoints ORDER BY created_at").fetchall()
    out = {}
    for session_id, text in rows:
        turns = json.loads(text)
        lasts = [json.loads(state)["turns"][-1]["content"] for owner, state in states if owner == session_id]
        out[session_id] = Told(
            [one["content"] for one in turns], [parse_at(one["timestamp"]) for one in turns], lexigram_calls(turns), lasts
        )
    return out


def go_session(folder: Path) -> dict[str, Told]:
    calls = [(call["id"], call["name"]) for one in MESSAGES for call in one.get("tool_calls", ())]
    texts = ["" if one["role"] == "tool" else one["content"] for one in MESSAGES]
    return {"guide:matrix:@bob%3Asrv.org": Told(texts, [], calls, []), "guide:matrix:@ann": Told(texts, [], calls, [])}


def make_strands(folder: Path) -> Path:
    unpack("strands", folder)
    return folder / "sessions"


def make_snapshots(folder: Path) -> Path:
    unpack("strands", folder)
    return folder / "snapshots"


def make_linker(folder: Path) -> Path:
    return unpack("session-linker", folder) / "files"


def make_lexigram(folder: Path) -> Path:
    unpack("lexigram", folder)
    with closing(sqlite3.connect(folder / "lexigram.db")) as connection:
        connection.executescript((folder / "lexigram.sql").read_text())
    return folder / "lexigram.db"


def make_go_session(folder: Path) -> Path:
    return go_store(folder, {}, {"peer_id": "@ann"})


MADE: dict[str, tuple[Callable[[Path], Path], Callable[[Path], dict[str, Told]]]] = {
    "strands": (make_strands, strands),
    "strands-snapshot": (make_snapshots, snapshots),
    "session-linker": (make_linker, linker),
    "lexigram": (make_lexigram, lexigram),
    "go-session": (make_go_session, go_session),
}


def bring(store: Store, *paths: Path) -> ImportResult:
    return Importer(store).import_tree(paths)


def check(store: Store, told: dict[str, Told]) -> None:
    """Every session is as its raw data say it, and sound."""
    for session_id, expected in told.items():
        check_session(store, session_id)
        view = list(read_all(store, key_of(session_id), branch=MAIN, with_source=True))
        messages = messages_of(view)
        texts = [message.text for message in messages if message.native_id is not None or message.role != "tool" or not expected.times]
        assert texts == expected.texts
        gone = {seq for event in view if event.type == "retract" for first, last in event.data["ranges"] for seq in range(first, last + 1)}
        times = [event.at_us for event in view if event.type == "message" and event.source is not None and event.seq not in gone]
        assert times == expected.times or not expected.times
        assert [(call_id, name) for call_id, name, _ in calls_of(messages)] == expected.calls
        by_seq = {event.seq: event for event in events_of(store, session_id)}
        checkpoints = [json.loads(entry.value or b"null") for entry in head_of(store, session_id).entries if entry.kind == "checkpoint"]
        lasts = [messages_of([by_seq[one["seq"]]])[0].text for one in sorted(checkpoints, key=lambda one: int(one["seq"]))]
        assert sorted(lasts) == sorted(expected.checkpoints)


@pytest.mark.parametrize("name", MADE)
def test_scenario_28_what_libraries_stored_comes_in_once(store: Store, tmp_path: Path, name: str) -> None:
    make, tell = MADE[name]
    folder = tmp_path / "data"
    folder.mkdir()
    path = make(folder)
    told = tell(folder)
    result = bring(store, path)
    assert {file.format for file in result.files} == {name}
    assert set(result.session_ids) == set(told)
    assert result.problem_count == 0
    check(store, told)
    before = {session_id: head_of(store, session_id) for session_id in told}
    again = bring(store, path)
    assert set(again.outcomes()) == {"unchanged"}
    assert again.event_count == 0
    assert {session_id: head_of(store, session_id) for session_id in told} == before


def test_scenario_28_all_of_them_in_one_folder(store: Store, tmp_path: Path) -> None:
    for name, (make, _) in MADE.items():
        (tmp_path / name).mkdir()
        make(tmp_path / name)
    result = bring(store, tmp_path)
    assert {file.format for file in result.files} == set(MADE)
    assert result.problem_count == 0
    assert set(bring(store, tmp_path).outcomes()) == {"unchanged"}


def spoil_strands(folder: Path) -> None:
    (folder / "sessions/session_guarded/agents/agent_default/messages/message_9.json").write_text('{"message": {"ro')


def spoil_snapshots(folder: Path) -> None:
    immutable = min(folder.rglob("trip/**/immutable_history"))
    (immutable / "snapshot_01a1f95f-0000-7000-8000-000000000000.json").write_text("{")


def spoil_linker(folder: Path) -> None:
    (folder / "files/__checkpoint__first__0009.json").write_text('{"session_id": "fi')


def spoil_lexigram(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "lexigram.db")) as connection, connection:
        columns = "metadata, active_tools, active_skills, system_prompt, variables, created_at, updated_at"
        values = f"'torn', user_id, status, '[{{', {columns}, NULL, 0, 0, 0, NULL, NULL"
        connection.execute(f"INSERT INTO ai_sessions SELECT {values} FROM ai_sessions LIMIT 1")


def spoil_go_session(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "sessions.db")) as connection, connection:
        columns = "created_at, updated_at, last_active_at"
        values = f"'torn', agent_id, channel_id, 'torn', thread_id, state, metadata, '{{\"mess', NULL, {columns}, NULL"
        connection.execute(f"INSERT INTO sessions SELECT {values} FROM sessions LIMIT 1")


@pytest.mark.parametrize(
    ("name", "spoil"),
    list(zip(MADE, [spoil_strands, spoil_snapshots, spoil_linker, spoil_lexigram, spoil_go_session], strict=True)),
    ids=list(MADE),
)
def test_scenario_28_corrupt_items_are_reported_and_not_fatal(
    store: Store, tmp_path: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    make, tell = MADE[name]
    path = make(tmp_path)
    told = tell(tmp_path)
    spoil(tmp_path)
    result = bring(store, path)
    assert result.problem_count == 1
    check(store, told)
    assert set(bring(store, path).outcomes()) == {"unchanged"}


# ---- growing -----------------------------------------------------------------------------------------------------------------------------


def grow_strands(folder: Path) -> None:
    messages = folder / "sessions/session_trip/agents/agent_guide/messages"
    record = json.loads((messages / "message_6.json").read_text())
    for number, text in ((8, "One more."), (9, "And one.")):
        record["message"]["content"], record["message_id"] = [{"text": text}], number
        (messages / f"message_{number}.json").write_text(json.dumps(record))
    agent = messages.parent / "agent.json"
    agent.write_text(json.dumps({**json.loads(agent.read_text()), "state": {"language": "it"}}))


def grow_snapshots(folder: Path) -> None:
    for name in ("trip", "went-back"):
        latest = folder / f"snapshots/session/{name}/scopes/agent/default/snapshots/snapshot_latest.json"
        record = json.loads(latest.read_text())
        messages = record["data"]["messages"]
        messages += [{"role": "user", "content": [{"text": "More."}], "tracking_id": "t-1"}]
        record["created_at"] = "2027-01-01T00:00:00Z"
        latest.write_text(json.dumps(record))
        (latest.parent / "immutable_history/snapshot_02a1f95f-0000-7000-8000-000000000000.json").write_text(json.dumps(record))


def grow_linker(folder: Path) -> None:
    path = folder / "files/first.json"
    state = json.loads(path.read_text())
    state["segments"].append({**state["segments"][0], "segment_id": "new", "content": "new", "timestamp": "2027-01-01T00:00:00Z"})
    path.write_text(json.dumps({**state, "checksum": "", "preferences": {"language": "it"}}, indent=2))


def grow_lexigram(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "lexigram.db")) as connection, connection:
        for session_id, text in connection.execute("SELECT session_id, turns FROM ai_sessions").fetchall():
            turns = json.loads(text)
            turns.append({**turns[0], "turn_id": "turn-9", "content": "new", "timestamp": "2027-01-01T00:00:00+00:00"})
            connection.execute("UPDATE ai_sessions SET turns = ?, status = 'closed' WHERE session_id = ?", [json.dumps(turns), session_id])


@pytest.mark.parametrize(
    ("name", "grow"),
    list(zip(MADE, [grow_strands, grow_snapshots, grow_linker, grow_lexigram], strict=False)),
    ids=list(MADE)[:4],
)
def test_scenario_28_what_has_grown_since_comes_in_alone(store: Store, tmp_path: Path, name: str, grow: Callable[[Path], None]) -> None:
    make, tell = MADE[name]
    path = make(tmp_path)
    bring(store, path)
    grow(tmp_path)
    result = bring(store, path)
    assert set(result.outcomes()) <= {"updated", "unchanged"}
    assert "updated" in result.outcomes()
    assert result.problem_count == 0
    told = tell(tmp_path)
    check(store, told)
    for session_id, expected in told.items():
        sums = head_of(store, session_id).info
        fresh = len(expected.texts)
        assert sums.message_count >= fresh
    again = bring(store, path)
    assert set(again.outcomes()) == {"unchanged"}


def test_a_session_that_was_shortened_is_read_anew(store: Store, tmp_path: Path) -> None:
    path = make_linker(tmp_path)
    bring(store, path)
    state = json.loads((path / "first.json").read_text())
    (path / "first.json").write_text(json.dumps({**state, "segments": state["segments"][2:], "checksum": ""}, indent=2))
    for checkpoint in path.glob("__checkpoint__first__*.json"):  # else the copies in them would give back what is gone
        checkpoint.unlink()
    result = bring(store, path)
    assert result.outcomes() == {"replaced": 1, "unchanged": 1}
    check_session(store, "first")
    view = messages_of(read_all(store, key_of("first"), branch=head_of(store, "first").info.active_branch))
    assert [message.text for message in view][-1] == "segment 10"
