"""Amp's threads, from the shapes that other programs describe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.formats.rows_driver import Read, read_documents, read_rows
from turnfold.errors import FormatError
from turnfold.formats.amp import AmpFormat
from turnfold.formats.registry import detect
from turnfold.model.parts import BlobPart, ReasoningPart
from turnfold.model.usage import Usage

THREAD_ID = "T-550e8400-e29b-41d4-a716-446655440000"
USAGE = {"model": "claude-sonnet-5", "inputTokens": 10, "outputTokens": 3, "cacheCreationInputTokens": 5, "cacheReadInputTokens": 80}
IMAGE = {"type": "image", "source": {"type": "base64", "mediaType": "image/png", "data": "iVBORw0KGgo="}}


def thread(messages: list[Any], **more: Any) -> dict[str, Any]:
    platform = {"os": "linux", "client": "CLI", "clientVersion": "0.1"}
    tree = {"displayName": "w", "uri": "file:///projects/my%20w", "repository": {"type": "git", "url": "u", "ref": "main", "sha": "abc"}}
    fixed = {"v": 7, "id": THREAD_ID, "created": 1767865803494, "messages": messages, "title": "My thread"}
    return {**fixed, "env": {"initial": {"trees": [tree], "platform": platform}}, "~debug": {"x": 1}, **more}


def user(number: int, *blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "messageId": number, "content": list(blocks), "meta": {"sentAt": 1767865803494 + number}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


MESSAGES = [
    user(0, text("Look at this"), IMAGE),
    {
        "role": "assistant",
        "messageId": 1,
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
            text("I look."),
            {"type": "tool_use", "id": "c1", "name": "Bash", "input": {"cmd": "ls"}, "complete": True},
            {"type": "tool_use", "id": "c2", "name": "Read", "input": {"path": "a"}},
        ],
        "state": {"type": "complete", "stopReason": "tool_use"},
        "usage": USAGE,
    },
    user(
        2,
        {"type": "tool_result", "toolUseID": "c1", "run": {"status": "done", "result": {"output": "a.py", "exitCode": 2}}},
        {"type": "tool_result", "toolUseID": "c2", "run": {"status": "error", "error": {"message": "no such file"}}},
        text("and go on"),
    ),
    {"role": "info", "messageId": 3, "content": [{"type": "summary", "summary": {"type": "message", "summary": "So far."}}]},
    {"role": "oracle", "messageId": 4},
]


def write(folder: Path, value: Any) -> Path:
    path = folder / f"{THREAD_ID}.json"
    path.write_text(json.dumps(value, indent=2))
    return path


def read(folder: Path, value: Any) -> Read:
    path = write(folder, value)
    found = detect(path)
    assert found is not None
    assert found.name == "amp"
    (only,) = read_documents("amp", path).values()
    return only


def test_a_thread_with_its_messages_calls_answers_and_facts(tmp_path: Path) -> None:
    only = read(tmp_path, thread(MESSAGES))
    asked, answer, tools, more = only.messages()
    assert isinstance(asked.parts[1], BlobPart)
    thought = answer.parts[0]
    assert isinstance(thought, ReasoningPart)
    assert (thought.content, thought.signature, answer.text) == ("Hm.", "sig", "I look.")
    assert [(call.id, call.name, call.arguments) for call in answer.tool_calls] == [
        ("c1", "Bash", {"cmd": "ls"}),
        ("c2", "Read", {"path": "a"}),
    ]
    assert (answer.model, answer.finish_reason, answer.usage) == (
        "claude-sonnet-5",
        "tool_call",
        Usage(95, 3, 80, 5, model="claude-sonnet-5"),
    )
    first, second = tools.tool_results
    assert (first.id, first.response, first.is_error, first.exit_code) == ("c1", "a.py", False, 2)
    assert first.detail == {"exitCode": 2}
    assert (second.id, second.response, second.is_error) == ("c2", "no such file", True)
    assert (more.role, more.text) == ("user", "and go on")
    assert only.types() == ["settings", "message", "message", "message", "message", "compaction", "opaque", "title"]
    assert only.titles() == ["My thread"]
    assert [event.turn_count for event in only.events if event.type == "message"] == [1, 0, 0, 1]
    assert (only.info.native_id, only.info.version, only.info.created_us) == (THREAD_ID, "0.1", 1767865803494000)
    assert only.info.metadata == {"cwd": "/projects/my w", "git_branch": "main", "git_commit": "abc", "repository": "u"}
    assert only.written() == b"".join(only.lines)


def test_the_lines_hold_the_whole_thread_and_what_changes_comes_last(tmp_path: Path) -> None:
    value = thread(MESSAGES)
    (document,) = AmpFormat().documents(write(tmp_path, value))
    header, *messages, changes = [json.loads(line) for line in document.lines]
    assert {**header["amp"], "messages": messages, **changes["$set"]} == value
    (grown,) = AmpFormat().documents(write(tmp_path, thread([*MESSAGES, user(5, text("more"))], v=9, title="Other")))
    assert grown.lines[: document.settled_count] == document.lines[: document.settled_count]


def test_broken_threads_are_refused_or_kept_in_parts(tmp_path: Path) -> None:
    path = write(tmp_path, thread([3, user(0, text("hi"))]))
    (only,) = read_documents("amp", path).values()
    assert only.problems == ["a JSON value that is no object"]
    path.write_text('{"id": "')
    with pytest.raises(FormatError, match="T-550e"):
        list(AmpFormat().documents(path))


def test_strange_blocks_stay_as_they_are() -> None:
    blocks = [{"type": "new"}, 3, {"type": "image", "source": {}}, {"type": "tool_result", "run": {"progress": ["a", "b"]}}]
    only = read_rows("amp", [{"role": "user", "content": blocks}, {"role": "assistant", "content": "plain"}])
    assert [part.type for message in only.messages() for part in message.parts] == [
        "tool_call_response",
        "opaque",
        "opaque",
        "opaque",
        "text",
    ]


def test_files_are_found_where_the_tool_puts_them(tmp_path: Path) -> None:
    folder = tmp_path / ".local/share/amp/threads"
    folder.mkdir(parents=True)
    path = write(folder, thread([]))
    assert list(AmpFormat().discover(tmp_path, {})) == [path]
    assert list(AmpFormat().discover(tmp_path, {"XDG_DATA_HOME": str(tmp_path / ".local/share")})) == [path]
