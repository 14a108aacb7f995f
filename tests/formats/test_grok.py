"""Grok CLI's chat histories: what each item becomes, counted against the raw file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.formats.rows_driver import Read, read_file, read_rows
from turnfold.formats.registry import get_format
from turnfold.model.parts import BlobPart, ReasoningPart, ServerToolCallPart, ToolCallPart, ToolResultPart

ROLES = {"user": "user", "tool_result": "tool"}


@pytest.fixture(scope="module")
def corpus(shared_dir: Path) -> tuple[Read, list[dict[str, Any]]]:
    path = shared_dir / "data" / "transcripts" / "other" / "grok" / "chat_history.jsonl"
    return read_file("grok", path), [json.loads(line) for line in path.read_bytes().splitlines()]


def test_every_item_of_the_corpus_is_one_message_in_order(corpus: tuple[Read, list[dict[str, Any]]]) -> None:
    read, rows = corpus
    messages = read.messages()
    assert read.events[0].data == {"system_prompt": rows[0]["content"]}
    rows = rows[1:]
    assert [message.role for message in messages] == [ROLES.get(row["type"], "assistant") for row in rows]
    for message, row in zip(messages, rows, strict=True):
        if isinstance(row.get("content"), str) and row["type"] != "tool_result":
            assert message.text == row["content"]
        elif row["type"] == "user":
            assert message.text == "".join(block["text"] for block in row["content"] if block["type"] == "text")
    calls = [(part.id, part.name, part.arguments) for message in messages for part in message.tool_calls]
    assert calls == [(call["id"], call["name"], json.loads(call["arguments"])) for row in rows for call in row.get("tool_calls", ())]
    answers = [(part.id, part.response) for message in messages for part in message.tool_results]
    assert answers == [(row["tool_call_id"], row["content"]) for row in rows if row["type"] == "tool_result"]
    assert Counter(type(part) for message in messages for part in message.parts)[ReasoningPart] == 2
    assert read.written() == read.path.read_bytes()
    assert "opaque" not in read.types()


def test_reasoning_server_tools_and_images_of_the_corpus(corpus: tuple[Read, list[dict[str, Any]]]) -> None:
    read, rows = corpus
    (search,) = [part for part in read.all_parts("server_tool_call") if isinstance(part, ServerToolCallPart)]
    native = next(row["kind"] for row in rows if row["type"] == "backend_tool_call")
    assert (search.id, search.name, search.server_tool_call["action"]) == (native["id"], "web_search", native["action"])
    first = next(part for part in read.all_parts("reasoning") if isinstance(part, ReasoningPart))
    assert (first.encrypted, first.provider) == ("<opaque>", "xai")
    assert first.summary == ["The user wants a summary of hello.py without edits. I should read the file first."]
    (image,) = read.all_parts("blob")
    assert isinstance(image, BlobPart)
    assert (image.modality, image.mime_type, image.content) == ("image", "image/png", "<scrubbed>")
    turns = [(event.turn_count, event.visibility) for event in read.events if event.type == "message" and event.data["role"] == "user"]
    assert turns == [(0, "model"), (1, "both"), (1, "both")]
    assert read.titles() == ["Read hello.py and summarize what it prints without editing files."]
    assert {message.model for message in read.messages()[3:] if message.role == "assistant"} == {"grok-4.5"}


def test_the_summary_beside_the_file_says_what_when_and_where(tmp_path: Path) -> None:
    folder = tmp_path / ".grok" / "sessions" / "%2Fw" / "019f-1"
    folder.mkdir(parents=True)
    path = folder / "chat_history.jsonl"
    path.write_text('{"type":"user","content":[],"prompt_index":0}\n')
    summary = {"info": {"id": "019f-1", "cwd": "/w"}, "generated_title": "A title", "created_at": "2026-07-31T10:13:27.574131Z"}
    (folder / "summary.json").write_text(json.dumps(summary))
    grok = get_format("grok")
    assert list(grok.discover(tmp_path, {})) == [path]
    info = grok.describe(path, [])
    assert (info.native_id, info.title, info.metadata) == ("019f-1", "A title", {"cwd": "/w"})
    assert info.files == {"summary.json": json.dumps(summary)}
    read = Read(grok, path, [b'{"type":"user","content":[{"type":"text","text":"hi"}],"prompt_index":0}\n'])
    assert read.titles() == []
    assert info.created_us is not None
    assert {event.at_us for event in read.events} == {info.created_us}
    meta = folder.parent / "019f-0" / "subagents" / "019f-1" / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text('{"parent_session_id":"019f-0"}')
    assert grok.describe(path, []).parent == {"session_id": "019f-0", "relation": "subagent"}


def test_an_answer_with_images_and_arguments_that_are_no_json() -> None:
    call = {"type": "assistant", "content": "", "tool_calls": [{"id": "c", "name": "t", "arguments": "{oops"}], "model_id": "grok-5"}
    answer = {"type": "tool_result", "tool_call_id": "c", "content": "see", "images": ["data:image/png;base64,iVBORw0KGgo="]}
    read = read_rows("grok", [call, answer, {"type": "news"}])
    (asked,) = [part for part in read.all_parts("tool_call") if isinstance(part, ToolCallPart)]
    assert (asked.arguments, asked.arguments_raw) == (None, "{oops")
    (part,) = [part for part in read.all_parts("tool_call_response") if isinstance(part, ToolResultPart)]
    assert [item["type"] for item in part.response] == ["text", "blob"]
    assert read.events[-1].data == {"native_type": "news"}
