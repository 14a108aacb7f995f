"""Putting sessions where the tools go on with them, and taking back what the tools add."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.resuming.native import read
from turnfold import AlreadyExists, Client, InvalidInput, NotSupported, Resumption, SessionNotFound, assistant, connect, user
from turnfold.engine.verify import verify_session
from turnfold.formats.carrying.places import TOOLS, ClaudeTool, CodexTool, Place, command_line, project_name
from turnfold.model.session import SessionKey

SAMPLE = Path(__file__).resolve().parents[2] / "src" / "turnfold" / "data" / "sample"
CLAUDE_ID = "7d3f1c52-5a0e-4c1b-9a52-2f6f0b8e41aa"
CODEX_ID = "019cb0d4-7e21-7a63-9c0f-51d2a6e8b3f4"


@pytest.fixture(params=["memory", "sqlite", "files"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    """Connect to a store with the sample's two sessions."""
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/s.db", "files": f"files:///{tmp_path}/store"}[request.param]
    with connect(url) as client:
        client.import_files([SAMPLE])
        yield client


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder to go on in."""
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    return folder


def resume(client: Client, session_id: str, tool: str, work: Path, **options: Any) -> Resumption:
    """Resume in the tool's folder beside the one to work in."""
    return client.resume_with(session_id, tool, home=work.parent / tool, cwd=work, **options)


def add(path: Path, line: dict[str, Any]) -> None:
    """What the tool does when it goes on."""
    with path.open("a") as file:
        file.write(json.dumps(line, separators=(",", ":")) + "\n")


def answered(text: str, at: str = "2027-01-01T00:00:00.000Z") -> dict[str, Any]:
    """A line that Codex adds."""
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    return {"timestamp": at, "type": "response_item", "payload": item}


# ---- another tool ----------------------------------------------------------------------------------------------------------------------


def test_a_session_is_written_where_the_other_tool_looks_and_says_where_it_went_on(client: Client, work: Path) -> None:
    done = resume(client, CLAUDE_ID, "codex", work)
    path = Path(done.path)
    assert (done.outcome, done.is_native, done.linked) == ("written", False, True)
    assert path.stat().st_size == done.byte_count
    assert path.relative_to(work.parent / "codex").parts[0] == "sessions"
    assert done.native_id in path.name
    quoted = str(work).replace("'", "'\"'\"'")
    assert done.command == f"cd '{quoted}' && CODEX_HOME={work.parent}/codex codex resume {done.native_id}"
    assert done.arguments == ["codex", "resume", done.native_id]
    (link,) = client.open(CLAUDE_ID).events(types=["link"]).items
    assert link.data["native_id"] == done.native_id
    assert link.data["path"] == done.path
    assert client.store.get_session(SessionKey("default", CLAUDE_ID)).info.message_count == client.find(CLAUDE_ID).message_count
    verify_session(client.store, SessionKey("default", CLAUDE_ID))

    back = resume(client, CODEX_ID, "claude", work)
    assert Path(back.path) == work.parent / "claude" / "projects" / project_name(work) / f"{back.native_id}.jsonl"
    assert back.arguments == ["claude", "--resume", back.native_id]


def test_twice_is_once_and_force_writes_another(client: Client, work: Path) -> None:
    one = resume(client, CLAUDE_ID, "codex", work)
    written = Path(one.path).stat()
    two = resume(client, CLAUDE_ID, "codex", work)
    assert (two.outcome, two.native_id, two.linked, two.grown_byte_count) == ("there", one.native_id, True, 0)
    assert Path(one.path).stat().st_mtime_ns == written.st_mtime_ns
    assert len(client.open(CLAUDE_ID).events(types=["link"]).items) == 1
    three = resume(client, CLAUDE_ID, "codex", work, force=True)
    assert three.outcome == "written"
    assert three.native_id != one.native_id
    assert read(Path(three.path)).texts == read(Path(one.path)).texts


def test_a_file_that_the_tool_has_grown_is_the_one_to_go_on_with(client: Client, work: Path) -> None:
    one = resume(client, CLAUDE_ID, "codex", work)
    add(Path(one.path), answered("more"))
    before = Path(one.path).read_bytes()
    two = resume(client, CLAUDE_ID, "codex", work)
    assert (two.outcome, two.path) == ("there", one.path)
    assert two.grown_byte_count == len(before) - one.byte_count
    assert Path(one.path).read_bytes() == before


def test_a_session_that_has_gone_on_here_gets_another_file(client: Client, work: Path) -> None:
    one = resume(client, CLAUDE_ID, "codex", work)
    client.open(CLAUDE_ID).append(user("one more thing"))
    two = resume(client, CLAUDE_ID, "codex", work)
    assert two.outcome == "written"
    assert two.native_id != one.native_id
    assert "one more thing" in read(Path(two.path)).all_texts
    assert "one more thing" not in read(Path(one.path)).all_texts


def test_a_file_of_another_content_under_the_id_is_never_written_over(client: Client, work: Path) -> None:
    one = resume(client, CLAUDE_ID, "codex", work)
    Path(one.path).write_text("something else\n")
    two = resume(client, CLAUDE_ID, "codex", work)
    assert two.outcome == "written"
    assert two.native_id != one.native_id
    assert Path(one.path).read_text() == "something else\n"


def test_a_dry_run_writes_nothing(client: Client, work: Path) -> None:
    last = client.find(CLAUDE_ID).last_seq
    done = resume(client, CLAUDE_ID, "codex", work, dry_run=True)
    assert (done.outcome, done.linked) == ("planned", False)
    assert done.byte_count > 0
    assert not (work.parent / "codex").exists()
    assert client.find(CLAUDE_ID).last_seq == last
    assert resume(client, CLAUDE_ID, "codex", work).path == done.path
    assert resume(client, CLAUDE_ID, "codex", work, dry_run=True).outcome == "there"


def test_a_closed_session_is_resumed_without_a_link(client: Client, work: Path) -> None:
    client.open(CLAUDE_ID).close()
    done = resume(client, CLAUDE_ID, "codex", work)
    assert (done.outcome, done.linked) == ("written", False)
    suspended = client.open("mine")
    suspended.append([user("a"), assistant("b")])
    suspended.suspend()
    assert resume(client, "mine", "claude", work).linked is False


def test_a_branch_can_be_chosen(client: Client, work: Path) -> None:
    session = client.open("mine")
    session.append([user("a"), assistant("b")])
    fork = session.fork(at=2, name="other")
    fork.append(assistant("c"))
    main = resume(client, "mine", "claude", work, branch="main")
    other = resume(client, "mine", "claude", work, branch="other")
    assert set(read(Path(main.path)).all_texts) == {"a", "b"}
    assert set(read(Path(other.path)).all_texts) == {"a", "c"}
    assert main.losses["other branches"]["count"] == 1


def test_what_cannot_be_resumed_says_why(client: Client, work: Path) -> None:
    with pytest.raises(SessionNotFound):
        resume(client, "nobody", "codex", work)
    with pytest.raises(NotSupported, match="no tool 'vim'"):
        resume(client, CLAUDE_ID, "vim", work)
    with pytest.raises(InvalidInput, match="not on this machine") as caught:
        client.resume_with(CLAUDE_ID, "codex", home=work)
    assert "--cwd" in str(caught.value.hint)
    with pytest.raises(InvalidInput):
        client.resume_with(CLAUDE_ID, "codex", home=work, cwd=work / "gone", dry_run=True)
    assert client.resume_with(CLAUDE_ID, "codex", home=work, dry_run=True).outcome == "planned"


# ---- the same tool ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("session_id", "tool"), [(CLAUDE_ID, "claude"), (CODEX_ID, "codex")])
def test_a_session_of_the_same_tool_is_put_back_byte_for_byte(client: Client, work: Path, session_id: str, tool: str) -> None:
    (source,) = [path for path in SAMPLE.rglob("*.jsonl") if session_id in path.name]
    done = resume(client, session_id, tool, work)
    assert (done.is_native, done.native_id, done.losses) == (True, session_id, {})
    assert Path(done.path).read_bytes() == source.read_bytes()
    if tool == "claude":
        agents = sorted((Path(done.path).parent / session_id / "subagents").iterdir())
        assert [agent.read_bytes() for agent in agents] == [
            path.read_bytes() for path in sorted((source.parent / session_id / "subagents").iterdir())
        ]
    assert resume(client, session_id, tool, work).outcome == "there"
    add(Path(done.path), answered("more"))
    assert resume(client, session_id, tool, work).grown_byte_count > 0
    again = client.import_files([Path(done.path)])
    assert again.session_ids[:1] == [session_id]
    assert again.outcomes()["updated"] == 1


def test_a_tools_own_file_with_other_content_stops_it(client: Client, work: Path) -> None:
    done = resume(client, CODEX_ID, "codex", work)
    lines = Path(done.path).read_bytes().splitlines(keepends=True)
    Path(done.path).write_bytes(b"".join(lines[:-1]) + b'{"type":"other"}\n')
    with pytest.raises(AlreadyExists) as caught:
        resume(client, CODEX_ID, "codex", work)
    assert "--force" in str(caught.value.hint)
    copy = resume(client, CODEX_ID, "codex", work, force=True)
    assert (copy.is_native, copy.outcome) == (False, "written")
    assert read(Path(copy.path)).notes == 0


def test_what_was_changed_here_is_converted(client: Client, work: Path) -> None:
    session = client.open(CODEX_ID)
    session.append(user("added here"))
    done = resume(client, CODEX_ID, "codex", work)
    assert (done.is_native, done.native_id == CODEX_ID) == (False, False)
    assert "added here" in read(Path(done.path)).all_texts
    first = next(event.seq for event in client.open(CLAUDE_ID).events(types=["message"]).items)
    client.open(CLAUDE_ID).redact(first)
    assert not resume(client, CLAUDE_ID, "claude", work).is_native


def test_a_rollout_of_old_is_upgraded(client: Client, work: Path, shared_dir: Path) -> None:
    (old,) = (shared_dir / "data" / "transcripts" / "codex" / "generated" / "0.8.0").glob("*.jsonl")
    (session_id,) = client.import_files([old]).session_ids
    done = resume(client, session_id, "codex", work)
    assert not done.is_native
    lines = [json.loads(line) for line in Path(done.path).read_bytes().splitlines()]
    assert all("payload" in line and "timestamp" in line for line in lines)
    assert lines[0]["type"] == "session_meta"
    before, after = read(old), read(Path(done.path))
    assert (after.real_calls, after.results, after.all_texts) == (before.real_calls, before.results, before.all_texts)
    assert after.notes == 0


# ---- importing it back -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("session_id", "tool"), [(CLAUDE_ID, "codex"), (CODEX_ID, "claude")])
def test_a_written_file_is_imported_only_when_the_tool_has_added_to_it(client: Client, work: Path, session_id: str, tool: str) -> None:
    done = resume(client, session_id, tool, work)
    total = sum(row.usage.total_tokens for row in client.usage())
    for _ in range(2):
        (found,) = client.import_files([Path(done.path)]).files
        assert (found.outcome, found.session_id) == ("unchanged", session_id)
        assert "nothing was added" in str(found.reason)
    with pytest.raises(SessionNotFound):
        client.open(done.native_id, create=False)

    lines = Path(done.path).read_bytes().splitlines()
    last = json.loads(lines[-2] if tool == "claude" else lines[-1])
    usage = {"input_tokens": 7, "output_tokens": 3}
    if tool == "claude":
        message: dict[str, Any] = {"id": "msg_new", "type": "message", "role": "assistant", "model": "claude-x", "usage": usage}
        message["content"] = [{"type": "text", "text": "grown"}]
        add(Path(done.path), {**last, "type": "assistant", "uuid": "u-new", "parentUuid": last["uuid"], "message": message})
    else:
        add(Path(done.path), answered("grown"))
        counts = [json.loads(line)["payload"] for line in lines if b'"token_count"' in line]
        info = counts[-1]["info"]
        info["total_token_usage"]["input_tokens"] += 7
        info["total_token_usage"]["output_tokens"] += 3
        info["last_token_usage"] = usage
        add(Path(done.path), {"timestamp": "2027-01-01T00:00:01.000Z", "type": "event_msg", "payload": counts[-1]})
    (found,) = client.import_files([Path(done.path)]).files
    assert (found.outcome, found.session_id) == ("imported", done.native_id)
    info = client.find(done.native_id)
    assert info.parent is not None
    branch = client.find(session_id).active_branch
    assert (info.parent["session_id"], info.parent["relation"], info.parent["branch"]) == (session_id, "continuation", branch)
    assert client.open(done.native_id).messages()[-1].text == "grown"
    assert sum(row.usage.total_tokens for row in client.usage()) == total + 10  # what was carried over counts where it was used
    assert client.import_files([Path(done.path)]).outcomes() == {"unchanged": 1}
    assert [child.id for child in client.sessions(parent=session_id).items if child.id == done.native_id]

    home = resume(client, done.native_id, "codex" if tool == "claude" else "claude", work)
    assert not home.is_native
    assert read(Path(home.path)).all_texts["grown"] == 1
    assert read(Path(home.path)).notes == 1


def test_a_file_from_another_store_is_a_session_with_its_usage(client: Client, work: Path) -> None:
    done = resume(client, CODEX_ID, "claude", work)
    with connect("memory://") as other:
        assert other.import_files([Path(done.path)]).outcomes() == {"imported": 1}
        info = other.find(done.native_id)
        assert info.usage.numbers()[:5] == client.find(CODEX_ID).usage.numbers()[:5]
        assert info.parent is not None
        assert info.parent["session_id"] == CODEX_ID


def test_a_mark_of_another_shape_is_no_parent(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "rollout.jsonl"
    marks: list[Any] = [None, 7, [], {"session_id": 7}, {"session_id": ""}, {"session_id": "x" * 5_000}]
    for index, mark in enumerate(marks):
        path = tmp_path / f"rollout-{index}.jsonl"
        meta: dict[str, Any] = {"id": f"thread-{index}", "turnfold": {"origin": mark}}
        path.write_text(json.dumps({"timestamp": "2027-01-01T00:00:00Z", "type": "session_meta", "payload": meta}) + "\n")
        assert client.import_files([path]).outcomes() == {"imported": 1}
        assert client.find(f"thread-{index}").parent is None
    strange = {"session_id": "s", "branch": 7, "seq": "x"}
    path.write_text(
        json.dumps({"timestamp": "2027-01-01T00:00:00Z", "type": "session_meta", "payload": {"id": "t", "turnfold": {"origin": strange}}})
    )
    client.import_files([path])
    assert client.find("t").parent == {"session_id": "s", "relation": "continuation"}


# ---- places ----------------------------------------------------------------------------------------------------------------------------


def test_claudes_folder_names(tmp_path: Path) -> None:
    assert project_name(Path("/home/me/my_app.v2")) == "-home-me-my-app-v2"
    assert project_name(Path("/a/é🎉")) == "-a----"
    link = tmp_path / "link"
    (tmp_path / "real").mkdir()
    link.symlink_to(tmp_path / "real")
    assert project_name(link) == project_name(tmp_path / "real")
    assert project_name(Path("/e\u0301")) == "--"


def test_a_long_folder_name_is_matched_by_its_beginning(tmp_path: Path) -> None:
    cwd = Path("/" + "/".join(["long" * 20] * 4))
    tool, place = ClaudeTool(), Place("id", cwd, 0)
    fresh = tool.path(tmp_path, place).parent.name
    assert fresh.startswith(project_name(cwd)[:200] + "-")
    assert 200 < len(fresh) < 210
    there = tmp_path / "projects" / (project_name(cwd)[:200] + "-zz9")
    there.mkdir(parents=True)
    assert tool.path(tmp_path, place).parent == there


def test_homes_come_from_the_environment(tmp_path: Path) -> None:
    assert TOOLS["claude"].home(tmp_path, {}) == tmp_path / ".claude"
    assert TOOLS["codex"].home(tmp_path, {}) == tmp_path / ".codex"
    assert TOOLS["claude"].home(tmp_path, {"CLAUDE_CONFIG_DIR": "/c"}) == Path("/c")
    assert TOOLS["codex"].home(tmp_path, {"CODEX_HOME": "/x"}) == Path("/x")


def test_a_rollouts_name_has_the_local_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        path = CodexTool().path(tmp_path, Place("id", tmp_path, 1_767_225_600_000_000))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert path == tmp_path / "sessions" / "2026" / "01" / "01" / "rollout-2026-01-01T09-00-00-id.jsonl"
    had = Place("id", tmp_path, 0, "rollout-2025-03-04T05-06-07-id.jsonl")
    assert CodexTool().path(tmp_path, had) == tmp_path / "sessions" / "2025" / "03" / "04" / had.had_name


def test_rollouts_are_found_wherever_codex_puts_them(tmp_path: Path, client: Client, work: Path) -> None:
    done = resume(client, CODEX_ID, "codex", work)
    archive = work.parent / "codex" / "archived_sessions"
    archive.mkdir()
    moved = archive / (Path(done.path).name + ".zst")
    zstd = pytest.importorskip("backports.zstd")
    moved.write_bytes(zstd.compress(Path(done.path).read_bytes() + b"{}\n"))
    Path(done.path).unlink()
    assert list(CodexTool().found(work.parent / "codex", CODEX_ID)) == [moved]
    again = resume(client, CODEX_ID, "codex", work)
    assert Path(again.path).suffix == ".jsonl"  # a folder was chosen: Codex resumes what is in its sessions
    Path(again.path).unlink()
    found = client.resume_with(CODEX_ID, "codex", home=work.parent / "codex", dry_run=True)
    assert (found.outcome, found.path, found.grown_byte_count) == ("there", str(moved), 3)


def test_a_compressed_rollout_is_put_back_plain(tmp_path: Path, work: Path) -> None:
    zstd = pytest.importorskip("backports.zstd")
    (source,) = [path for path in SAMPLE.rglob("*.jsonl") if CODEX_ID in path.name]
    packed = tmp_path / f"{source.name}.zst"
    packed.write_bytes(zstd.compress(source.read_bytes()))
    with connect("memory://") as client:
        client.import_files([packed])
        done = resume(client, CODEX_ID, "codex", work)
    assert (Path(done.path).name, Path(done.path).read_bytes()) == (source.name, source.read_bytes())


def test_the_command_is_safe_in_a_shell() -> None:
    line = command_line(["codex", "resume", "a b"], "/it's; rm -rf ~", {"CODEX_HOME": "/x y"})
    assert line == "cd '/it'\"'\"'s; rm -rf ~' && CODEX_HOME='/x y' codex resume 'a b'"
    assert os.sep == "/"
