"""Claude Code's files of the corpus: nothing lost, nothing counted twice, whatever way they are read."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.formats.claude_driver import Imported, import_file, import_lines
from tests.formats.claude_lines import objects, sdk_conversation
from turnfold.formats.claude_code import ClaudeCodeFormat
from turnfold.model.event_types import KNOWN_TYPES
from turnfold.model.message import decode_message
from turnfold.model.parts import GenericPart
from turnfold.model.usage import NO_USAGE, Usage

NAMES = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


@pytest.fixture(scope="module")
def corpus(shared_dir: Path) -> dict[Path, Imported]:
    transcripts = shared_dir / "data" / "transcripts"
    files = sorted((transcripts / "claude-code").rglob("*.jsonl"))
    assert len(files) >= 26
    # These two are stored as another tool's, but hold Claude Code lines: content decides, not the name.
    files += [file for file in sorted((transcripts / "other").rglob("entire-*.json")) if b'"isSidechain":' in file.read_bytes()[:65_536]]
    return {path: import_file(path) for path in files}


def test_every_file_is_written_again_byte_for_byte(corpus: dict[Path, Imported]) -> None:
    for path, imported in corpus.items():
        assert imported.export() == path.read_bytes(), path


def test_every_line_keeps_an_event_and_bad_lines_are_named(corpus: dict[Path, Imported]) -> None:
    problems = 0
    for path, imported in corpus.items():
        kept = sum(event.source is not None for event in imported.events)
        assert kept == len(objects(path.read_bytes())), path
        problems += len(imported.problems)
        assert {event.type for event in imported.events} <= KNOWN_TYPES
    assert problems == 1  # two objects glued on line 300 of one file


def test_reading_twice_gives_the_same_events(corpus: dict[Path, Imported]) -> None:
    for path, imported in corpus.items():
        assert import_file(path).events == imported.events, path


@pytest.mark.parametrize("seed", range(3))
def test_a_file_read_in_portions_gives_the_same_events(corpus: dict[Path, Imported], seed: int) -> None:
    chance = random.Random(seed)
    for path, imported in corpus.items():
        lines = path.read_bytes().splitlines(keepends=True)
        portions = Imported(path)
        at = 0
        for cut in sorted(chance.sample(range(len(lines) + 1), min(4, len(lines)))):
            portions.feed(lines[at:cut], finish=False, head=lines)
            at = cut
        portions.feed(lines[at:], head=lines)
        assert portions.events == imported.events, path
        assert portions.parts == imported.parts


def test_every_payload_reads_back_as_a_message(corpus: dict[Path, Imported]) -> None:
    for imported in corpus.values():
        for event in imported.events:
            if event.type in {"message", "context"}:
                message = decode_message(event.data)
                assert message.role in {"user", "assistant", "tool", "system"}
                assert not any(isinstance(part, GenericPart) for part in message.parts)


def _blocks(lines: list[dict[str, Any]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for item in lines:
        message = item.get("message")
        if item.get("type") not in {"user", "assistant"} or not isinstance(message, dict):
            continue
        content = message.get("content")
        blocks = [{"type": "text"}] if isinstance(content, str) else content or []
        for block in blocks:
            found["opaque" if block["type"] == "fallback" else block["type"]] += 1  # a block type that no documentation names
            inner = block.get("content")
            if block["type"] == "tool_result" and isinstance(inner, list):
                found.update(item["type"] + "_in_result" for item in inner)
    return found


def _parts(imported: Imported) -> Counter[str]:
    native = {"tool_call": "tool_use", "tool_call_response": "tool_result", "reasoning": "thinking", "blob": "image"}
    found: Counter[str] = Counter()
    for event, data in zip(imported.events, imported.data, strict=True):
        if event.type not in {"message", "context"} or (data.get("ext") or {}).get("native_type"):
            continue
        for part in data["parts"]:
            found[native.get(part["type"], part["type"])] += 1
            inner = part.get("response")
            if isinstance(inner, list):
                found.update(native.get(item["type"], item["type"]) + "_in_result" for item in inner)
    return found


def test_texts_calls_results_and_images_are_all_there(corpus: dict[Path, Imported]) -> None:
    total: Counter[str] = Counter()
    for path, imported in corpus.items():
        lines = objects(path.read_bytes())
        expected = _blocks(lines)
        expected["text"] += sum(item.get("subtype") == "local_command" for item in lines)
        assert _parts(imported) == expected, path
        total += expected
    assert total["tool_use"] > 700
    assert total["tool_use"] - total["tool_result"] < 20
    assert total["image"] + total["image_in_result"] >= 14


def test_images_are_kept_once_and_out_of_line(corpus: dict[Path, Imported]) -> None:
    seen = 0
    for imported in corpus.values():
        refs = {
            part["blob_ref"]
            for event, data in zip(imported.events, imported.data, strict=True)
            if event.type == "message"
            for outer in data["parts"]
            for part in ([outer] if outer["type"] == "blob" else outer.get("response") or [])
            if isinstance(part, dict) and "blob_ref" in part
        }
        assert refs <= set(imported.parts)
        seen += len(refs)
        for event in imported.events:
            for ref in refs:
                assert imported.parts[ref][:200] not in (event.source or b"")
    assert seen >= 3


def _usage_by_id(lines: list[dict[str, Any]]) -> Usage:
    last: dict[str, dict[str, Any]] = {}
    for number, item in enumerate(lines):
        message = item.get("message")
        if item.get("type") == "assistant" and isinstance(message, dict) and message.get("model") not in {None, "<synthetic>"}:
            usage = message.get("usage")
            if usage:
                last[message.get("id") or str(number)] = usage
    total = Counter[str]()
    for usage in last.values():
        total.update({name: usage.get(name) or 0 for name in NAMES})
    read, created = total["cache_read_input_tokens"], total["cache_creation_input_tokens"]
    return Usage(total["input_tokens"] + read + created, total["output_tokens"], read, created)


def test_usage_is_counted_once_per_message(corpus: dict[Path, Imported]) -> None:
    for path, imported in corpus.items():
        expected = _usage_by_id(objects(path.read_bytes()))
        assert imported.usage().numbers()[:4] == expected.numbers()[:4], path


def test_messages_are_counted_once(corpus: dict[Path, Imported]) -> None:
    for path, imported in corpus.items():
        ids = {event.message_id for event in imported.events if event.message_id}
        counted = [event.message_id for event in imported.events if event.message_id and event.message_count]
        assert len(counted) == len(set(counted)) == len(ids), path
        places = Counter((event.message_id, event.block_index) for event in imported.events if event.message_id)
        assert set(places.values()) <= {1}, path


def test_the_active_branch_is_the_conversation_that_the_tool_would_resume(corpus: dict[Path, Imported]) -> None:
    compared = 0
    for path, imported in corpus.items():
        lines = objects(path.read_bytes())
        if len({item["uuid"] for item in lines if "uuid" in item}) != sum("uuid" in item for item in lines):
            continue  # a fixture whose uuids were blanked out
        expected = sdk_conversation(lines)
        by_uuid = {item["uuid"]: item for item in lines if "uuid" in item}
        view = [(event, by_uuid[event.meta["uuid"]]) for _, event, _ in imported.view() if event.meta]
        last = max((index for index, (event, _) in enumerate(view) if event.type == "compaction"), default=-1)
        shown = [item for _, item in view[last + 1 :] if item["type"] in {"user", "assistant"}]
        if not expected:
            assert imported.path.stem.startswith("agent-")
            continue
        extra = [item for item in shown if item["uuid"] not in set(expected)]
        assert [item["uuid"] for item in shown if item["uuid"] in set(expected)] == expected, path
        ids = {by_uuid[uuid]["message"].get("id") for uuid in expected}
        calls = {
            block["id"]
            for item in shown
            if item["type"] == "assistant" and item["message"].get("id") in ids
            for block in item["message"]["content"]
            if block["type"] == "tool_use"
        }
        for item in extra:
            blocks = item["message"]["content"]
            results = isinstance(blocks, list) and any(block.get("tool_use_id") in calls for block in blocks)
            assert item["message"].get("id") in ids or results, (path, item["uuid"])
        compared += 1
    assert compared >= 20


def test_every_result_in_the_active_view_has_its_call(corpus: dict[Path, Imported]) -> None:
    for path, imported in corpus.items():
        if path.stem == "agent-sessions-shapes":
            continue  # its calls were trimmed away
        parts = [part for _, event, data in imported.view() if event.type == "message" for part in data["parts"]]
        calls = {part["id"] for part in parts if part["type"] == "tool_call"}
        results = {part["id"] for part in parts if part["type"] == "tool_call_response"}
        assert results <= calls, path


def test_linear_files_have_no_branches_but_their_subagents(corpus: dict[Path, Imported]) -> None:
    forks = {path.stem: len(imported.branches) for path, imported in corpus.items() if imported.branches}
    assert sum(forks.values()) <= 7, forks
    for path, imported in corpus.items():
        assert not imported.active.startswith("sidechain-")
        side = [event for event in imported.events if (event.meta or {}).get("sidechain")]
        if side and not path.stem.startswith("agent-"):
            assert not {event.branch for event in side if event.type == "message"} & {"main"}, path


def test_the_state_stays_small(corpus: dict[Path, Imported]) -> None:
    assert max(len(str(imported.state)) for imported in corpus.values()) < 16_000


def test_files_are_known_by_their_content(corpus: dict[Path, Imported], shared_dir: Path) -> None:
    known = ClaudeCodeFormat()
    for path in corpus:
        assert known.sniff(Path("x.jsonl"), path.read_bytes()[:65_536]) >= 0.9, path
    for other in ("codex", "other"):
        for path in (shared_dir / "data" / "transcripts" / other).rglob("*.json*"):
            head = path.read_bytes()[:65_536]
            mislabelled = path.parent.name == "gemini-cli" and b'"isSidechain":' in head  # Claude Code's lines under another tool's name
            assert known.sniff(path, head) < 0.5 or mislabelled, path


def test_subagents_belong_to_their_session(corpus: dict[Path, Imported]) -> None:
    known = ClaudeCodeFormat()
    seen = 0
    for path in corpus:
        companions = known.companions(path)
        for companion in (file for file in companions if file.suffix == ".jsonl"):
            parent = known.describe(path, path.read_bytes().splitlines())
            child = known.describe(companion, companion.read_bytes().splitlines())
            assert child.native_id == f"{parent.native_id}/subagents/{companion.stem}"
            assert child.parent == {"session_id": parent.native_id, "relation": "subagent"}
            assert child.files == {file.name: file.read_text() for file in companions if file.name == f"{companion.stem}.meta.json"}
            seen += 1
    assert seen == 4


def test_descriptions_name_place_and_version(corpus: dict[Path, Imported]) -> None:
    for path in corpus:
        info = ClaudeCodeFormat().describe(path, path.read_bytes().splitlines(keepends=True))
        assert info.agent == "claude-code"
        assert info.metadata["cwd"]
        assert info.version, path
        assert info.created_us, path


def test_an_empty_file_has_no_events() -> None:
    imported = import_lines([])
    assert imported.events == []
    assert imported.usage() == NO_USAGE
