"""Codex rollouts that are damaged or hostile: nothing is lost, and whatever was made of them can be stored."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.codex_reader import CODEX, Read, line, message
from turnfold.core.fold import payload_of
from turnfold.formats.base import Line
from turnfold.model.event import NewEvent
from turnfold.model.event_types import KNOWN_TYPES

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "content", "id", "summary", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = [
    "role",
    "content",
    "arguments",
    "call_id",
    "name",
    "output",
    "summary",
    "encrypted_content",
    "action",
    "tools",
    "message",
    "replacement_history",
    "info",
    "turn_id",
    "num_turns",
    "thread_name",
    "internal_chat_message_metadata_passthrough",
    "model",
    "usage",
    "thread_token_usage",
    "input",
    "status",
    "result",
    "item",
    "id",
]
ITEMS = [
    "message",
    "reasoning",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "local_shell_call",
    "web_search_call",
    "agent_message",
    "tool_search_call",
    "tool_search_output",
    "image_generation_call",
    "compaction",
    "ghost_snapshot",
    "nonsense",
    "token_count",
    "task_started",
    "task_complete",
    "error",
    "turn_aborted",
    "thread_rolled_back",
    "thread_name_updated",
    "thread_settings_applied",
    "item_completed",
    "user_message",
    "patch_apply_end",
]
KINDS = [
    "session_meta",
    "response_item",
    "event_msg",
    "turn_context",
    "compacted",
    "world_state",
    "token_usage_record",
    "inter_agent_communication",
    "nonsense",
]


def sound(read: Read, data: bytes) -> None:
    """Nothing is lost, and everything that was made of it can be stored and read."""
    assert read.written() == data
    for event in read.events:
        payload_of(event)
        assert event.type in KNOWN_TYPES
    json.dumps(read.reader.state())


@given(
    kind=st.sampled_from(KINDS), item_type=st.sampled_from(ITEMS), payload=st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6)
)
def test_fields_of_any_type_are_survived(kind: str, item_type: str, payload: dict[str, Any]) -> None:
    data = line(kind, {"type": item_type, **payload})
    sound(Read(data), data)


@given(st.lists(st.binary(max_size=60).filter(lambda data: b"\n" not in data and b"\r" not in data), max_size=5))
def test_any_bytes_are_kept(lines: list[bytes]) -> None:
    data = b"".join(piece + b"\n" for piece in lines)
    reader = Read(data) if data and b"\x0b" not in data and b"\x0c" not in data and b"\x1c" not in data else Read(b"")
    assert reader.written() in {data, b""}


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_lose_nothing(shared_dir: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = sorted((shared_dir / "data" / "transcripts" / "codex" / "generated").rglob("*.jsonl"))[seed]
    data = bytearray(path.read_bytes())
    for _ in range(60):
        place = chance.randrange(len(data))
        how = chance.randrange(4)
        if how == 0:
            data[place] = chance.randrange(256)
        elif how == 1:
            del data[place : place + chance.randrange(40)]
        elif how == 2:
            data[place:place] = data[place : place + chance.randrange(200)]
        else:
            data[place:place] = chance.choice([b"\n", b"\n\n", b"\\ud800", b"\x00", b"\xff", b"9" * 400, b"[" * 3000])
    whole = bytes(data)
    lines = whole.split(b"\n")
    lines = [piece + b"\n" for piece in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    read = Read(b"")
    offset = 0
    for number, piece in enumerate(lines, 1):
        for made in read.reader.feed(Line(number, offset, piece), len(read.projected) + 2):
            read.add(made)
        offset += len(piece)
    sound(read, whole)
    assert any(made.problem for made in read.projected)


def test_lone_surrogates_are_kept_in_the_line_and_replaced_in_the_text() -> None:
    data = message("user", "a#b and some more text").replace(b"#", b"\\ud800")
    read = Read(data)
    assert payload_of(read.events[0]).text == "a\ufffdb and some more text"
    assert read.written() == data


def test_new_event_fields_of_messages_are_complete() -> None:
    event = Read(message("assistant", "x")).projected[0].event
    assert isinstance(event, NewEvent)
    assert (event.message_count, event.turn_count, event.version) == (1, 0, 1)


@pytest.mark.parametrize("odd", [[], {}, [1], {"a": 1}])
def test_types_and_roles_that_are_no_text_are_survived(odd: Any) -> None:
    """A list or an object cannot be looked up in a set of names."""
    items: list[dict[str, Any]] = [
        {"type": "message", "role": odd, "content": []},
        {"type": "message", "role": "user", "content": [{"type": odd, "text": "x"}]},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": odd}]},
        {"type": odd},
    ]
    data = b"".join(line("response_item", item) for item in items) + json.dumps({"type": odd, "payload": {}}).encode() + b"\n"
    read = Read(data)
    assert len(read.events) == 5
    assert read.written() == data
    for row in data.splitlines(keepends=True):
        assert 0.0 <= CODEX.sniff(Path("x.jsonl"), row) <= 1.0
