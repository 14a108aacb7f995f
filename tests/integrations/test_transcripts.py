"""Sessions that the Claude Agent SDK keeps in a store, without the SDK: entries in, events and entries out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from turnfold import Client, InvalidInput, SessionClosed, connect, user
from turnfold.engine.importing.batch import Batch
from turnfold.engine.importing.cursor import Cursor
from turnfold.engine.verify import verify_session
from turnfold.model.commit import Committed
from turnfold.model.parts import ToolCallPart
from turnfold.model.session import SessionKey

SAMPLE = Path(__file__).resolve().parents[2] / "src" / "turnfold" / "data" / "sample"
CLAUDE_ID = "7d3f1c52-5a0e-4c1b-9a52-2f6f0b8e41aa"
CODEX_ID = "019cb0d4-7e21-7a63-9c0f-51d2a6e8b3f4"
CLAUDE_FILE = SAMPLE / "claude-code" / f"{CLAUDE_ID}.jsonl"
PROJECT = "-home-me-work"
NEW_ID = "0b6f0a52-52f2-4a3e-9d38-5f6c2f7e7a11"


def url_of(name: str, folder: Path) -> str:
    """The address of an empty store."""
    return {"memory": "memory://", "sqlite": f"sqlite:///{folder}/s.db", "files": f"files:///{folder}/store"}[name]


@pytest.fixture(params=["memory", "sqlite", "files"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    """Connect to an empty store."""
    with connect(url_of(request.param, tmp_path)) as client:
        yield client


def entries_of(path: Path) -> list[dict[str, Any]]:
    """Read a file as the SDK does."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def said(text: str, uuid: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
    """A prompt as an entry."""
    fields = {"cwd": "/home/me/work", "sessionId": NEW_ID, "version": "2.1.0", "gitBranch": "main"}
    at = {"timestamp": "2027-01-01T00:00:00.000Z"}
    message = {"role": "user", "content": text}
    return {"parentUuid": parent, "isSidechain": False, "type": "user", "message": message, "uuid": uuid, **fields, **at, **more}


def blocks_of(entries: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The content blocks of a type."""
    contents = [entry["message"]["content"] for entry in entries if "message" in entry]
    return [block for content in contents if isinstance(content, list) for block in content if block["type"] == kind]


def events_of(client: Client, session_id: str) -> list[tuple[Any, ...]]:
    """The events of a session's lines. Their seqs differ, because each batch has its cursor behind it."""
    page = client.open(session_id, create=False).events(limit=500)
    own = {"import.cursor", "session.created", "title", "branch.switched"}
    seqs = {"fork_seq", "first_seq", "last_seq", "keeps"}
    events = [event for event in page.items if event.type not in own]
    bare = [{key: value for key, value in event.data.items() if key not in seqs} for event in events]
    return [(event.id, event.type, data, event.branch, event.at_us, event.usage) for event, data in zip(events, bare, strict=True)]


# ---- entries are what a file's lines are -----------------------------------------------------------------------------------------------


def test_entries_become_the_events_of_an_import_and_come_out_as_the_file(client: Client, tmp_path: Path) -> None:
    entries = entries_of(CLAUDE_FILE)
    transcripts = client.transcripts()
    for start in range(0, len(entries), 3):
        transcripts.append(PROJECT, CLAUDE_ID, entries[start : start + 3])
    with connect("memory://") as other:
        other.import_files([CLAUDE_FILE])
        assert events_of(client, CLAUDE_ID) == events_of(other, CLAUDE_ID)
        ours, theirs = client.find(CLAUDE_ID), other.find(CLAUDE_ID)
        assert (ours.message_count, ours.turn_count, ours.usage) == (theirs.message_count, theirs.turn_count, theirs.usage)
        assert (ours.title, ours.agent, ours.metadata, ours.created_at_us) == (
            theirs.title,
            theirs.agent,
            theirs.metadata,
            theirs.created_at_us,
        )
        assert ours.active_branch == theirs.active_branch
    assert transcripts.load(PROJECT, CLAUDE_ID) == entries
    (exported,) = client.export(CLAUDE_ID, tmp_path / "out.jsonl", format="claude-code")
    assert Path(exported.path).read_bytes() == CLAUDE_FILE.read_bytes()
    verify_session(client.store, SessionKey("default", CLAUDE_ID))


def test_the_tools_own_file_of_the_session_is_known_and_only_brings_what_is_new(client: Client, tmp_path: Path) -> None:
    entries = entries_of(CLAUDE_FILE)
    transcripts = client.transcripts()
    transcripts.append(PROJECT, CLAUDE_ID, entries[:4])
    transcripts.append(PROJECT, CLAUDE_ID, entries[4:-2])
    path = tmp_path / CLAUDE_FILE.name
    path.write_bytes(CLAUDE_FILE.read_bytes())
    (file,) = [one for one in client.import_files([path]).files if one.path == str(path)]
    assert (file.outcome, file.session_id, file.line_count) == ("updated", CLAUDE_ID, 2)
    transcripts.append(PROJECT, CLAUDE_ID, [*entries[-2:], said("More.", "new")])
    assert transcripts.load(PROJECT, CLAUDE_ID) == [*entries, said("More.", "new")]
    assert len(client.sessions(prefix=CLAUDE_ID).items) == 1


def test_after_an_import_of_a_file_without_a_last_newline_entries_go_on_in_a_line_of_their_own(client: Client, tmp_path: Path) -> None:
    entries = entries_of(CLAUDE_FILE)
    transcripts = client.transcripts()
    transcripts.append(PROJECT, CLAUDE_ID, entries[:-1])
    path = tmp_path / CLAUDE_FILE.name
    path.write_bytes(CLAUDE_FILE.read_bytes().rstrip())
    client.import_files([path])
    transcripts.append(PROJECT, CLAUDE_ID, [said("More.", "new")])
    assert client.transcripts().load(PROJECT, CLAUDE_ID) == [*entries, said("More.", "new")]


def test_a_session_of_the_sdk_is_found_and_goes_on_in_codex(client: Client, tmp_path: Path) -> None:
    client.transcripts().append(PROJECT, NEW_ID, [said("Where is the marzipan?", "1")])
    assert client.open(NEW_ID, create=False).messages()[-1].text == "Where is the marzipan?"
    assert {hit.session_id for hit in client.search("marzipan").items} == {NEW_ID}
    done = client.resume_with(NEW_ID, "codex", home=tmp_path / "codex", cwd=tmp_path)
    assert b"Where is the marzipan?" in Path(done.path).read_bytes()


def test_odd_values_come_back_equal(client: Client) -> None:
    odd = {
        "type": "x",
        "text": "\ud83d \x00 \u2028",
        "big": 10**30,
        "float": 1e22,
        "zero": -0.0,
        "none": None,
        "deep": [[[{"a": {}}]]],
        "": [],
    }
    entries: list[dict[str, Any]] = [odd, {"type": "user", "uuid": 7}, {"type": ["x"], "message": {"content": 3}}, said("\ud800", "u")]
    client.transcripts().append(PROJECT, NEW_ID, entries)
    assert client.transcripts().load(PROJECT, NEW_ID) == entries


@pytest.mark.parametrize("entry", [{"type": "x", "value": {1, 2}}, "text", None, [1]])
def test_what_is_no_json_object_is_refused_and_nothing_of_its_batch_is_stored(client: Client, entry: Any) -> None:
    with pytest.raises(InvalidInput, match="an entry is no JSON object"):
        client.transcripts().append(PROJECT, NEW_ID, [said("a", "1"), entry])
    assert client.transcripts().load(PROJECT, NEW_ID) is None


# ---- what comes twice ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("remembers", [True, False])
def test_a_batch_that_comes_again_is_stored_once_with_its_entries_without_a_uuid(client: Client, *, remembers: bool) -> None:
    transcripts = client.transcripts()
    first = [{"type": "mode", "mode": "a"}, said("One.", "1"), {"type": "mode", "mode": "b"}]
    second = [said("Two.", "2", "1"), {"type": "mode", "mode": "a"}]
    for batch in (first, first, second, first, second):
        transcripts.append(PROJECT, NEW_ID, batch)
        transcripts = transcripts if remembers else client.transcripts()
    assert transcripts.load(PROJECT, NEW_ID) == [*first, *second]
    assert client.find(NEW_ID).message_count == 2


def test_a_batch_that_was_stored_in_part_is_completed(client: Client) -> None:
    transcripts = client.transcripts()
    batch = [{"type": "mode", "mode": "a"}, said("One.", "1"), {"type": "mode", "mode": "b"}, said("Two.", "2", "1")]
    transcripts.append(PROJECT, NEW_ID, batch[:3])
    transcripts.append(PROJECT, NEW_ID, batch)
    assert transcripts.load(PROJECT, NEW_ID) == batch


def test_entries_without_a_uuid_are_kept_as_often_as_they_come_and_an_empty_batch_is_none(client: Client) -> None:
    transcripts = client.transcripts()
    transcripts.append(PROJECT, NEW_ID, [])
    assert client.sessions().items == []
    for _ in range(2):
        transcripts.append(PROJECT, NEW_ID, [{"type": "mode", "mode": "a"}])
    assert transcripts.load(PROJECT, NEW_ID) == [{"type": "mode", "mode": "a"}] * 2


def test_two_processes_that_append_to_one_session_see_each_others_entries(client: Client) -> None:
    one, two = client.transcripts(), client.transcripts()
    one.append(PROJECT, NEW_ID, [said("One.", "1")])
    two.append(PROJECT, NEW_ID, [said("One.", "1"), said("Two.", "2", "1")])
    one.append(PROJECT, NEW_ID, [said("Two.", "2", "1"), said("Three.", "3", "2")])
    assert [entry["uuid"] for entry in two.load(PROJECT, NEW_ID) or []] == ["1", "2", "3"]
    assert [message.text for message in client.open(NEW_ID, create=False).messages()] == ["One.", "Two.", "Three."]


@pytest.mark.parametrize("kind", ["sqlite", "files"])
def test_clients_that_append_at_once_keep_every_entry_and_none_twice(kind: str, tmp_path: Path) -> None:
    def mirror(number: int) -> None:
        with connect(url_of(kind, tmp_path)) as client:
            transcripts = client.transcripts()
            for batch in range(10):
                transcripts.append(PROJECT, NEW_ID, [said("both", f"both {batch}"), said("own", f"{number} {batch}")])

    connect(url_of(kind, tmp_path)).close()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(mirror, range(3)))
    with connect(url_of(kind, tmp_path)) as client:
        uuids = [entry["uuid"] for entry in client.transcripts().load(PROJECT, NEW_ID) or []]
        client.verify(NEW_ID)
    assert len(uuids) == len(set(uuids))
    assert set(uuids) == {f"{who} {batch}" for who in ("both", 0, 1, 2) for batch in range(10)}


# ---- sessions that came another way ----------------------------------------------------------------------------------------------------


def test_a_session_of_codex_is_loaded_as_entries_of_claude_with_every_call_and_result(client: Client) -> None:
    client.import_files([SAMPLE / "codex"])
    entries = client.transcripts().load(PROJECT, CODEX_ID)
    assert entries is not None
    assert {entry["sessionId"] for entry in entries} == {CODEX_ID}
    messages = client.open(CODEX_ID, create=False).messages()
    calls = [part.id for message in messages for part in message.parts if isinstance(part, ToolCallPart)]
    assert calls
    assert [block["id"] for block in blocks_of(entries, "tool_use")] == calls
    assert {block["tool_use_id"] for block in blocks_of(entries, "tool_result")} == set(calls)
    assert client.transcripts().load("another-project", CODEX_ID) == entries
    assert client.find(CODEX_ID).last_seq == client.open(CODEX_ID, create=False).events(limit=500).items[-1].seq


def test_what_is_appended_to_it_goes_to_a_session_of_its_own_with_that_one_as_its_parent(client: Client) -> None:
    client.import_files([SAMPLE / "codex"])
    before = client.find(CODEX_ID)
    loaded = client.transcripts().load(PROJECT, CODEX_ID) or []
    more = [said("Go on.", "1", loaded[-1].get("uuid")), said("And on.", "2", "1")]
    for entry in more:
        client.transcripts().append(PROJECT, CODEX_ID, [entry])
    assert client.transcripts().load(PROJECT, CODEX_ID) == [*loaded, *more]
    after = client.find(CODEX_ID)
    assert (after.last_seq, after.message_count) == (before.last_seq, before.message_count)
    (child,) = [info for info in client.sessions().items if info.id != CODEX_ID]
    assert child.parent is not None
    assert (child.parent["session_id"], child.parent["relation"]) == (CODEX_ID, "continuation")
    assert [message.text for message in client.open(child.id, create=False).messages()[-2:]] == ["Go on.", "And on."]
    assert before.usage.input_tokens > 0
    assert child.usage.input_tokens == 0, "what was carried over counts where it comes from"
    client.transcripts().delete(PROJECT, CODEX_ID)
    assert client.transcripts().load(PROJECT, CODEX_ID) == loaded, "the session that it went on from stays"


def test_one_that_broke_off_while_it_was_begun_is_completed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.import_files([SAMPLE / "codex"])
    loaded = client.transcripts().load(PROJECT, CODEX_ID) or []
    commit = Batch.commit
    committed: list[Committed] = []

    def commit_once(batch: Batch, cursor: Cursor) -> Committed:
        if committed:
            raise KeyboardInterrupt
        committed.append(commit(batch, cursor))
        return committed[0]

    with monkeypatch.context() as patched:
        patched.setattr("turnfold.engine.importing.batch.IMPORT_BATCH_EVENTS", 5)
        patched.setattr(Batch, "commit", commit_once)
        with pytest.raises(KeyboardInterrupt):
            client.transcripts().append(PROJECT, CODEX_ID, [said("Go on.", "1")])
    assert committed
    assert client.transcripts().load(PROJECT, CODEX_ID) == loaded
    client.transcripts().append(PROJECT, CODEX_ID, [said("Go on.", "1")])
    assert client.transcripts().load(PROJECT, CODEX_ID) == [*loaded, said("Go on.", "1")]


def test_a_file_of_claude_that_was_imported_is_loaded_as_it_is_with_its_subagents(client: Client) -> None:
    client.import_files([SAMPLE / "claude-code"])
    transcripts = client.transcripts()
    assert transcripts.load(PROJECT, CLAUDE_ID) == entries_of(CLAUDE_FILE)
    (agent,) = (CLAUDE_FILE.with_suffix("") / "subagents").glob("*.jsonl")
    subpath = f"subagents/{agent.stem}"
    assert transcripts.subpaths(PROJECT, CLAUDE_ID) == [subpath]
    assert transcripts.load(PROJECT, CLAUDE_ID, subpath=subpath) == entries_of(agent)
    transcripts.append(PROJECT, CLAUDE_ID, [said("More.", "s")], subpath=subpath)
    assert transcripts.load(PROJECT, CLAUDE_ID, subpath=subpath) == [*entries_of(agent), said("More.", "s")]
    assert transcripts.load(PROJECT, CLAUDE_ID) == entries_of(CLAUDE_FILE)
    assert transcripts.subpaths(PROJECT, CLAUDE_ID) == [subpath]


def test_a_session_that_was_written_to_here_is_loaded_with_what_was_added(client: Client) -> None:
    client.import_files([SAMPLE / "claude-code"])
    client.open(CLAUDE_ID, create=False).append(user("Added here."))
    entries = client.transcripts().load(PROJECT, CLAUDE_ID)
    assert entries is not None
    assert "Added here." in json.dumps(entries)


def test_a_session_of_turnfolds_own_can_be_loaded_and_an_empty_one_is_none(client: Client) -> None:
    client.open(NEW_ID).append(user("Hello."))
    client.open("empty", persist=True)
    (*_, entry) = client.transcripts().load(PROJECT, NEW_ID) or []
    assert entry["message"]["content"] == "Hello."
    assert client.transcripts().load(PROJECT, "empty") is None


# ---- scope, subagents, ends ------------------------------------------------------------------------------------------------------------


def test_another_owners_session_is_not_there_and_the_same_id_is_another_session(tmp_path: Path) -> None:
    with connect(url_of("sqlite", tmp_path), owner="ann") as ann, connect(url_of("sqlite", tmp_path), owner="bob") as bob:
        ann.transcripts().append(PROJECT, NEW_ID, [said("Ann's.", "1")])
        ann.import_files([SAMPLE / "codex"])
        theirs = bob.transcripts()
        assert theirs.load(PROJECT, NEW_ID) is None
        assert theirs.load(PROJECT, CODEX_ID) is None
        assert theirs.sessions(PROJECT) == []
        theirs.delete(PROJECT, NEW_ID)
        theirs.append(PROJECT, NEW_ID, [said("Bob's.", "1")])
        assert theirs.load(PROJECT, NEW_ID) == [said("Bob's.", "1")]
        assert ann.transcripts().load(PROJECT, NEW_ID) == [said("Ann's.", "1")]
        assert [info.owner for info in theirs.sessions(PROJECT)] == ["bob"]


def test_projects_are_apart(client: Client) -> None:
    transcripts = client.transcripts()
    for project in ("a", "b"):
        transcripts.append(project, NEW_ID, [said(project, "1")])
    transcripts.delete("a", NEW_ID)
    assert transcripts.load("a", NEW_ID) is None
    transcripts.append("b", NEW_ID, [said("more", "2", "1")])
    assert transcripts.load("b", NEW_ID) == [said("b", "1"), said("more", "2", "1")]
    assert transcripts.sessions("a") == []


def test_a_subagent_may_come_before_its_session_and_is_a_session_below_it(client: Client) -> None:
    transcripts = client.transcripts()
    entry = said("Look.", "1", isSidechain=True, agentId="a1")
    transcripts.append(PROJECT, NEW_ID, [entry], subpath="subagents/agent-a1")
    assert transcripts.load(PROJECT, NEW_ID) is None
    assert transcripts.sessions(PROJECT) == []
    transcripts.append(PROJECT, NEW_ID, [said("Start.", "2")])
    assert transcripts.load(PROJECT, NEW_ID, subpath="subagents/agent-a1") == [entry]
    assert transcripts.subpaths(PROJECT, NEW_ID) == ["subagents/agent-a1"]
    assert client.find(f"{NEW_ID}/subagents/agent-a1").parent == {"session_id": NEW_ID, "relation": "subagent"}
    assert [info.id for info in transcripts.sessions(PROJECT)] == [NEW_ID]
    transcripts.delete(PROJECT, NEW_ID)
    assert client.sessions().items == []


def test_a_deleted_session_can_be_written_anew(client: Client) -> None:
    transcripts = client.transcripts()
    for _ in range(2):
        transcripts.append(PROJECT, NEW_ID, [said("One.", "1")])
        assert transcripts.load(PROJECT, NEW_ID) == [said("One.", "1")]
        transcripts.delete(PROJECT, NEW_ID)
        assert transcripts.load(PROJECT, NEW_ID) is None


def test_a_session_that_ended_takes_nothing_more_and_says_so(client: Client) -> None:
    client.transcripts().append(PROJECT, NEW_ID, [said("One.", "1")])
    client.open(NEW_ID, create=False).close()
    with pytest.raises(SessionClosed):
        client.transcripts().append(PROJECT, NEW_ID, [said("Two.", "2", "1")])
    assert client.transcripts().load(PROJECT, NEW_ID) == [said("One.", "1")]
