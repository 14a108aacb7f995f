"""Pi's session files: what each entry becomes, counted against the raw file, and where its tree goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.formats.rows_driver import read_file, read_rows
from turnfold.formats.registry import get_format
from turnfold.model.parts import BlobPart, ReasoningPart, ToolCallPart
from turnfold.model.usage import Usage

HEADER = {"type": "session", "version": 3, "id": "s-1", "timestamp": "2026-03-01T10:00:00.000Z", "cwd": "/w"}


def entry(kind: str, id: str, parent: str | None, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": id, "parentId": parent, "timestamp": "2026-03-01T10:00:01.000Z", **fields}


def say(role: str, text: str, id: str, parent: str | None, **fields: Any) -> dict[str, Any]:
    return entry("message", id, parent, message={"role": role, "content": [{"type": "text", "text": text}], **fields})


def test_every_message_of_the_corpus_is_there_with_its_facts(shared_dir: Path) -> None:
    path = shared_dir / "data" / "transcripts" / "other" / "pi" / "small.jsonl"
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    read = read_file("pi", path)
    said = [row["message"] for row in rows if row["type"] == "message"]
    messages = read.messages()
    assert [(m.role, m.text, m.model) for m in messages] == [(m["role"], m["content"][0]["text"], m.get("model")) for m in said]
    assert read.usage() == Usage(24, 14)
    assert messages[1].usage == Usage(12, 7, model="pi-fixture-model")
    assert (messages[1].provider, messages[1].finish_reason, messages[1].response_id) == ("pi-fixture", "stop", "chatcmpl-pi-fixture")
    assert read.titles() == ["Read hello.py and summarize what it prints without editing files."]
    assert (read.info.native_id, read.info.metadata) == ("019e19b4-eb48-746a-aa6b-8dfcfa37954b", {"cwd": rows[0]["cwd"]})
    assert read.written() == path.read_bytes()
    assert list(read.branches) == []
    compactions = [event.data for event in read.events if event.type == "compaction"]
    seqs = [event.seq for event in read.events if event.type == "message"]
    assert [data["keeps"] for data in compactions] == [seqs[:2], seqs]  # the first entry of all is the first that Pi kept
    assert "opaque" not in read.types()


def test_branches_follow_the_tree_and_the_last_line_is_the_leaf() -> None:
    rows = [
        HEADER,
        say("user", "go", "1", None),
        say("assistant", "left", "2", "1"),
        say("user", "left on", "3", "2"),
        say("assistant", "right", "4", "1"),
        entry("branch_summary", "5", "1", fromId="4", summary="Went right."),
        say("user", "third", "6", "5"),
    ]
    read = read_rows("pi", rows)
    assert [message.text for message in read.messages("main")] == ["go", "left", "left on"]
    assert [message.text for message in read.messages("b-4")] == ["go", "right"]
    assert [message.text for message in read.messages()] == ["go", "Went right.", "third"]
    assert read.active == "b-5"
    assert read.written() == b"".join(read.lines)
    anew = read_rows("pi", [*rows, say("user", "from nothing", "7", None)])
    assert [message.text for message in anew.messages()] == ["from nothing"]


def test_a_parallel_call_makes_no_branch_and_answers_are_paired() -> None:
    calls = [{"type": "toolCall", "id": f"c{n}", "name": "read", "arguments": {"path": f"{n}"}} for n in (1, 2)]
    image = {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}
    think = {"type": "thinking", "thinking": "Hm.", "thinkingSignature": "sig"}
    rows = [
        HEADER,
        entry("message", "1", None, message={"role": "user", "content": [{"type": "text", "text": "see"}, image]}),
        entry(
            "message",
            "2",
            "1",
            message={"role": "assistant", "content": [think, *calls], "provider": "anthropic", "model": "m", "stopReason": "toolUse"},
        ),
        say("toolResult", "a", "3", "2", toolCallId="c1", isError=False, details={"lines": 1}),
        entry("message", "4", "2", message={"role": "toolResult", "toolCallId": "c2", "content": [image], "isError": True}),
        say("assistant", "done", "5", "4"),
    ]
    read = read_rows("pi", rows)
    assert list(read.branches) == []
    user, asked, first, second, done = read.messages()
    assert isinstance(user.parts[1], BlobPart)
    thought = asked.parts[0]
    assert isinstance(thought, ReasoningPart)
    assert (thought.content, thought.signature, thought.provider) == ("Hm.", "sig", "anthropic")
    assert [part.arguments for part in asked.tool_calls] == [{"path": "1"}, {"path": "2"}]
    (answer,), (other,) = first.tool_results, second.tool_results
    assert (answer.id, answer.response, answer.is_error, answer.detail) == ("c1", "a", False, {"lines": 1})
    assert (other.id, other.is_error, other.response[0]["type"]) == ("c2", True, "blob")
    assert (asked.finish_reason, done.text) == ("tool_call", "done")


def test_usage_holds_cached_tokens_and_the_cost() -> None:
    usage = {"input": 10, "output": 3, "cacheRead": 80, "cacheWrite": 5, "totalTokens": 98, "cost": {"total": 0.0125}}
    read = read_rows("pi", [HEADER, say("assistant", "x", "1", None, model="m", usage=usage)])
    assert read.usage().numbers() == (95, 3, 80, 5, 0, 12_500)


def test_commands_of_the_person_extensions_names_and_labels() -> None:
    bash = {"role": "bashExecution", "command": "ls", "output": "a\n", "exitCode": 1, "cancelled": False, "truncated": False}
    rows = [
        HEADER,
        entry("message", "1", None, message=bash),
        entry("message", "2", "1", message={**bash, "excludeFromContext": True}),
        entry("custom_message", "3", "2", customType="ext", content="Injected.", display=False),
        entry("session_info", "4", "3", name="My session"),
        entry("label", "5", "4", targetId="1", label="here"),
        entry("custom", "6", "5", customType="ext", data={"n": 1}),
        entry("news", "7", "6"),
    ]
    read = read_rows("pi", rows)
    call, answer = read.messages()[:2]
    (asked,), (told,) = call.tool_calls, answer.tool_results
    assert isinstance(asked, ToolCallPart)
    assert (asked.arguments, told.id, told.response, told.exit_code, told.is_error) == ({"command": "ls"}, asked.id, "a\n", 1, True)
    events = read.events
    assert [event.visibility for event in events if event.type == "message"] == ["both", "both", "ui", "ui", "model"]
    assert {event.message_id for event in events[1:3]} == {"1"}
    assert read.titles() == ["My session"]
    assert read.types()[-4:] == ["title", "context", "context", "opaque"]
    assert read.written() == b"".join(read.lines)


def test_a_compaction_keeps_what_is_behind_the_first_kept_entry() -> None:
    rows = [HEADER, *(say("user", f"m{n}", f"{n}", f"{n - 1}" if n else None) for n in range(4))]
    read = read_rows("pi", [*rows, entry("compaction", "9", "3", summary="Earlier.", firstKeptEntryId="2", tokensBefore=70)])
    (done,) = [event for event in read.events if event.type == "compaction"]
    assert done.data == {"summary": "Earlier.", "first_seq": 1, "last_seq": 6, "keeps": [5, 6], "pre_tokens": 70}


def test_the_first_version_has_no_tree() -> None:
    header = {
        "type": "session",
        "id": "s-1",
        "timestamp": "2024-12-03T14:00:00.000Z",
        "cwd": "/w",
        "branchedFrom": "/x/2024-12-03_s-0.jsonl",
    }
    lines = [
        {"type": "message", "timestamp": "2024-12-03T14:00:01.000Z", "message": {"role": "user", "content": text}} for text in ("a", "b")
    ]
    read = read_rows("pi", [header, *lines])
    assert [message.text for message in read.messages()] == ["a", "b"]
    assert read.info.parent == {"session_id": "s-0", "relation": "fork"}


def test_files_are_found_where_the_tool_puts_them(tmp_path: Path) -> None:
    path = tmp_path / ".pi/agent/sessions/--w--/2026-03-01T10-00-00-000Z_s-1.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(HEADER))
    found = get_format("pi")
    assert list(found.discover(tmp_path, {})) == [path]
    assert list(found.discover(tmp_path, {"PI_CODING_AGENT_DIR": str(tmp_path / ".pi/agent")})) == [path]
    assert found.describe(path, []).native_id == "s-1"
