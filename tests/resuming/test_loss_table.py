"""Claude Code → Codex → Claude Code: what the specification of the conversion says is kept is kept, what is lost is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.resuming.native import lines_of, read
from turnfold import Client, Resumption, connect, connect_async

SESSION = "11111111-2222-4333-8444-555555555555"
PNG = "iVBORw0KGgo="


def line(number: int, kind: str, parent: int | None, **fields: Any) -> dict[str, Any]:
    """One line of a chain."""
    return {
        "parentUuid": None if parent is None else f"u{parent}",
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/me/app",
        "sessionId": SESSION,
        "version": "2.1.40",
        "gitBranch": "dev",
        "type": kind,
        **fields,
        "uuid": f"u{number}",
        "timestamp": f"2026-05-01T10:00:{number:02d}.250Z",
    }


def answer(number: int, parent: int, *blocks: dict[str, Any], message_id: str) -> dict[str, Any]:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3, "output_tokens": 7}
    usage["cache_creation"] = {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}  # type: ignore[assignment]
    message = {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-6",
        "content": list(blocks),
        "usage": usage,
    }
    return line(number, "assistant", parent, message=message)


def said(number: int, parent: int | None, content: Any, **fields: Any) -> dict[str, Any]:
    return line(number, "user", parent, message={"role": "user", "content": content}, **fields)


def source() -> list[dict[str, Any]]:
    """A session with one of everything."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    thinking = {"type": "thinking", "thinking": "hm", "signature": "SIGNATURE"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a.py", "is_error": False}
    return [
        {"type": "file-history-snapshot", "messageId": "m", "snapshot": {"trackedFileBackups": {"a.py": {}}}, "isSnapshotUpdate": False},
        said(1, None, "before"),
        answer(2, 1, {"type": "text", "text": "early"}, message_id="msg_0"),
        line(
            3,
            "system",
            None,
            subtype="compact_boundary",
            content="Conversation compacted",
            logicalParentUuid="u2",
            compactMetadata={"trigger": "auto"},
        ),
        said(4, 3, "SUMMARY", isCompactSummary=True),
        said(5, 4, [{"type": "text", "text": "look"}, image]),
        answer(6, 5, thinking, message_id="msg_1"),
        answer(7, 6, call, message_id="msg_1"),
        line(8, "progress", 7, data={"type": "bash_progress", "output": "…"}, toolUseID="x", parentToolUseID="toolu_1"),
        said(9, 8, [result], toolUseResult={"stdout": "a.py"}, permissionDecision={"decision": "allow"}),
        line(10, "system", 9, subtype="stop_hook_summary", hookCount=1, hookInfos=[{"command": "x"}]),
        line(11, "attachment", 10, attachment={"type": "skill_listing", "content": "skills"}, rendered=[{"content": "skills"}]),
        answer(12, 11, {"type": "text", "text": "other end"}, message_id="msg_2"),
        said(13, 9, "a branch"),
        answer(14, 13, {"type": "text", "text": "the end"}, message_id="msg_3"),
        {"type": "custom-title", "customTitle": "Everything", "sessionId": SESSION},
    ]


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The session's file."""
    path = tmp_path / f"{SESSION}.jsonl"
    path.write_text("".join(json.dumps(one, separators=(",", ":")) + "\n" for one in source()))
    return path


def carried(path: Path, tool: str, folder: Path) -> tuple[Client, Resumption]:
    client = connect("memory://")
    (session_id,) = client.import_files([path]).session_ids
    return client, client.resume_with(session_id, tool, home=folder / tool, cwd=folder)


def test_the_loss_table(there: Path, tmp_path: Path) -> None:
    client, rollout = carried(there, "codex", tmp_path)
    assert {kind: loss["count"] for kind, loss in rollout.losses.items()} == {
        "other branches": 1,
        "reasoning parts of another provider": 1,
        "structured details of tool results": 1,
        "snapshots of files": 1,
        "records of tools at work": 1,
    } | {
        kind: loss["count"]
        for kind, loss in rollout.losses.items()
        if kind in {"records of hooks", "lines that the tool injects about itself"}
    }
    first = client.find(SESSION)
    other, back = carried(Path(rollout.path), "claude", tmp_path)

    lines = lines_of(Path(back.path))
    contents = [one["message"]["content"] for one in lines if "message" in one]
    texts = [block["text"] for content in contents if isinstance(content, list) for block in content if block["type"] == "text"]
    plain = [content for content in contents if isinstance(content, str) and not content.startswith("<carried_over")]
    assert (plain, texts) == (["before", "SUMMARY", "a branch"], ["early", "look", "the end"])  # order, and the last branch
    kept = read(Path(back.path))
    assert list(kept.calls) == [("toolu_1", "Bash", '{"command": "ls"}')]
    assert list(kept.results) == [("toolu_1", ("a.py",), False)]
    assert sum(kept.images.values()) == 1
    assert list(kept.summaries) == ["SUMMARY"]
    assert lines[-1]["customTitle"] == "Everything"
    at = {
        text: one["timestamp"] for one in lines if "message" in one for text in ("before", "the end") if text in json.dumps(one["message"])
    }
    assert at == {"before": "2026-05-01T10:00:01.250Z", "the end": "2026-05-01T10:00:14.250Z"}
    assert {one["cwd"] for one in lines if "cwd" in one} == {str(tmp_path)}
    assert {one["gitBranch"] for one in lines if "gitBranch" in one} == {"dev"}
    usage = other.find(rollout.native_id).usage
    assert usage.numbers()[:4] == (18 * 3, 7 * 3, 5 * 3, 3 * 3)  # without the answer of the other branch
    assert first.usage.numbers()[:2] == (18 * 4, 7 * 4)
    assert {one["message"]["model"] for one in lines if one["type"] == "assistant"} == {"claude-opus-4-6"}

    text = Path(back.path).read_text()
    lost = (
        "SIGNATURE",
        "toolUseResult",
        "stop_hook_summary",
        "skills",
        "bash_progress",
        "file-history",
        "other end",
        "ephemeral",
        "permissionDecision",
    )
    assert [word for word in lost if word in text] == []


def test_what_is_lost_is_still_here(there: Path, tmp_path: Path) -> None:
    client, _ = carried(there, "codex", tmp_path)
    client.export(SESSION, tmp_path / "again.jsonl", format="claude-code")
    assert (tmp_path / "again.jsonl").read_bytes() == there.read_bytes()


def test_a_session_without_a_folder_goes_on_in_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def run() -> Resumption:
        async with connect_async("memory://") as client:
            session = await client.open("mine")
            from turnfold import user

            await session.append(user("hello"))
            return await client.resume_with("mine", "claude", home=tmp_path / "c")

    done = asyncio.run(run())
    assert (done.cwd, done.linked) == (str(tmp_path), True)
    assert {one["cwd"] for one in lines_of(Path(done.path)) if "cwd" in one} == {str(tmp_path)}
