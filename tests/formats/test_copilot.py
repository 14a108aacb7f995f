"""Copilot CLI's event files: what each line becomes, counted against the raw file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.formats.rows_driver import Read, read_file, read_rows
from turnfold.formats.registry import get_format
from turnfold.model.parts import BlobPart, OpaquePart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart, UriPart
from turnfold.model.usage import Usage

PNG = "iVBORw0KGgo="


def row(kind: str, data: Any, number: int = 1, **more: Any) -> dict[str, Any]:
    fields = {"type": kind, "data": data, "id": f"e{number}", "timestamp": f"2026-03-01T10:00:{number:02d}.000Z"}
    return {**fields, "parentId": f"e{number - 1}" if number > 1 else None, **more}


START = row(
    "session.start", {"sessionId": "s-1", "version": 1, "copilotVersion": "1.0.77", "selectedModel": "gpt-5", "context": {"cwd": "/w"}}
)


def user(text: str, number: int = 2, **more: Any) -> dict[str, Any]:
    return row("user.message", {"content": text, "attachments": [], "interactionId": "i1", **more}, number)


def assistant(text: str, number: int = 3, **more: Any) -> dict[str, Any]:
    return row("assistant.message", {"content": text, "messageId": f"m{number}", "toolRequests": [], "interactionId": "i1", **more}, number)


@pytest.fixture(scope="module", params=["small.jsonl", "agentv-2426852d.jsonl"])
def corpus(request: pytest.FixtureRequest, shared_dir: Path) -> tuple[Read, list[dict[str, Any]]]:
    path = shared_dir / "data" / "transcripts" / "other" / "copilot-cli" / request.param
    return read_file("copilot", path), [json.loads(line) for line in path.read_bytes().splitlines()]


def test_every_message_call_and_answer_of_the_corpus_is_there_once(corpus: tuple[Read, list[dict[str, Any]]]) -> None:
    read, rows = corpus
    count = Counter(fields["type"] for fields in rows)
    messages = read.all_messages()
    roles = Counter(message.role for message in messages)
    assert roles["user"] == count["user.message"] + count["system.notification"]
    prompts = [event.data["system_prompt"] for event in read.events if event.type == "session.updated"]
    assert prompts == [fields["data"]["content"] for fields in rows if fields["type"] == "system.message"]
    assert roles["assistant"] == count["assistant.message"] + count["assistant.reasoning"]
    assert roles["tool"] == count["tool.execution_complete"]
    said = [fields["data"] for fields in rows if fields["type"] == "assistant.message"]
    assert [part.id for part in read.all_parts("tool_call") if isinstance(part, ToolCallPart)] == [
        call["toolCallId"] for data in said for call in data["toolRequests"]
    ]
    texts = {data["content"] for fields in rows if "content" in (data := fields["data"]) and data["content"]}
    shown = set(prompts) | {
        part.content for part in [*read.all_parts("text"), *read.all_parts("reasoning")] if isinstance(part, TextPart | ReasoningPart)
    }
    assert texts <= shown
    answers = [part.response for part in read.all_parts("tool_call_response") if isinstance(part, ToolResultPart)]
    assert answers == [fields["data"]["result"]["content"] for fields in rows if fields["type"] == "tool.execution_complete"]
    assert "opaque" not in read.types()
    assert read.problems == []


def test_every_line_comes_back(corpus: tuple[Read, list[dict[str, Any]]]) -> None:
    read, rows = corpus
    assert read.written() == read.path.read_bytes()
    assert sum(item.event.source is not None for item in read.projected) == len(rows)


def test_a_real_session_has_its_facts_usage_and_title(shared_dir: Path) -> None:
    path = shared_dir / "data" / "transcripts" / "other" / "copilot-cli" / "agentv-2426852d.jsonl"
    read = read_file("copilot", path)
    assert read.info.native_id == "2426852d-6cf5-4e90-be9f-e45fc6c7d5e4"
    assert read.info.version == "1.0.64-1"
    assert read.info.metadata["git_branch"] == "fix/suite-yaml-examples"
    assert read.usage().numbers() == (12847, 101, 0, 0, 94, 0)
    assert {item.event.usage.model for item in read.projected if item.event.usage} == {"gpt-5.3-codex-spark"}
    assert read.titles() == [
        "[[ ## user_query ## ]] @[System]: Respond with exactly PASS. No punctuation, explanation, markdown, or extra text.…"
    ]
    assert [event.turn_count for event in read.events if event.type == "message"] == [1, 0]


def test_a_call_and_its_answer_are_paired_and_their_facts_kept() -> None:
    call = {"toolCallId": "c1", "name": "shell", "arguments": '{"command": "ls"}', "intentionSummary": "look", "type": "function"}
    result = {"content": "a\n", "contents": [{"type": "shell_exit", "exitCode": 2, "shellId": "1"}]}
    read = read_rows(
        "copilot",
        [
            START,
            user("go"),
            assistant("", toolRequests=[call]),
            row("tool.execution_complete", {"toolCallId": "c1", "success": False, "result": result}, 4),
        ],
    )
    asked, answered = read.messages()[1:]
    (part,) = asked.tool_calls
    assert (part.arguments, part.arguments_raw, part.ext) == ({"command": "ls"}, '{"command": "ls"}', {"intention": "look"})
    (answer,) = answered.tool_results
    assert (answer.id, answer.response, answer.is_error, answer.exit_code) == ("c1", "a\n", True, 2)
    assert answer.detail == {"contents": result["contents"]}


def test_media_and_files_of_messages_and_answers() -> None:
    attachments = [
        {"type": "file", "path": "/w/a.png", "displayName": "a.png"},
        {"type": "blob", "data": PNG, "mimeType": "image/png", "displayName": "b.png"},
        {"type": "selection", "text": "x", "filePath": "/w/a.py", "displayName": "a.py", "selection": {}},
    ]
    result = {
        "content": "see",
        "binaryResultsForLlm": [{"type": "image", "data": PNG, "mimeType": "image/png"}, {"assetId": "sha", "mimeType": "image/png"}],
    }
    asset = row(
        "session.binary_asset", {"assetId": "sha", "data": PNG * 4000, "mimeType": "image/png", "byteLength": 9, "type": "image"}, 3
    )
    read = read_rows(
        "copilot",
        [
            START,
            user("look", attachments=attachments),
            asset,
            row("tool.execution_complete", {"toolCallId": "c", "success": True, "result": result}, 4),
        ],
    )
    _, file, blob, selection = read.messages()[0].parts
    assert (type(file), type(blob), type(selection)) == (UriPart, BlobPart, OpaquePart)
    assert (file.get("uri"), file.get("modality"), blob.get("content")) == ("/w/a.png", "image", PNG)
    (answer,) = read.messages()[1].tool_results
    assert [part["type"] for part in answer.response] == ["text", "blob", "uri"]
    (ref,) = read.parts
    assert read.parts[ref].decode() == PNG * 4000
    assert read.written() == b"".join(read.lines)


def test_a_thought_that_the_message_repeats_stands_once() -> None:
    thought = row("assistant.reasoning", {"reasoningId": "r1", "content": "Hm."}, 3)
    read = read_rows(
        "copilot", [START, user("go"), thought, assistant("ok", 4, reasoningText="Hm.", reasoningOpaque="sealed", model="claude-sonnet-5")]
    )
    thoughts = [part for part in read.all_parts("reasoning") if isinstance(part, ReasoningPart)]
    assert [(part.content, part.encrypted, part.provider) for part in thoughts] == [("Hm.", None, "openai"), ("", "sealed", "anthropic")]
    alone = read_rows("copilot", [START, assistant("ok", 2, reasoningText="Hm.")])
    assert [part.get("content") for part in alone.all_parts("reasoning")] == ["Hm."]


def test_pieces_of_one_message_are_one_message() -> None:
    read = read_rows("copilot", [START, assistant("a", 2, messageId="m", chunkIndex=0), assistant("b", 3, messageId="m", chunkIndex=1)])
    (shown,) = read.messages()
    assert shown.text == "ab"
    assert [event.message_count for event in read.events if event.type == "message"] == [1, 0]


def test_a_subagent_is_a_branch_that_the_main_conversation_does_not_see() -> None:
    inner = [assistant("inside", 4, parentToolCallId="c1"), user("more", 5, parentToolCallId="c1")]
    read = read_rows("copilot", [START, user("go"), assistant("outside", 3), *inner, assistant("after", 6)])
    assert [message.text for message in read.messages("main")] == ["go", "outside", "after"]
    assert list(read.branches) == ["sidechain-1-c1"]
    assert [message.text for message in read.messages("sidechain-1-c1")] == ["inside", "more"]
    assert sum(event.turn_count for event in read.events) == 1


def test_usage_counts_what_messages_told_and_what_a_process_tells_at_its_end() -> None:
    def shutdown(number: int, **usage: int) -> dict[str, Any]:
        return row("session.shutdown", {"modelMetrics": {"gpt-5": {"usage": usage}}}, number)

    first = shutdown(4, inputTokens=100, outputTokens=12, cacheReadTokens=40)
    read = read_rows("copilot", [START, assistant("a", 2, outputTokens=5), assistant("b", 3, outputTokens=7), first])
    assert read.usage() == Usage(100, 12, 40)
    resumed = [*(json.loads(line) for line in read.lines), row("session.resume", {"eventCount": 4}, 5), assistant("c", 6, outputTokens=3)]
    anew = read_rows("copilot", [*resumed, shutdown(7, inputTokens=50, outputTokens=3)])
    goes_on = read_rows("copilot", [*resumed, shutdown(7, inputTokens=150, outputTokens=15, cacheReadTokens=40)])
    assert anew.usage() == goes_on.usage() == Usage(150, 15, 40)
    third = [*(json.loads(line) for line in anew.lines), assistant("d", 8, outputTokens=2), shutdown(9, inputTokens=70, outputTokens=5)]
    assert read_rows("copilot", third).usage() == Usage(170, 17, 40)


def test_a_compaction_stands_for_what_was_before_it() -> None:
    done = row(
        "session.compaction_complete",
        {"success": True, "summaryContent": "All so far.", "preCompactionTokens": 900, "trigger": "manual"},
        3,
    )
    read = read_rows("copilot", [START, user("go"), done, row("session.compaction_complete", {"success": False, "error": "x"}, 4)])
    assert read.types() == ["settings", "message", "compaction", "context", "title"]
    assert read.events[2].data == {"summary": "All so far.", "trigger": "manual", "first_seq": 1, "last_seq": 3, "pre_tokens": 900}


def test_injected_user_messages_are_no_turns() -> None:
    read = read_rows(
        "copilot", [START, user("skill text", 2, source="skill-pdf"), user("go on", 3, isAutopilotContinuation=True), user("mine", 4)]
    )
    assert [(event.turn_count, event.visibility) for event in read.events if event.type == "message"] == [
        (0, "model"),
        (0, "model"),
        (1, "both"),
    ]
    assert read.titles() == ["mine"]


def test_unknown_types_are_kept_and_counted() -> None:
    read = read_rows("copilot", [START, row("session.of_tomorrow", {"x": 1}, 2), row("user.message", "not an object", 3)])
    assert read.types() == ["settings", "opaque", "opaque"]
    assert [event.data.get("native_type") for event in read.events[1:]] == ["session.of_tomorrow", "user.message"]


def test_files_are_found_where_the_tool_puts_them(tmp_path: Path) -> None:
    new, old = tmp_path / ".copilot/session-state/s2/events.jsonl", tmp_path / ".copilot/session-state/s1.jsonl"
    for path in (new, old):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    found = get_format("copilot")
    assert sorted(found.discover(tmp_path, {})) == sorted([new, old])
    assert list(found.discover(tmp_path, {"COPILOT_HOME": str(tmp_path / "elsewhere")})) == []
    assert found.export_name("../s 1") == "__s_1/events.jsonl"
    assert found.describe(new, [b"{}\n"]).native_id == "s2"
    assert found.describe(old, []).native_id == "s1"
