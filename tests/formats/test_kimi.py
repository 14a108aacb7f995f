"""Kimi Code's wire files: what each record becomes, counted against the raw file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.formats.rows_driver import Read, read_file, read_rows
from turnfold.formats.registry import get_format
from turnfold.model.parts import BlobPart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from turnfold.model.usage import Usage

PNG = "iVBORw0KGgo="
USAGE = {"inputOther": 10, "output": 3, "inputCacheRead": 80, "inputCacheCreation": 5}
META = {"type": "metadata", "protocol_version": "1.4", "created_at": 1785612803281}


def prompt(text: str, **origin: Any) -> dict[str, Any]:
    message = {"role": "user", "content": [{"type": "text", "text": text}], "toolCalls": [], "origin": {"kind": "user", **origin}}
    return {"type": "context.append_message", "message": message, "time": 1785612812820}


def loop(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "context.append_loop_event", "event": {"type": kind, **fields}, "time": 1785612812825}


def step(name: str, text: str) -> list[dict[str, Any]]:
    return [
        loop("step.begin", uuid=name, turnId="0", step=1),
        loop("content.part", uuid=f"{name}-t", turnId="0", step=1, stepUuid=name, part={"type": "text", "text": text}),
        loop("step.end", uuid=name, turnId="0", step=1, usage=USAGE, finishReason="end_turn", messageId="resp"),
    ]


@pytest.fixture(scope="module")
def corpus(shared_dir: Path) -> tuple[Read, list[dict[str, Any]]]:
    path = shared_dir / "data" / "transcripts" / "other" / "kimi" / "assistant_tools.jsonl"
    return read_file("kimi", path), [json.loads(line) for line in path.read_bytes().splitlines()]


def test_every_message_call_answer_and_thought_of_the_corpus_is_there_once(corpus: tuple[Read, list[dict[str, Any]]]) -> None:
    read, rows = corpus
    events = [row["event"] for row in rows if row["type"] == "context.append_loop_event"]
    appended = [row["message"] for row in rows if row["type"] == "context.append_message"]
    said = [event["part"] for event in events if event["type"] == "content.part"]
    messages = read.messages()
    assert Counter(message.role for message in messages) == Counter(
        user=len(appended),
        assistant=len({event["stepUuid"] for event in events if "stepUuid" in event}),
        tool=sum(event["type"] == "tool.result" for event in events),
    )
    texts = [part["text"] for part in said if part["type"] == "text"] + [block["text"] for item in appended for block in item["content"]]
    assert sorted(part.content for part in read.all_parts("text") if isinstance(part, TextPart)) == sorted(texts)
    thoughts = [part.content for part in read.all_parts("reasoning") if isinstance(part, ReasoningPart)]
    assert thoughts == [part["think"] for part in said if part["type"] == "think"]
    calls = [(part.id, part.name, part.arguments) for part in read.all_parts("tool_call") if isinstance(part, ToolCallPart)]
    assert calls == [(event["toolCallId"], event["name"], event["args"]) for event in events if event["type"] == "tool.call"]
    answers = [(part.id, part.response, part.is_error) for part in read.all_parts("tool_call_response") if isinstance(part, ToolResultPart)]
    assert answers == [
        (event["toolCallId"], event["result"]["output"], event["result"].get("isError"))
        for event in events
        if event["type"] == "tool.result"
    ]
    assert "opaque" not in read.types()
    assert read.problems == []
    assert read.written() == read.path.read_bytes()


def test_usage_is_that_of_the_records_each_once(corpus: tuple[Read, list[dict[str, Any]]]) -> None:
    read, rows = corpus
    told = [row["usage"] for row in rows if row["type"] == "usage.record"]
    assert read.usage().output_tokens == sum(usage["output"] for usage in told)
    assert read.usage().input_tokens == sum(usage["inputOther"] + usage["inputCacheRead"] + usage["inputCacheCreation"] for usage in told)
    assert {item.event.usage.model for item in read.projected if item.event.usage} == {"kimi-k2.7-code"}
    without_ledger = [row for row in rows if row["type"] != "usage.record"]
    ends = [row["event"]["usage"] for row in without_ledger if row["type"].endswith("loop_event") and row["event"]["type"] == "step.end"]
    assert read_rows("kimi", without_ledger).usage().output_tokens == sum(usage["output"] for usage in ends)


def test_prompts_are_turns_and_injections_are_for_the_model(corpus: tuple[Read, list[dict[str, Any]]]) -> None:
    read, rows = corpus
    appended = [row["message"]["origin"]["kind"] for row in rows if row["type"] == "context.append_message"]
    seen = [(event.turn_count, event.visibility) for event in read.events if event.type == "message" and event.data["role"] == "user"]
    assert seen == [(1, "both") if kind == "user" else (0, "model") for kind in appended]
    assert read.titles() == ["hi"]
    assert read.info.metadata == {"protocol_version": "1.4", "model": "moonshot-ai/kimi-k2.7-code"}


def test_the_compaction_keeps_the_prompts_that_kimi_keeps(corpus: tuple[Read, list[dict[str, Any]]]) -> None:
    read, rows = corpus
    (done,) = [event for event in read.events if event.type == "compaction"]
    (native,) = [row for row in rows if row["type"] == "context.apply_compaction"]
    assert done.data["summary"] == native["contextSummary"]
    assert (done.data["pre_tokens"], done.data["post_tokens"]) == (native["tokensBefore"], native["tokensAfter"])
    assert done.data["keeps"] == [event.seq for event in read.events if event.turn_count]
    assert len(done.data["keeps"]) == native["keptUserMessageCount"]


def test_a_compaction_of_old_keeps_the_messages_behind_it() -> None:
    rows = [META, prompt("one"), *step("s1", "first"), prompt("two"), *step("s2", "second")]
    read = read_rows(
        "kimi", [*rows, {"type": "context.apply_compaction", "summary": "So far.", "compactedCount": 2, "time": 1785612812999}]
    )
    done = read.events[-2]
    assert [event.data["parts"][0]["content"] for event in read.events if event.seq in done.data["keeps"]] == ["two", "second"]


def test_a_step_is_one_message_with_its_model_reason_and_usage() -> None:
    read = read_rows("kimi", [META, {"type": "llm.request", "model": "kimi-k3", "time": 1}, prompt("go"), *step("s1", "done")])
    shown = read.messages()[-1]
    assert (shown.text, shown.model, shown.finish_reason, shown.usage) == ("done", "kimi-k3", "stop", Usage(95, 3, 80, 5, model="kimi-k3"))
    assert [event.message_count for event in read.events if event.type == "message"] == [1, 1, 0]


def test_a_step_without_a_word_is_no_message() -> None:
    read = read_rows("kimi", [META, step("s1", "")[0], step("s1", "")[2]])
    assert read.messages() == []
    assert read.usage().output_tokens == 3


def test_media_in_prompts_and_answers() -> None:
    image = {"type": "image_url", "imageUrl": {"url": f"data:image/png;base64,{PNG}"}}
    asked = prompt("see")
    asked["message"]["content"].append(image)
    answer = loop(
        "tool.result",
        parentUuid="c",
        toolCallId="c",
        result={"output": [{"type": "text", "text": "it"}, image], "isError": False, "note": "n"},
    )
    read = read_rows("kimi", [META, asked, answer])
    assert isinstance(read.messages()[0].parts[1], BlobPart)
    (part,) = read.messages()[1].tool_results
    assert [item["type"] for item in part.response] == ["text", "blob"]
    assert (part.is_error, part.ext) == (False, {"note": "n"})


def test_undo_takes_turns_back_and_the_system_prompt_is_the_sessions() -> None:
    rows = [META, prompt("one"), *step("s1", "a"), prompt("two"), *step("s2", "b"), {"type": "context.undo", "count": 1, "time": 2}]
    read = read_rows("kimi", [*rows, {"type": "config.update", "systemPrompt": "You are Kimi.", "time": 3}])
    assert [message.text for message in read.messages()] == ["one", "a"]
    assert read.events[-2].data == {"system_prompt": "You are Kimi."}


def test_files_are_found_and_named_after_session_and_agent(tmp_path: Path) -> None:
    folder = tmp_path / ".kimi-code" / "sessions" / "wd_x" / "session_1" / "agents"
    for agent in ("main", "agent-0"):
        (folder / agent).mkdir(parents=True)
        (folder / agent / "wire.jsonl").write_text(json.dumps(META) + "\n")
    kimi = get_format("kimi")
    main, sub = folder / "main" / "wire.jsonl", folder / "agent-0" / "wire.jsonl"
    assert sorted(kimi.discover(tmp_path, {})) == [sub, main]
    assert kimi.companions(main) == [sub]
    assert kimi.describe(main, []).native_id == "session_1"
    (folder.parent / "state.json").write_text(json.dumps({"title": "A title", "workDir": "/w", "isCustomTitle": False, "customTitle": "x"}))
    told = kimi.describe(main, [])
    assert (told.title, told.metadata) == ("A title", {"cwd": "/w"})
    assert Read(kimi, main, [json.dumps(prompt("hi")).encode() + b"\n"]).titles() == []
    info = kimi.describe(sub, [])
    assert (info.native_id, info.parent) == ("session_1/subagents/agent-0", {"session_id": "session_1", "relation": "subagent"})
    assert kimi.export_name(info.native_id) == "session_1/agents/agent-0/wire.jsonl"
