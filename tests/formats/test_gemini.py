"""Gemini CLI's sessions: records as its recording service writes them, and the documents of old counted against the raw file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.formats.rows_driver import Read, read_documents, read_rows
from turnfold.errors import FormatError
from turnfold.formats.base import DocumentFormat
from turnfold.formats.registry import detect, get_format
from turnfold.model.message import Message
from turnfold.model.parts import BlobPart, OpaquePart, ReasoningPart, ServerToolCallPart, ServerToolResultPart, TextPart, ToolCallPart
from turnfold.model.usage import Usage

HEADER = {"sessionId": "s-1", "projectHash": "abc", "startTime": "2026-03-01T10:00:00.000Z", "lastUpdated": "2026-03-01T10:00:00.000Z"}
TOKENS = {"input": 100, "output": 10, "cached": 40, "thoughts": 7, "tool": 2, "total": 119}
PNG = "iVBORw0KGgo="


def record(kind: str, id: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"id": id, "timestamp": "2026-03-01T10:00:01.000Z", "type": kind, "content": content, **fields}


def call(id: str, output: str | None = None, **fields: Any) -> dict[str, Any]:
    result = None if output is None else [{"functionResponse": {"id": id, "name": "ls", "response": {"output": output}}}]
    return {
        "id": id,
        "name": "ls",
        "args": {"path": "."},
        "status": "success",
        "timestamp": "2026-03-01T10:00:02.000Z",
        "result": result,
        **fields,
    }


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


# ---- JSON Lines ----------------------------------------------------------------------------------------------------------------------


def test_a_message_that_grows_is_one_message_and_its_usage_counts_once() -> None:
    thought = {"subject": "Looking", "description": "I look.", "timestamp": "2026-03-01T10:00:01.000Z"}
    first = record("gemini", "m2", "I look.", thoughts=[thought], tokens=None, model="gemini-3")
    asked = {**first, "tokens": TOKENS, "toolCalls": [call("c1")]}
    rows = [
        HEADER,
        record("user", "m1", [{"text": "go"}]),
        first,
        {**first, "tokens": TOKENS},
        asked,
        {**asked, "toolCalls": [call("c1", "a.py")]},
    ]
    read = read_rows("gemini", [*rows, {"$set": {"lastUpdated": "2026-03-01T10:00:09.000Z"}}])
    assert read.written() == b"".join(read.lines)
    user, model, tool = read.messages()
    assert (user.text, model.text, model.model, model.provider) == ("go", "I look.", "gemini-3", "google")
    assert [part.type for part in model.parts] == ["reasoning", "text", "tool_call"]
    thinking = model.parts[0]
    assert isinstance(thinking, ReasoningPart)
    assert (thinking.summary, thinking.content) == (["Looking"], "I look.")
    (answer,) = tool.tool_results
    assert (answer.id, answer.response, answer.is_error) == ("c1", "a.py", False)
    assert read.usage() == Usage(102, 17, 40, 0, 7)
    assert read.types() == ["settings", "message", "message", "message", "message", "message", "settings", "title"]
    assert model.usage == Usage(102, 17, 40, 0, 7, model="gemini-3")
    assert {event.message_id for event in read.events if event.type == "message"} == {"m1", "m2"}
    assert sum(event.message_count for event in read.events) == 3


def test_a_message_whose_text_changed_is_said_anew() -> None:
    old, new = record("gemini", "m2", "Old.", tokens=TOKENS), record("gemini", "m2", "New.", tokens={**TOKENS, "output": 12})
    read = read_rows("gemini", [HEADER, record("user", "m1", "go"), old, new])
    assert texts(read.messages()) == ["go", "New."]
    assert read.usage().output_tokens == 19


def test_a_rewind_takes_everything_from_that_message_on() -> None:
    rows = [
        HEADER,
        record("user", "m1", "one"),
        record("gemini", "m2", "a", toolCalls=[call("c", "x")]),
        record("user", "m3", "two"),
        {"$rewindTo": "m2"},
    ]
    read = read_rows("gemini", [*rows, record("user", "m4", "three")])
    assert texts(read.messages()) == ["one", "three"]
    assert texts(read_rows("gemini", [*rows, {"$rewindTo": "gone"}, record("user", "m4", "anew")]).messages()) == ["anew"]


def test_a_rewind_finds_a_message_of_long_ago() -> None:
    rows = [HEADER, *(record("user", f"m{n}", f"{n}") for n in range(200)), {"$rewindTo": "m3"}]
    assert texts(read_rows("gemini", rows).messages()) == ["0", "1", "2"]


def test_the_whole_conversation_once_more_is_masking_or_a_compaction() -> None:
    rows = [HEADER, record("user", "m1", "one"), record("gemini", "m2", "a"), record("user", "m3", "two")]
    masked = read_rows(
        "gemini", [*rows, {"$set": {"messages": [record("user", "m1", "one"), record("gemini", "m2", "(masked)"), rows[3]]}}]
    )
    assert texts(masked.messages()) == ["one", "a", "two"]
    assert masked.types()[-2:] == ["context", "title"]
    summary = [record("user", "sum", "All so far."), record("gemini", "ack", "Got it."), rows[3]]
    compacted = read_rows(
        "gemini", [*rows, {"$set": {"messages": summary}}, record("user", "m4", "on"), {"$set": {"messages": [*summary, rows[1]]}}]
    )
    done = [event.data for event in compacted.events if event.type == "compaction"]
    assert done == [{"summary": "All so far.\n\nGot it.", "first_seq": 1, "last_seq": 5, "keeps": [5]}]


def test_what_the_cli_injects_or_hears_itself_is_no_turn() -> None:
    rows = [
        HEADER,
        record("user", "m1", "<session_context>\nToday …"),
        record("user", "m2", "/help"),
        record("info", "m3", "Request cancelled."),
        record("error", "m4", "Quota."),
        record("user", "m5", "real"),
        {"$set": {"summary": "What it is about"}},
        {"strange": 1},
        record("telepathy", "m6", "?"),
    ]
    read = read_rows("gemini", rows)
    assert [(e.turn_count, e.visibility) for e in read.events if e.type == "message"] == [(0, "model"), (0, "ui"), (1, "both")]
    assert read.types() == ["settings", "message", "message", "context", "run.error", "message", "title", "opaque", "opaque"]
    assert read.titles() == ["What it is about"]


def test_parts_of_the_api_in_contents_and_answers() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    content = [
        {"text": "Hm.", "thought": True, "thoughtSignature": "sig"},
        {"text": "See"},
        {"functionCall": {"name": "ls", "args": {}}, "thoughtSignature": "s2"},
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"fileData": {"fileUri": "gs://x", "mimeType": "application/pdf"}},
        {"newKind": 1},
    ]
    result = [{"functionResponse": {"id": "c1", "name": "ls", "response": {"output": "ok"}}}, image]
    record_of_call = {**call("c1"), "result": result}
    model = record("gemini", "m2", content, thoughts=[{"subject": "s", "description": "twin"}], toolCalls=[record_of_call])
    read = read_rows("gemini", [HEADER, record("user", "m1", [{"text": "look"}, image]), model])
    user, shown, tool = read.messages()
    assert isinstance(user.parts[1], BlobPart)
    kinds = [ReasoningPart, TextPart, ToolCallPart, ServerToolCallPart, ServerToolResultPart]
    assert [type(part) for part in shown.parts[:5]] == kinds
    assert [part.type for part in shown.parts[5:]] == ["uri", "opaque"]
    (asked,), (answer,) = shown.tool_calls, tool.tool_results
    assert (asked.id, asked.ext, answer.id) == ("c1", {"signature": "s2"}, "c1")
    assert [part["type"] for part in answer.response] == ["text", "blob"]
    assert isinstance(shown.parts[-1], OpaquePart)


def test_an_error_and_a_structured_answer() -> None:
    failed = {**call("c1"), "status": "error", "result": [{"functionResponse": {"id": "c1", "response": {"error": "No such file"}}}]}
    twin = call("c5", "same", resultDisplay="same")
    shell = call("c4", "Command: ls x\nOutput: (empty)\nError: no x\nExit Code: 2\nSignal: (none)")
    table = {**call("c2"), "result": [{"functionResponse": {"id": "c2", "response": {"rows": [1]}}}]}
    bare = {**call("c3"), "result": "text", "resultDisplay": {"fileDiff": "+x"}}
    read = read_rows("gemini", [HEADER, record("gemini", "m1", "", toolCalls=[failed, table, bare, shell, twin])])
    answers = read.messages()[1].tool_results
    assert [part.exit_code for part in answers] == [None, None, None, 2, None]
    assert [part.detail for part in answers] == [None, None, {"fileDiff": "+x"}, None, None]
    assert [(part.id, part.response, part.is_error) for part in answers[:3]] == [
        ("c1", "No such file", True),
        ("c2", {"rows": [1]}, False),
        ("c3", "text", False),
    ]


def test_an_old_session_carried_over_in_its_first_line() -> None:
    read = read_rows(
        "gemini", [{**HEADER, "messages": [record("user", "m1", "one"), record("gemini", "m2", "a")]}, record("user", "m3", "two")]
    )
    assert texts(read.messages()) == ["one", "a", "two"]
    assert read.written() == b"".join(read.lines)


def test_files_are_found_and_subagents_belong_to_their_parent(tmp_path: Path) -> None:
    chats = tmp_path / ".gemini" / "tmp" / "project" / "chats"
    main, sub, old, carried = chats / "session-1.jsonl", chats / "s-1" / "sub.jsonl", chats / "session-0.json", chats / "session-1.json"
    sub.parent.mkdir(parents=True)
    for path, facts in (
        (main, HEADER),
        (sub, {**HEADER, "sessionId": "sub", "kind": "subagent", "directories": ["/w"]}),
        (old, HEADER),
        (carried, HEADER),
    ):
        path.write_text(json.dumps(facts) + "\n")
    gemini, documents = get_format("gemini"), get_format("gemini-json")
    assert sorted(gemini.discover(tmp_path, {})) == sorted([main, sub])
    assert list(documents.discover(tmp_path, {})) == [old]
    assert gemini.companions(main) == [sub]
    info = gemini.describe(sub, sub.read_bytes().splitlines(keepends=True))
    assert (info.native_id, info.parent) == ("s-1/subagents/sub", {"session_id": "s-1", "relation": "subagent"})
    assert info.metadata == {"project_hash": "abc", "cwd": "/w"}
    assert (gemini.export_name("s-1"), gemini.export_name(info.native_id)) == ("session-1970-01-01T00-00-s-1.jsonl", "s-1/sub.jsonl")


# ---- documents -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def old(shared_dir: Path) -> tuple[Read, dict[str, Any]]:
    path = shared_dir / "data" / "transcripts" / "other" / "gemini" / "large.json"
    (read,) = read_documents("gemini-json", path).values()
    return read, json.loads(path.read_bytes())


def test_every_message_call_and_answer_of_a_document_is_there_once(old: tuple[Read, dict[str, Any]]) -> None:
    read, raw = old
    said = [message for message in raw["messages"] if message["type"] in {"user", "gemini", "model"}]
    calls = [item for message in said for item in message.get("toolCalls", ())]
    messages = read.messages()
    assert [message.text for message in messages if message.text] == [
        text for message in said if (text := message.get("content") or "".join(part["text"] for part in message.get("parts", ())))
    ]
    assert [part.id for message in messages for part in message.tool_calls] == [item["id"] for item in calls]
    answers = [(part.id, part.response) for message in messages for part in message.tool_results]
    assert answers == [(item["id"], item["result"][0]["functionResponse"]["response"]["output"]) for item in calls]
    thoughts = [part.content for part in read.all_parts("reasoning") if isinstance(part, ReasoningPart)]
    assert thoughts == [thought["description"] for message in said for thought in message.get("thoughts", ())]
    assert read.usage() == Usage(100, 10)
    assert {message.model for message in messages if message.model} == {"gemini-3-flash-preview"}
    assert [event.data["content"] for event in read.events if event.type == "context"] == ["Request cancelled."]
    assert read.info.native_id == raw["sessionId"]
    assert "opaque" not in read.types()


def test_the_lines_of_a_document_hold_all_of_it_and_what_may_change_comes_last(old: tuple[Read, dict[str, Any]]) -> None:
    read, raw = old
    header, *messages, changes = [json.loads(line) for line in read.lines]
    assert messages == raw["messages"]
    assert {**header, "messages": messages, **changes["$set"]} == raw
    found = get_format("gemini-json")
    assert isinstance(found, DocumentFormat)
    (document,) = found.documents(read.path)
    assert document.settled_count == len(read.lines) - 2


def test_a_saved_conversation_is_read_with_and_without_its_wrapper(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [{"text": "I look."}, {"functionCall": {"id": "c1", "name": "ls", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "ls", "response": {"output": "a"}}}]},
    ]
    for name, value in (("checkpoint-new.json", {"history": turns, "authType": "x"}), ("checkpoint-old.json", turns)):
        path = tmp_path / name
        path.write_text(json.dumps(value, indent=2))
        found = detect(path)
        assert found is not None
        assert found.name == "gemini-json"
        (read,) = read_documents("gemini-json", path).values()
        assert [message.role for message in read.messages()] == ["user", "assistant", "tool"]
        assert read.info.native_id[9:] == path.stem
        assert read.titles() == ["go"]


def test_broken_documents_are_refused_or_kept_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "session-1.json"
    found = get_format("gemini-json")
    assert isinstance(found, DocumentFormat)
    path.write_text('{"sessionId": "s", "messages": [')
    with pytest.raises(FormatError, match="session-1"):
        list(found.documents(path))
    path.write_text(json.dumps({**HEADER, "messages": [record("user", "m1", "hi"), 3, None]}))
    (read,) = read_documents("gemini-json", path).values()
    assert read.problems == ["a JSON value that is no object"] * 2
    path.write_text(json.dumps({**HEADER, "messages": "none"}))
    (read,) = read_documents("gemini-json", path).values()
    assert read.problems == ["it is no list"]
