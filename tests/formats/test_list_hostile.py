"""Lists with wrong types everywhere, broken documents, and lists that grow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats.list_driver import ReadList, read_items
from turnfold.engine.exporter import Exporter
from turnfold.engine.importer import Importer
from turnfold.errors import FormatError
from turnfold.formats.lists import anthropic, openai
from turnfold.formats.registry import formats
from turnfold.stores.memory import MemoryStore

NAMES = ["openai", "openai-responses", "anthropic", "vercel", "langchain"]
WORDS = [
    *(
        "role",
        "user",
        "assistant",
        "tool",
        "system",
        "function",
        "content",
        "type",
        "text",
        "id",
        "name",
        "data",
        "parts",
        "input",
        "output",
    ),
    *(
        "tool_calls",
        "function_call",
        "arguments",
        "call_id",
        "tool_call_id",
        "tool_use",
        "tool_result",
        "tool_use_id",
        "thinking",
        "signature",
    ),
    *(
        "image",
        "image_url",
        "url",
        "source",
        "base64",
        "media_type",
        "reasoning",
        "summary",
        "human",
        "ai",
        "lc",
        "kwargs",
        "AIMessage",
        "args",
    ),
    *(
        "additional_kwargs",
        "response_metadata",
        "usage",
        "usage_metadata",
        "input_tokens",
        "status",
        "state",
        "toolCallId",
        "tool-x",
        "file",
    ),
    *(
        "output-available",
        "step-start",
        "providerMetadata",
        "message",
        "function_call_output",
        "redacted_thinking",
        "created_at",
        "metadata",
    ),
]
words = st.sampled_from(WORDS)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | words | st.text(max_size=5)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=6), max_leaves=25)
blocks = st.lists(values | st.dictionaries(words, values, max_size=5).map(lambda block: {"type": "text", **block}), max_size=3)
fitting = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "tool", "function"]),
        "content": blocks | values,
        "type": st.sampled_from(["human", "ai", "tool"]),
    },
    optional=dict.fromkeys(("data", "tool_calls", "function_call", "usage", "usage_metadata", "audio", "additional_kwargs"), values)
    | {"parts": blocks},
)
records = st.dictionaries(words, values, max_size=8) | fitting


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=100, deadline=None)
@given(items=st.lists(records, min_size=1, max_size=4))
def test_no_item_makes_a_reader_fail(name: str, items: list[dict[str, Any]]) -> None:
    lines = [json.dumps(item).encode() for item in items]
    read = ReadList(name, lines)
    assert read.kept() == lines
    assert read.messages is not None
    formats().get(name).sniff(Path("x.json"), json.dumps(items).encode())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "line", [b"", b"[]", b"7", b"{", b'{"a":1}{"b":2}', b'{"role":"\\ud800"}', b"[" * 5_000, b'{"role":"user","content":"\x00"}']
)
def test_a_line_that_is_no_item_is_kept_with_its_problem(name: str, line: bytes) -> None:
    read = ReadList(name, [line])
    assert read.kept() == [line]
    assert all(event.type == "opaque" for event in read.events)
    assert bool(read.problems) is bool(line)


def test_a_reader_goes_on_from_its_state() -> None:
    items = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"},
    ]
    whole = read_items("openai", items)
    first = ReadList("openai", [json.dumps(item).encode() for item in items[:2]])
    rest = ReadList("openai", [json.dumps(items[2]).encode()], json.loads(json.dumps(first.reader.state())))
    assert [*first.messages, *rest.messages] == whole.messages


def test_a_document_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for text in ('[{"role":', '{"a": 1}', "7", "not json\nat all"):
        path = tmp_path / "bad.json"
        path.write_text(text)
        with pytest.raises(FormatError, match=r"bad\.json"):
            list(openai().documents(path))
    with pytest.raises(FormatError, match=r"none\.json"):
        list(openai().documents(tmp_path / "none.json"))


def test_training_data_is_a_session_per_line(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"messages":[{"role":"user","content":"a"}]}\nnot json\n{"messages":[{"role":"user","content":"b"}]}\n')
    assert formats().require(path).name == "openai"
    documents = list(openai().documents(path))
    assert [document.native_id for document in documents] == ["train-1", "train-2", "train-3"]
    reads = [ReadList("openai", list(document.lines)) for document in documents]
    assert [[message.text for message in read.messages] for read in reads] == [["a"], [], ["b"]]
    assert [len(read.problems) for read in reads] == [0, 1, 0]


def test_a_grown_document_begins_with_the_same_lines(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    body = {"system": "s", "messages": [{"role": "user", "content": "a"}], "max_tokens": 5}
    path.write_text(json.dumps(body))
    (before,) = anthropic().documents(path)
    path.write_text(json.dumps({**body, "messages": [*body["messages"], {"role": "assistant", "content": "b"}], "max_tokens": 9}))  # type: ignore[misc]
    (after,) = anthropic().documents(path)
    assert before.native_id == after.native_id == "chat"
    assert before.settled_count == 2
    assert after.lines[:2] == before.lines[:2]
    assert after.lines[-1] != before.lines[-1]  # what stands around the list comes last, since it changes


def test_lines_of_items_import_as_they_grow_and_come_back_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    first = b'{"role":"user","content":"hi"}\n{"type": "function_call","call_id":"c","name":"f","arguments":"{}"}\n'
    path.write_bytes(first)
    store = MemoryStore()
    (file,) = Importer(store).import_file(path).files
    assert (file.format, file.session_id, file.outcome) == ("openai-responses-jsonl", "items", "imported")
    path.write_bytes(first + b'{"type":"function_call_output","call_id":"c","output":"r"}\n')
    (file,) = Importer(store).import_file(path).files
    assert (file.outcome, file.event_count) == ("updated", 1)
    (file,) = Importer(store).import_file(path).files
    assert file.outcome == "unchanged"
    assert b"".join(Exporter(store).native("items")) == path.read_bytes()
