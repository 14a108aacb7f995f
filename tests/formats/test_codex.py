"""Codex rollouts of every shape: what each line becomes, and that each comes back."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.formats.codex_reader import CODEX, Read, item, line, message, one, part_of
from turnfold.core.fold import payload_of
from turnfold.formats.base import Line
from turnfold.model.event_types import KNOWN_TYPES
from turnfold.model.parts import BlobPart, CompactionPart, ReasoningPart, ServerToolCallPart, ToolCallPart, ToolResultPart
from turnfold.model.usage import Usage

PNG = "iVBORw0KGgo="


# ---- the corpus ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(shared_dir: Path) -> dict[Path, Read]:
    files = sorted((shared_dir / "data" / "transcripts" / "codex").rglob("*.jsonl"))
    assert len(files) == 14
    return {path: Read(path.read_bytes(), name=path.name) for path in files}


def test_every_line_is_one_event_that_gives_the_line_back(corpus: dict[Path, Read]) -> None:
    for path, read in corpus.items():
        assert read.written() == path.read_bytes(), path
        assert len(read.projected) == len(path.read_bytes().splitlines())
        assert {item.event.type for item in read.projected} <= KNOWN_TYPES - {"opaque"}
        assert all(item.problem is None for item in read.projected)


def test_reading_on_from_the_state_gives_the_same_events(corpus: dict[Path, Read]) -> None:
    for path, read in corpus.items():
        lines = path.read_bytes().splitlines(keepends=True)
        whole = [item.event for item in read.projected]
        for at in random.Random(3).sample(range(1, len(lines)), 3):
            first = Read(b"".join(lines[:at]), name=path.name)
            state = json.loads(json.dumps(first.reader.state()))
            reader = CODEX.reader(path, first.info, state, lambda _uuid: None)
            rest = [reader.feed(Line(number, 0, data), number + 1)[0].event for number, data in enumerate(lines[at:], at + 1)]
            assert [item.event for item in first.projected] + rest == whole, path


def test_state_stays_small(corpus: dict[Path, Read]) -> None:
    assert max(len(json.dumps(read.reader.state())) for read in corpus.values()) < 2_000


def test_typed_messages_are_those_with_a_twin_event(corpus: dict[Path, Read]) -> None:
    for path, read in corpus.items():
        if "shapes" in path.name or "0.8.0" in path.parts:
            continue  # trimmed texts; no twins yet
        twins: Counter[str] = Counter()
        for data in path.read_bytes().splitlines():
            payload = json.loads(data).get("payload", {})
            if payload.get("type") == "user_message":
                twins[payload["message"].strip()] += 1
            elif payload.get("type") == "item_completed" and payload["item"]["type"] == "UserMessage":
                twins["".join(block.get("text", "") for block in payload["item"]["content"]).strip()] += 1
        typed = [m for e in read.events if e.turn_count for m in [payload_of(e)]]
        if "019f05f8" in path.name:  # its first typed message quotes AGENTS.md; nothing distinguishes it from the injected text
            twins = Counter({text: count for text, count in twins.items() if not text.startswith("# AGENTS.md")})
        assert len(typed) == twins.total(), path
        for shown in typed:
            assert any(text in shown.text.strip() for text in twins), (path, shown.text)


def test_each_text_stands_once_in_the_messages(corpus: dict[Path, Read]) -> None:
    for path, read in corpus.items():
        items = [json.loads(data) for data in path.read_bytes().splitlines()]
        items = [fields.get("payload", fields) for fields in items if fields.get("type") in {"response_item", "message"}]
        texts = Counter(
            block["text"] for fields in items if fields["type"] == "message" for block in fields["content"] if block.get("text")
        )
        payloads = [payload_of(event) for event in read.events if event.type == "message"]
        shown = Counter(part.content for payload in payloads for part in payload.parts if part.type == "text")
        if "shapes" not in path.name:
            assert shown == texts, path


def test_usage_is_the_sum_of_all_reported_steps(corpus: dict[Path, Read]) -> None:
    for path, read in corpus.items():
        expected, before = 0, None
        for data in path.read_bytes().splitlines():
            payload = json.loads(data).get("payload", {})
            info = payload.get("info") if payload.get("type") == "token_count" else None
            if info and "shapes" not in path.name and info["total_token_usage"] != before:
                before = info["total_token_usage"]
                expected += info["last_token_usage"]["input_tokens"]
        if expected:
            assert read.usage().input_tokens == expected, path


def test_calls_and_results_are_paired(corpus: dict[Path, Read]) -> None:
    for path, read in corpus.items():
        calls = {call.id for shown in read.model_messages for call in shown.tool_calls}
        results = {result.id for shown in read.model_messages for result in shown.tool_results}
        if "shapes" not in path.name:
            assert results <= calls
            assert len(calls - results) <= 3, path


# ---- single shapes -------------------------------------------------------------------------------------------------------------------


def test_reasoning_keeps_what_only_the_provider_reads() -> None:
    payload = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "**Looking**"}],
        "content": [{"type": "reasoning_text", "text": "raw"}],
        "encrypted_content": "gAAA",
    }
    part = part_of(item(payload))
    assert part == ReasoningPart("raw", ["**Looking**"], encrypted="gAAA", provider="openai", id="rs_1")


@pytest.mark.parametrize(
    ("arguments", "parsed", "raw"),
    [
        ('{"cmd":"ls"}', {"cmd": "ls"}, None),
        ('{"cmd": "ls"}', {"cmd": "ls"}, '{"cmd": "ls"}'),
        ("not json", None, "not json"),
        (None, None, None),
    ],
)
def test_arguments_are_parsed_and_kept_as_written_where_that_differs(arguments: str | None, parsed: Any, raw: str | None) -> None:
    part = part_of(item({"type": "function_call", "id": "fc_1", "name": "shell", "arguments": arguments, "call_id": "c1"}))
    assert (part.id, part.item_id, part.name, part.arguments, part.arguments_raw) == ("c1", "fc_1", "shell", parsed, raw)


def test_other_calls() -> None:
    patch = part_of(item({"type": "custom_tool_call", "status": "completed", "call_id": "c1", "name": "apply_patch", "input": "*** Begin"}))
    assert (patch.name, patch.arguments, patch.input_kind, patch.status) == ("apply_patch", "*** Begin", "text", "completed")
    shell = part_of(
        item({"type": "local_shell_call", "call_id": "c2", "status": "completed", "action": {"type": "exec", "command": ["ls"]}})
    )
    assert isinstance(shell, ToolCallPart)
    assert (shell.name, shell.arguments) == ("local_shell", {"type": "exec", "command": ["ls"]})
    web = part_of(item({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}))
    assert web == ServerToolCallPart(
        "ws_1", "web_search", {"type": "web_search", "status": "completed", "action": {"type": "search", "query": "x"}}
    )
    found = part_of(
        item({"type": "tool_search_output", "call_id": "c3", "status": "completed", "execution": "client", "tools": [{"name": "t"}]})
    )
    assert found == ToolResultPart("c3", [{"name": "t"}])
    compaction = part_of(item({"type": "compaction", "encrypted_content": "gAAA"}))
    assert compaction == CompactionPart(encrypted="gAAA")


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("Wall time: 0.003 seconds\nProcess exited with code 2\nOutput:\nhello\r\n", 2),
        ('{"output":"' + "x" * 5000 + '","metadata":{"exit_code":3,"duration_seconds":0.0}}', 3),
        ("Exit code: 0\nWall time: 1 seconds", 0),
        ("plain text that mentions exit code 7", None),
    ],
)
def test_exit_codes_are_read_from_the_output_text(output: str, code: int | None) -> None:
    part = part_of(item({"type": "function_call_output", "call_id": "c1", "output": output}))
    assert (part.response, part.exit_code) == (output, code)


def test_images_of_messages_and_outputs_are_blobs_and_large_ones_are_stored_once() -> None:
    large = "A" * 40_000
    content = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "high"},
    ]
    shown = payload_of(one(item({"type": "message", "role": "user", "content": content})))
    assert shown.parts[1] == BlobPart("image", "image/png", PNG, ext={"detail": "high"})

    output = [{"type": "input_image", "image_url": f"data:image/png;base64,{large}"}, {"type": "input_text", "text": "done"}]
    data = item({"type": "function_call_output", "call_id": "c1", "output": output})
    read = Read(data + data)
    (result,) = payload_of(read.events[0]).parts
    blob, text = result.response
    assert blob["type"] == "blob"
    assert read.parts == {blob["blob_ref"]: large.encode()}
    assert text == {"type": "text", "content": "done"}
    assert len(read.projected[0].event.data) + len(read.projected[0].event.source or b"") < 2_000
    assert read.written() == data + data
    remote = part_of(item({"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "https://x.test/a.png"}]}))
    assert (remote.type, remote.uri) == ("uri", "https://x.test/a.png")


def test_instructions_and_injected_texts_are_for_the_model_alone() -> None:
    data = message("developer", "be brief") + message("user", "<environment_context>\n</environment_context>") + message("user", "hi")
    data += message("user", "x", internal_chat_message_metadata_passthrough={"content_item_kinds": ["environments.x"], "turn_id": "t7"})
    data += message("user", "<b>typed</b>", internal_chat_message_metadata_passthrough={"content_item_kinds": ["user.text"]})
    events = Read(data).events
    assert [event.visibility for event in events] == ["model", "model", "both", "model", "both"]
    assert [event.turn_count for event in events] == [0, 0, 1, 0, 1]
    assert events[3].run_id == "t7"


def test_an_output_that_nobody_called_for_is_an_instruction_by_its_name() -> None:
    told = {"type": "function_call_output", "id": "fco_1", "name": "goal_objective", "namespace": "agent", "output": "end this"}
    read = Read(item(told) + item({**told, "call_id": "call_1"}))
    first, second = (payload_of(event) for event in read.events)
    assert (first.role, first.name, first.text, first.native_id) == ("developer", "agent.goal_objective", "end this", "fco_1")
    assert read.events[0].visibility == "model"
    assert [result.id for result in second.tool_results] == ["call_1"]


def test_the_model_is_named_on_what_follows_its_turn_context() -> None:
    usage = {"input_tokens": 10, "cached_input_tokens": 4, "output_tokens": 2, "reasoning_output_tokens": 1, "total_tokens": 12}
    data = message("assistant", "a") + line("turn_context", {"model": "gpt-5", "turn_id": "t1"}) + message("assistant", "b")
    data += line("event_msg", {"type": "token_count", "info": {"total_token_usage": usage, "last_token_usage": usage}})
    events = Read(data).events
    assert [payload_of(event).model for event in (events[0], events[2])] == [None, "gpt-5"]
    assert events[3].usage == Usage(10, 2, 4, 0, 1, model="gpt-5")
    assert [event.run_id for event in events] == [None, "t1", "t1", "t1"]


def counted(*totals: tuple[int, int]) -> bytes:
    out = b""
    for total, last in totals:
        usages = [{"input_tokens": number, "output_tokens": number // 10} for number in (total, last)]
        info = {"total_token_usage": usages[0], "last_token_usage": usages[1]}
        out += line("event_msg", {"type": "token_count", "info": info})
    return out


@pytest.mark.parametrize(
    ("totals", "expected"),
    [
        ([(100, 100), (100, 100), (300, 200)], [100, 0, 200]),  # a repeated report adds nothing
        ([(100, 100), (50, 50), (80, 30)], [100, 50, 30]),  # the total began anew
        ([(100, 100), (400, 200)], [100, 300]),  # a report between them is missing
        ([(90, 90), (90_000, 90_000)], [90, 90_000]),  # began anew, and higher than before
    ],
)
def test_usage_totals_become_what_was_added(totals: list[tuple[int, int]], expected: list[int]) -> None:
    assert [item.event.usage.input_tokens for item in Read(counted(*totals)).projected] == expected


def test_a_token_usage_record_and_its_token_count_count_once() -> None:
    numbers = {"input_tokens": 70, "output_tokens": 7}
    record = line("token_usage_record", {"turn_id": "t1", "usage": numbers, "thread_token_usage": numbers})
    read = Read(record + line("event_msg", {"type": "token_count", "info": {"total_token_usage": numbers, "last_token_usage": numbers}}))
    assert [item.event.type for item in read.projected] == ["usage", "usage"]
    assert read.usage().input_tokens == 70


def test_runs_have_the_id_of_their_turn() -> None:
    data = line("event_msg", {"type": "task_started", "turn_id": "t1"}) + message("user", "hi")
    data += line("event_msg", {"type": "task_complete", "turn_id": "t1", "duration_ms": 5}) + message("user", "<x>")
    data += line("event_msg", {"type": "turn_aborted", "turn_id": "t2", "reason": "interrupted"})
    events = Read(data).events
    assert [(event.type, event.run_id) for event in events] == [
        ("run.started", "t1"),
        ("message", "t1"),
        ("run.completed", "t1"),
        ("message", None),
        ("run.aborted", "t2"),
    ]


def test_compaction_stands_for_what_came_before() -> None:
    history = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "kept"}]}, {"type": "ghost_snapshot"}, 3]
    data = message("user", "one") + message("user", "two")
    new = Read(data + line("compacted", {"message": "SUMMARY", "replacement_history": history})).events[-1]
    assert (new.type, new.visibility) == ("compaction", "both")
    assert payload_of(new).summary == "SUMMARY"
    assert (payload_of(new).first_seq, payload_of(new).last_seq) == (1, 3)
    assert payload_of(new).replacement == [{"role": "user", "parts": [{"type": "text", "content": "kept"}]}]
    old = payload_of(Read(data + line("compacted", {"message": "SUMMARY"})).events[-1])
    assert (old.replacement, old.keeps) == (None, [2, 3])


def test_rollback_title_settings_and_errors() -> None:
    data = line("event_msg", {"type": "thread_rolled_back", "num_turns": 2}) + line(
        "event_msg", {"type": "thread_name_updated", "thread_name": "My"}
    )
    data += line("event_msg", {"type": "thread_settings_applied", "thread_settings": {"model": "m2"}}) + message("assistant", "x")
    data += line("event_msg", {"type": "error", "message": "boom"})
    read = Read(data)
    events = read.events
    assert [event.type for event in events] == ["rollback", "title", "settings", "message", "run.error"]
    assert payload_of(events[0]).turns == 2
    assert payload_of(events[1]).title == "My"
    assert payload_of(events[3]).model == "m2"
    assert read.reader.finish(9) == []  # the file has a title of its own


def test_the_first_typed_line_is_the_title_once() -> None:
    read = Read(message("user", "<env>") + message("user", "\n  Fix the bug\nplease") + message("user", "next"))
    (title,) = read.reader.finish(9)
    assert title.event.data == {"title": "Fix the bug"}
    assert read.reader.finish(9) == []


def test_the_bare_shape_of_old() -> None:
    first = b'{"id":"5d2","timestamp":"2025-06-20T09:03:32.013Z","instructions":null,"git":{"branch":"main"}}\n'
    data = first + b'{"record_type":"state"}\n{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}\n'
    read = Read(data)
    assert (read.info.native_id, read.info.metadata) == ("5d2", {"git_branch": "main"})
    assert [event.type for event in read.events] == ["settings", "context", "message"]
    assert len({event.at for event in read.events}) == 1  # a line without a time has that of the line before
    assert CODEX.sniff(Path("x"), data) >= 0.9


def test_subagents_and_forks_know_their_parent() -> None:
    spawned = {"id": "c", "source": {"subagent": {"thread_spawn": {"parent_thread_id": "p", "depth": 1}}}}
    assert Read(line("session_meta", spawned)).info.parent == {"session_id": "p", "relation": "subagent"}
    assert Read(line("session_meta", {"id": "c", "forked_from_id": "p"})).info.parent == {"session_id": "p", "relation": "fork"}
    copies = line("session_meta", {"id": "own", "forked_from_id": "p"}) + line("session_meta", {"id": "p"})
    assert Read(copies).info.native_id == "own"


def test_discovery_reads_the_usual_places(tmp_path: Path) -> None:
    names = ["sessions/2026/03/02/rollout-2026-03-02T10-00-00-b.jsonl", "archived_sessions/rollout-2026-03-01T10-00-00-a.jsonl"]
    for name in [*names, "history.jsonl"]:
        (tmp_path / ".codex" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / ".codex" / name).touch()
    assert [path.name[-7:-6] for path in CODEX.discover(tmp_path, {})] == ["a", "b"]
    assert len(list(CODEX.discover(Path("/nowhere"), {"CODEX_HOME": str(tmp_path / ".codex")}))) == 2
