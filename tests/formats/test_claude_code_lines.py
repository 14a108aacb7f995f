"""Single lines: what becomes of each type, and of every kind of broken input."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.claude_driver import Imported, import_lines
from tests.formats.claude_lines import call, line, prompt, reply, result, uid, write
from turnfold.formats.claude_code import ClaudeCodeFormat
from turnfold.limits import INLINE_PART_BYTES_MAX
from turnfold.model.message import decode_message


def one(*lines: dict[str, Any]) -> tuple[str, Any, str]:
    imported = import_lines(write(lines))
    last = max(index for index, event in enumerate(imported.events) if event.source is not None)
    event = imported.events[last]
    return event.type, imported.data[last], event.visibility


def kept(data: bytes) -> Imported:
    imported = import_lines(data.splitlines(keepends=True))
    assert imported.export() == data
    return imported


def test_glued_objects_become_an_event_each() -> None:
    first, second = write([prompt(1, None), reply(2, 1)])
    imported = kept(first.rstrip(b"\n") + second)
    assert [event.type for event in imported.events] == ["message", "message", "title"]
    assert imported.problems == ["2 JSON values are glued together on this line"]
    assert imported.events[0].source is not None
    assert not imported.events[0].source.startswith((b"L", b"R"))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"type":"user","uuid":"1', "the line is not valid JSON"),
        (b'{"a":1}x{"b":2}\n', "the line is not valid JSON"),
        (b"[1,2]\n", "the line is JSON, but not an object"),
        (b'"text"\n', "the line is JSON, but not an object"),
        (b'\xff\xfe{"a":1}\n', "the line is not valid JSON"),
        (b"\x00\x01\x02\n", "the line is not valid JSON"),
        (b"[" * 100_000 + b"\n", None),
        (b'{"type":"user","uuid":"u","message":{"content":' + b"[" * 3_000 + b"]" * 3_000 + b"}}\n", None),
        (b'{"n":' + b"9" * 6_000 + b"}\n", "the line is not valid JSON"),
    ],
)
def test_bad_lines_are_kept_and_reported(data: bytes, problem: str | None) -> None:
    imported = kept(data)
    assert imported.problems
    assert problem is None or problem in imported.problems
    assert any(event.type == "opaque" for event in imported.events)


@pytest.mark.parametrize("data", [b"\n", b"  \r\n", b"\n\n\n", b" "])
def test_blank_lines_are_no_problem(data: bytes) -> None:
    imported = kept(data)
    assert imported.problems == []
    assert {event.type for event in imported.events} == {"opaque"}


def test_lone_surrogates_bytes_and_big_numbers_survive() -> None:
    text = json.dumps(prompt(1, None, "half \ud83d of a pair, long enough to be cut")).encode() + b"\n"
    bad = write([prompt(2, 1, "not utf-8: @@")])[0].replace(b"@@", b"\xe4\xff")
    big = write([reply(3, 2, {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 2**64, "b": -(2**63), "c": 2**200}})])[0]
    imported = kept(text + bad + big)
    assert imported.data[0]["parts"][0]["content"] == "half \ufffd of a pair, long enough to be cut"
    assert imported.data[1]["parts"][0]["content"] == "not utf-8: \ufffd\ufffd"
    assert imported.data[2]["parts"][0]["arguments"]["a"] == 2**64
    assert imported.problems == ["the line is not valid UTF-8"]


@given(st.data())
def test_damaged_files_are_written_again_byte_for_byte(data: st.DataObject) -> None:
    text = bytearray(b"".join(write([prompt(1, None), reply(2, 1, call("c")), result(3, 2, "c", "x" * 40), reply(4, 3)])))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        damage = data.draw(st.sampled_from(["cut", "drop newline", "insert", "repeat"]))
        if damage == "cut":
            del text[at : at + data.draw(st.integers(1, 200))]
        elif damage == "drop newline":
            place = text.find(b"\n", at)
            if place >= 0:
                del text[place]
        elif damage == "insert":
            text[at:at] = data.draw(st.binary(max_size=8))
        else:
            text[at:at] = text[: data.draw(st.integers(0, 400))]
    rows = bytes(text).split(b"\n")
    lines = [row + b"\n" for row in rows[:-1]] + ([rows[-1]] if rows[-1] else [])
    imported = import_lines(lines)
    assert imported.export() == bytes(text)


def test_a_huge_line_is_cut_into_parts() -> None:
    image = base64.b64encode(bytes(range(256)) * 8_000).decode()
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}}
    twin = {"file": {"base64": image}, "originalFile": "y\n" * 2_000_000}
    rows = write([prompt(1, None), result(2, 1, "c", [block], toolUseResult=twin)])
    imported = import_lines(rows)
    assert imported.export() == b"".join(rows)
    response = imported.data[1]["parts"][0]["response"]
    assert response[0]["type"] == "blob"
    assert imported.parts[response[0]["blob_ref"]] == image.encode()
    assert len(imported.parts) == 2
    assert len(imported.events[1].source or b"") < INLINE_PART_BYTES_MAX


def test_content_blocks_become_parts() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xxx"},
        {"type": "text", "text": "hello"},
        {"type": "tool_use", "id": "t", "name": 'Task" >\n<x', "input": {"a": 1}, "caller": {"type": "direct"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}, "title": "A"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "brand_new", "x": 1},
        {"type": "text", "text": 5},
    ]
    kind, data, _ = one(reply(1, None, *blocks))
    assert kind == "message"
    parts = decode_message(json.dumps(data).encode()).parts
    expected = ["reasoning", "reasoning", "text", "tool_call", "uri", "server_tool_call", "opaque", "opaque"]
    assert [part.type for part in parts] == expected
    assert data["parts"][0]["signature"] == "sig"
    assert data["parts"][3]["caller"] == {"type": "direct"}
    assert data["parts"][4]["ext"] == {"title": "A"}
    assert (data["model"], data["provider"]) == ("claude-opus-4-5-20251101", "anthropic")


@pytest.mark.parametrize("odd", [None, 5, "text", [], {}, {"content": 5}, {"content": [5, None, {}]}, {"id": 5, "model": [], "usage": "x"}])
@pytest.mark.parametrize("kind", ["user", "assistant"])
def test_odd_messages_never_raise(kind: str, odd: Any) -> None:
    type_, data, _ = one(line(kind, 1, None, message=odd, timestamp=5, cwd=[], parentUuid={}, agentId=7))
    assert type_ in {"message", "opaque"}
    if type_ == "message":
        decode_message(json.dumps(data).encode())


def test_synthetic_messages_have_no_model_and_no_usage() -> None:
    item = reply(1, None)
    item["message"]["model"] = "<synthetic>"
    imported = import_lines(write([item]))
    assert imported.data[0]["synthetic"] is True
    assert "model" not in imported.data[0]
    assert not imported.usage()


def test_a_notice_of_a_failed_request_is_for_people_alone() -> None:
    notice = {"type": "text", "text": "You have reached your limit"}
    imported = import_lines(write([prompt(1, None), reply(2, 1, notice, isApiErrorMessage=True), reply(3, 2, notice)]))
    assert [event.visibility for event in imported.events if event.type == "message"] == ["both", "ui", "both"]


def test_the_cost_of_old_versions_is_kept() -> None:
    assert import_lines(write([reply(1, None, costUSD=0.0039964499999999995)])).usage().cost_microusd == 3996


@pytest.mark.parametrize(
    ("item", "kind", "visibility"),
    [
        (prompt(1, None, isMeta=True), "context", "model"),
        (line("system", 1, None, subtype="local_command", content="<command-name>/x"), "context", "both"),
        (line("system", 1, None, subtype="stop_hook_summary", hookCount=1), "hook", "none"),
        (line("system", 1, None, subtype="turn_duration", durationMs=7), "opaque", "none"),
        (line("system", 1, None, subtype="api_error", error={"status": 529}), "opaque", "ui"),
        (line("progress", 1, None, data={"type": "bash_progress"}), "tool.progress", "ui"),
        (line("progress", 1, None, data={"type": "hook_progress"}), "tool.progress", "none"),
        (line("attachment", 1, None, attachment={"type": "hook_success", "stdout": "x"}), "hook", "ui"),
        (
            line("attachment", 1, None, attachment={"type": "date"}, rendered=[{"content": "It is May"}], renderedRole="system"),
            "context",
            "model",
        ),
        (line("attachment", 1, None, attachment={"type": "queued_command", "prompt": "also this"}), "context", "both"),
        (line("attachment", 1, None, attachment={"type": "session_context", "context": {"gitStatus": "clean"}}), "context", "none"),
        (line("attachment", 1, None, attachment={"type": "unheard_of"}), "opaque", "none"),
        ({"type": "tools-used", "tools": ["Read"], "sessionId": "s"}, "settings", "none"),
        ({"type": "atis-latch", "atis": "", "sessionId": "s"}, "settings", "none"),
        ({"type": "file-history-snapshot", "messageId": "m", "snapshot": {"trackedFileBackups": {"a": {}}}}, "snapshot", "none"),
        ({"type": "queue-operation", "operation": "enqueue", "content": "later"}, "queue", "ui"),
        ({"type": "pr-link", "prNumber": 1, "prUrl": "https://example.org/1"}, "link", "ui"),
        ({"type": "cost-state", "totalCostUSD": 1.5}, "usage", "none"),
        ({"type": "permission-mode", "permissionMode": "plan"}, "settings", "none"),
        ({"type": "api-request-blob", "hash": "x", "message": {}}, "opaque", "none"),
        ({"type": "never seen"}, "opaque", "none"),
        ({}, "opaque", "none"),
    ],
)
def test_every_line_type_has_its_event_type(item: dict[str, Any], kind: str, visibility: str) -> None:
    found = one(item)
    assert (found[0], found[2]) == (kind, visibility)
    if kind == "opaque" and "subtype" not in item and "attachment" not in item:
        assert found[1]["native_type"] == item.get("type", "(none)")


def test_what_nobody_typed_is_no_turn() -> None:
    lines = [
        prompt(1, None, "do it"),
        prompt(2, 1, "<local-command-stdout>ok</local-command-stdout>"),
        prompt(3, 2, "[Request interrupted by user]"),
        prompt(4, 3, "done in the background", origin={"kind": "task-notification"}),
        result(5, 4, "c"),
        prompt(6, 5, "next", origin={"kind": "human"}),
    ]
    assert [event.turn_count for event in import_lines(write(lines)).events if event.source] == [1, 0, 0, 0, 0, 1]


def test_titles_the_users_wins_and_foreign_summaries_count_for_nothing() -> None:
    mine, foreign = {"type": "summary", "summary": "Mine", "leafUuid": uid(2)}, {"type": "summary", "summary": "Other", "leafUuid": uid(99)}
    chat = [prompt(1, None, "make it so"), reply(2, 1)]
    ai, custom = {"type": "ai-title", "aiTitle": "By the tool"}, {"type": "custom-title", "customTitle": "By me"}
    assert import_lines(write(chat)).title == "make it so"
    assert import_lines(write([foreign, *chat])).title == "make it so"
    assert import_lines(write([mine, *chat])).title == "Mine"
    assert import_lines(write([*chat, mine])).title == "Mine"
    assert import_lines(write([mine, *chat, ai])).title == "By the tool"
    assert import_lines(write([*chat, custom, ai])).title == "By me"


def test_the_last_tag_wins() -> None:
    imported = import_lines(write([{"type": "tag", "tag": "a"}, {"type": "tag", "tag": "b"}, {"type": "tag", "tag": ""}]))
    assert imported.data == [{"added": ["a"], "removed": []}, {"added": ["b"], "removed": ["a"]}, {"added": [], "removed": ["b"]}]


def test_files_are_discovered_with_their_companions(tmp_path: Path) -> None:
    session = "11111111-2222-4333-8444-555555555555"
    project = tmp_path / "cfg" / "projects" / "-w"
    agents = project / session / "subagents"
    agents.mkdir(parents=True)
    main, agent, old = project / f"{session}.jsonl", agents / "agent-a1.jsonl", project / "agent-b2.jsonl"
    main.write_bytes(b"".join(write([prompt(1, None)])))
    for path in (agent, old):
        path.write_bytes(b"".join(write([prompt(1, None, isSidechain=True, agentId=path.stem[6:])])))
    meta = agents / "agent-a1.meta.json"
    meta.write_text('{"agentType": "x"}')
    known = ClaudeCodeFormat()
    assert sorted(known.discover(tmp_path, {"CLAUDE_CONFIG_DIR": str(tmp_path / "cfg")})) == sorted([main, agent, old])
    assert list(known.discover(tmp_path, {})) == []
    assert known.companions(main) == [agent, meta, old]
    assert known.companions(agent) == [meta]
    info = known.describe(agent, [])
    assert info.files == {"agent-a1.meta.json": '{"agentType": "x"}'}
    assert info.native_id == f"{session}/subagents/agent-a1"
    assert known.export_name(info.native_id) == f"{session}/subagents/agent-a1.jsonl"
    assert known.describe(old, old.read_bytes().splitlines()).parent == {"session_id": session, "relation": "subagent"}


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "/abs", "a/../../b", "..", "a\x00b", "c:\\d"])
def test_exported_names_stay_inside(hostile: str) -> None:
    name = ClaudeCodeFormat().export_name(hostile)
    assert (Path("/target") / name).resolve().is_relative_to("/target")
    assert "\x00" not in name
