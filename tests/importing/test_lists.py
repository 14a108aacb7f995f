"""Documents with message lists through a store: once, as they grow, and out again in another shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.importing.sessions import check_session, head_of, key_of
from turnfold.client import Client
from turnfold.engine.converting import conversation_of
from turnfold.engine.exporter import Exporter
from turnfold.engine.importer import Importer
from turnfold.formats.loss import LossReport
from turnfold.ports.store import Store

IMAGE = "A" * 40_000


def _import(store: Store, path: Path, value: Any, *, lines: bool = False) -> str:
    path.write_text("".join(json.dumps(item) + "\n" for item in value) if lines else json.dumps(value))
    (file,) = Importer(store).import_file(path).files
    assert file.session_id is not None, file
    return file.outcome


def _texts(store: Store, session_id: str) -> list[tuple[str, str]]:
    conversation = conversation_of(store, key_of(session_id), losses=LossReport())
    return [(entry.message.role, entry.message.text) for entry in conversation.entries if entry.message is not None]


def test_a_request_comes_in_once_and_as_it_grows(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}
    body: dict[str, Any] = {
        "model": "claude-x",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}],
    }
    assert _import(store, path, body) == "imported"
    assert _import(store, path, body) == "unchanged"
    body["messages"] += [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [image]}, {"type": "text", "text": "well?"}]},
    ]
    body["system"] = "Be kind."
    assert _import(store, path, body) == "updated"
    check_session(store, "request")
    head = head_of(store, "request")
    assert (head.info.agent, head.info.title, head.info.turn_count, head.info.message_count) == ("anthropic", "What is this?", 2, 4)
    assert _texts(store, "request") == [("user", "What is this?"), ("assistant", ""), ("tool", ""), ("user", "well?")]

    (file,) = Exporter(store).write("request", tmp_path / "out.json", "anthropic")
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["system"] == "Be kind."
    assert written["messages"][0]["content"][1] == image
    assert written["messages"][2]["content"][0]["content"] == [image]
    assert list(file.losses) == ["times and token counts of messages"]


def test_an_answer_that_is_still_being_written_is_read_again(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "chat.json"

    def chat(*parts: dict[str, Any]) -> dict[str, Any]:
        question = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Weather?"}]}
        return {"id": "chat-7", "title": "Oslo", "messages": [question, {"id": "m2", "role": "assistant", "parts": list(parts)}]}

    call = {"type": "tool-weather", "toolCallId": "c1", "input": {"city": "Oslo"}}
    assert _import(store, path, chat({**call, "state": "input-available"})) == "imported"
    assert _texts(store, "chat-7") == [("user", "Weather?"), ("assistant", "")]
    done = {**call, "state": "output-available", "output": "cold"}
    assert _import(store, path, chat(done, {"type": "text", "text": "Cold.", "state": "done"})) == "updated"
    with Client(store, close_store=False) as client:
        messages = client.open("chat-7").messages()
    assert [message.role for message in messages] == ["user", "assistant", "tool"]
    assert [(part.id, part.response) for message in messages for part in message.tool_results] == [("c1", "cold")]
    assert head_of(store, "chat-7").info.title == "Oslo"
    check_session(store, "chat-7")


def test_a_thread_with_parallel_calls_goes_through_every_shape(store: Store, tmp_path: Path) -> None:
    """Scenario 29: nothing becomes a repr string; ids, arguments and answers survive, through the store and two other shapes."""
    thread = {
        "thread_id": "thread-1",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "Weather?"}, {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
            },
            {
                "role": "assistant",
                "content": "Looking.",
                "tool_calls": [
                    {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
                    {"id": "call_b", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
                ],
            },
            {"role": "tool", "tool_call_id": "call_a", "content": "cold"},
            {"role": "tool", "tool_call_id": "call_b", "content": "warm"},
            {"role": "assistant", "content": "Oslo is cold, Rome is warm."},
        ],
    }
    _import(store, tmp_path / "thread.json", thread)
    session_id = "thread-1"
    for step, name in enumerate(("langchain", "openai-responses", "anthropic", "openai")):
        path = tmp_path / f"step-{step}.json"
        Exporter(store).write(session_id, path, name)
        assert "{'" not in path.read_text()
        (file,) = Importer(store).import_file(path).files
        assert file.format == name
        session_id = str(file.session_id)
        with Client(store, close_store=False) as client:
            messages = client.open(session_id).messages()
        calls = {part.id: part.arguments for message in messages for part in message.tool_calls}
        answers = {part.id: part.response for message in messages for part in message.tool_results}
        assert calls == {"call_a": {"city": "Oslo"}, "call_b": {"city": "Rome"}}
        assert answers == {"call_a": "cold", "call_b": "warm"}
        assert messages[-1].text == "Oslo is cold, Rome is warm."


def test_an_untouched_document_is_written_back_as_equal_json(store: Store, tmp_path: Path) -> None:
    items = [
        {"role": "system", "content": "rules"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{ }"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "r"},
        {"role": "assistant", "content": "done"},
    ]
    _import(store, tmp_path / "items.json", items)
    Exporter(store).write("items", tmp_path / "out.json", "openai")
    assert json.loads((tmp_path / "out.json").read_text()) == items
