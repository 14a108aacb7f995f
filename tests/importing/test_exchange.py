"""Scenario 29: sessions go from one shape to the next and back, and what they say stays what it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.importing.sessions import codex_file, corpus, head_of, key_of
from turnfold.core.conversation import ConversationEntry
from turnfold.engine.converting import conversation_of
from turnfold.engine.exporter import Exporter
from turnfold.engine.importer import Importer
from turnfold.formats.loss import LossReport
from turnfold.ports.store import Store
from turnfold.stores.registry import open_store

PNG = "data:image/png;base64,iVBORw0KGgo="
THREAD: list[dict[str, Any]] = [
    {"role": "developer", "content": "Be brief. Grüße ✓"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What are these?"},
            {"type": "image_url", "image_url": {"url": PNG}},
            {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": [1, null], "s": "a\\"b"}'}},
            {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": '{"at":2}'}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "a dot"},
    {"role": "tool", "tool_call_id": "call_2", "content": "a cat"},
    {"role": "assistant", "content": "A dot and a cat."},
]


def new_store() -> Store:
    return open_store("memory://")


def bring(store: Store, path: Path, name: str | None = None) -> str:
    result = Importer(store).import_file(path, name)
    assert result.problem_count == 0, result.problems
    (session_id,) = result.session_ids
    return session_id


def write(store: Store, session_id: str, name: str, path: Path) -> Path:
    path.write_bytes(b"".join(Exporter(store).converted(session_id, name, LossReport())))
    return path


def carry(store: Store, session_id: str, name: str, folder: Path) -> tuple[Store, str]:
    """Write a session in a format, and read it into another store."""
    other = new_store()
    return other, bring(other, write(store, session_id, name, folder / f"{name}.json"), name)


def facts(entry: ConversationEntry) -> Any:
    assert entry.message is not None
    message = msgspec.structs.replace(entry.message, seq=0, usage=None, ext={**entry.message.ext})
    for part in message.parts:
        if hasattr(part, "blob_ref"):
            part.blob_ref = None  # the name of bytes that are here
    return entry.type, entry.at_us, entry.visibility, entry.is_turn, entry.usage, msgspec.to_builtins(message)


def conversation_facts(store: Store, session_id: str) -> list[list[Any]]:
    """What was said, and what a model would get next."""
    told = conversation_of(store, key_of(session_id), losses=LossReport())
    return [[facts(entry) for entry in entries if entry.message is not None] for entries in (told.entries, told.for_model)]


@pytest.mark.parametrize("tool", ["codex", "claude-code"])
def test_scenario_29_a_tools_session_comes_back_out_of_usf(shared_dir: Path, tmp_path: Path, tool: str) -> None:
    checked = 0
    for path in corpus(shared_dir):
        if tool not in path.parts or path.stat().st_size > 300_000:
            continue
        store = new_store()
        result = Importer(store).import_file(path)
        session_id = result.session_ids[0]
        if not head_of(store, session_id).info.message_count:
            continue
        other, copy = carry(store, session_id, "usf", tmp_path)
        assert conversation_facts(other, copy) == conversation_facts(store, session_id)
        assert write(other, copy, "usf", tmp_path / "again.json").read_bytes() == (tmp_path / "usf.json").read_bytes()
        checked += 1
        if checked == 12:
            break
    assert checked >= 5


def openai(store: Store, session_id: str, folder: Path) -> Any:
    value = json.loads(write(store, session_id, "openai", folder / "openai-out.json").read_text())
    return value["messages"] if isinstance(value, dict) else value


@pytest.mark.parametrize("way", [["usf"], ["usf", "langchain"], ["langchain", "usf"], ["langchain"], ["usf", "usf"]], ids="-".join)
def test_scenario_29_an_openai_thread_goes_and_comes_back(tmp_path: Path, way: list[str]) -> None:
    path = tmp_path / "thread.json"
    path.write_text(json.dumps(THREAD))
    store = new_store()
    session_id = bring(store, path, "openai")
    there = openai(store, session_id, tmp_path)
    for name in way:
        store, session_id = carry(store, session_id, name, tmp_path)
    back = openai(store, session_id, tmp_path)
    assert "[{'" not in (tmp_path / "openai-out.json").read_text()
    assert [one["role"] for one in back] == [one["role"] for one in THREAD]
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for one in back
        for call in one.get("tool_calls", ())
    ]
    assert calls == [("call_1", "look", {"at": [1, None], "s": 'a"b'}), ("call_2", "look", {"at": 2})]
    assert [one.get("tool_call_id") for one in back] == [one.get("tool_call_id") for one in THREAD]
    if "langchain" in way:  # it has arguments as objects, and no text of them
        for one in (call["function"] for thread in (back, there) for message in thread for call in message.get("tool_calls", ())):
            one["arguments"] = json.loads(one["arguments"])
    assert back == there


def test_scenario_29_a_tampered_or_newer_document_is_refused(shared_dir: Path, tmp_path: Path) -> None:
    store = new_store()
    session_id = Importer(store).import_file(codex_file(shared_dir, "agentv-019ed836")).session_ids[0]
    document = json.loads(write(store, session_id, "usf", tmp_path / "usf.json").read_text())
    for change, said in (({"session_id": "other"}, "checksum"), ({"version": "2.0"}, "'2.0'")):
        (tmp_path / "usf.json").write_text(json.dumps({**document, **change}))
        result = Importer(new_store()).import_tree([tmp_path / "usf.json"])
        assert result.session_ids == []
        assert [file.outcome for file in result.files] == ["skipped"]
        assert said in str(result.files[0].reason)
