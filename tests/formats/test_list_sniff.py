"""Which lists are whose, by content, and what is nobody's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from turnfold.formats.lists.peek import peek
from turnfold.formats.registry import BUILT_IN, SNIFF_BYTES, formats

USER = {"role": "user", "content": "hi"}
CHAT = [
    USER,
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
]
ANTHROPIC = [USER, {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}]
RESPONSES = [USER, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]
VERCEL = [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "hi"}]}]
LANGCHAIN = [{"type": "human", "data": {"content": "hi", "type": "human"}}]
KNOWN: list[tuple[str, Any]] = [
    ("openai", CHAT),
    ("openai", [USER]),
    ("openai", [{"role": "system", "content": "s"}, USER, {"role": "assistant", "content": "yo"}]),
    ("openai", {"thread_id": "t", "messages": [{**USER, "created_at": 1, "metadata": {}}]}),
    ("openai", {"model": "gpt", "messages": CHAT, "tools": []}),
    ("anthropic", ANTHROPIC),
    ("anthropic", {"system": "s", "messages": [USER]}),
    ("anthropic", [USER, {"role": "assistant", "content": [{"type": "text", "text": "yo"}]}]),
    ("anthropic", [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://example.org"}}]}]),
    ("openai-responses", RESPONSES),
    ("openai-responses", {"object": "response", "id": "resp_1", "output": [{"type": "message", "role": "assistant", "content": []}]}),
    ("openai-responses", {"model": "gpt", "input": [USER], "instructions": "s"}),
    ("vercel", VERCEL),
    ("vercel", {"id": "c", "messages": VERCEL}),
    ("langchain", LANGCHAIN),
    ("langchain", [{"type": "human", "content": "hi"}, {"type": "ai", "content": "yo"}]),
    ("langchain", {"messages": [{"type": "system", "content": "hi", "additional_kwargs": {}}], "memory_variables": {}}),
]
NOBODYS: list[Any] = [
    [],
    {},
    [1, 2],
    {"messages": []},
    {"messages": "x"},
    [{"type": "system", "content": "s"}, {"type": "user", "content": "x"}],
    [{"role": "model", "parts": [{"text": "x"}]}],
    [{"role": "user", "content": [{"text": "x"}]}],
    [{"role": "user", "parts": [{"type": "text", "content": "x"}]}],
    [{"role": "user", "content": "x", "uuid": "1", "cwd": "/"}],
    {"name": "a-package", "version": "1.0.0", "dependencies": {}},
    [{"role": ["user"], "content": {"a": 1}}, {"type": {"x": 1}}],
]


def _found(head: bytes) -> str | None:
    fmt = formats().detect_head(Path("list.json"), head[:SNIFF_BYTES])
    return None if fmt is None else fmt.name


@pytest.mark.parametrize(("name", "value"), KNOWN)
def test_a_list_is_known_by_its_items(name: str, value: Any) -> None:
    for indent in (None, 2):
        assert _found(json.dumps(value, indent=indent).encode()) == name


@pytest.mark.parametrize(("name", "items"), [(name, value) for name, value in KNOWN if isinstance(value, list)])
def test_one_item_per_line_is_a_format_of_its_own(name: str, items: list[Any]) -> None:
    if name == "openai-responses":
        items = items[1:]
    assert _found("".join(json.dumps(item) + "\n" for item in items).encode()) == f"{name}-jsonl"


@pytest.mark.parametrize("value", NOBODYS)
def test_what_is_no_list_is_left_alone(value: Any) -> None:
    assert _found(json.dumps(value).encode()) is None


@pytest.mark.parametrize(("name", "items"), [("openai", CHAT), ("anthropic", ANTHROPIC), ("vercel", VERCEL), ("langchain", LANGCHAIN)])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_long_list_is_known_by_its_beginning(name: str, items: list[Any], indent: int | None) -> None:
    data = json.dumps({"messages": items * 3_000}, indent=indent).encode()
    assert len(data) > SNIFF_BYTES
    assert _found(data) == name


def test_a_first_message_longer_than_the_head_is_seen_as_far_as_it_goes() -> None:
    items = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 200_000}}]}]
    assert _found(json.dumps(items).encode()) == "openai"


@pytest.mark.parametrize(
    "head", [b"[" * 70_000, b'{"a":' * 20_000, b'["\\', b'[{"role":"user","content":"\\u12', b"[{]", b"\xff\xfe[", b"[" + b'"' * 3]
)
def test_broken_and_deep_heads_show_nothing(head: bytes) -> None:
    assert not peek(head).items
    assert _found(head) is None


def test_lists_claim_no_file_of_another_tool(shared_dir: Path) -> None:
    listed = [formats().get(name) for name, place in BUILT_IN.items() if place.startswith("turnfold.formats.lists:")]
    assert len(listed) == 10
    files = [path for path in (shared_dir / "data").rglob("*.json*") if path.is_file()]
    assert len(files) >= 60
    for path in files:
        with path.open("rb") as file:
            head = file.read(SNIFF_BYTES)
        assert {fmt.name: fmt.sniff(path, head) for fmt in listed if fmt.sniff(path, head) >= 0.3} == {}, path
