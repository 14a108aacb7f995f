"""The scripted model speaks both APIs, keeps what it was asked, and is no way out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from tools.genuine.script import DONE, SUMMARY, Answer, Call, Script, Search, Shell
from tools.genuine.server import ScriptedModel

BASH = {"name": "Bash", "input_schema": {}}
EXEC = {"type": "function", "name": "exec_command"}


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    scenes = {
        "[two]": [Answer("Both.", (Shell("echo one"), Call("apply_patch", "*** Begin Patch")), reasoning="Two.")],
        "[side]": [Answer("", (Search("agents"),))],
    }
    with ScriptedModel(Script(scenes)) as running:
        yield running


def post(model: ScriptedModel, path: str, body: Any, **headers: str) -> tuple[int, str]:
    connection = HTTPConnection(model.url.removeprefix("http://"), timeout=10)
    connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def ask(text: str, *, stream: bool = False, tools: bool = True) -> dict[str, Any]:
    return {"model": "m", "stream": stream, "tools": [BASH] if tools else [], "messages": [{"role": "user", "content": text}]}


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def test_a_message_is_the_same_streamed_and_whole(model: ScriptedModel) -> None:
    streamed = events(post(model, "/v1/messages", ask("do [two]", stream=True))[1])
    assert (streamed[0]["type"], streamed[-1]["type"]) == ("message_start", "message_stop")
    deltas = [event["delta"] for event in streamed if event["type"] == "content_block_delta"]
    assert "".join(delta.get("text", "") for delta in deltas) == "Both."
    assert "".join(delta.get("thinking", "") for delta in deltas) == "Two."
    inputs = "".join(delta.get("partial_json", "") for delta in deltas)
    assert '"command": "echo one"' in inputs
    assert '"input": "*** Begin Patch"' in inputs
    model.script = Script({"[two]": [Answer("Both.", (Shell("echo one"),), reasoning="Two.")]})
    whole = json.loads(post(model, "/v1/messages?beta=true", ask("do [two]"))[1])
    assert [block["type"] for block in whole["content"]] == ["thinking", "text", "tool_use"]
    assert whole["stop_reason"] == "tool_use"


def test_a_response_is_the_same_streamed_and_whole(model: ScriptedModel) -> None:
    asked = {"model": "m", "stream": True, "tools": [EXEC], "input": "do [two]"}
    streamed = events(post(model, "/v1/responses", asked)[1])
    items = [event["item"] for event in streamed if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in items] == ["reasoning", "message", "function_call", "custom_tool_call"]
    assert (items[2]["name"], json.loads(items[2]["arguments"])) == ("exec_command", {"cmd": "echo one"})
    assert items[3]["input"] == "*** Begin Patch"
    assert streamed[-1]["response"]["output"] == items
    assert [event["sequence_number"] for event in streamed] == list(range(len(streamed)))
    whole = json.loads(post(model, "/v1/responses", {**asked, "stream": False, "input": "the [side]"})[1])
    assert [item["type"] for item in whole["output"]] == ["tool_search_call"]


def test_a_providers_compaction_is_one_item_that_only_it_can_read(model: ScriptedModel) -> None:
    asked = {"tools": [EXEC], "input": [{"type": "message", "role": "user", "content": "x"}, {"type": "compaction_trigger"}]}
    whole = json.loads(post(model, "/v1/responses", asked)[1])
    assert [item["type"] for item in whole["output"]] == ["compaction"]


def test_a_scene_is_played_once_and_side_business_does_not_use_it_up(model: ScriptedModel) -> None:
    def said(*, tools: bool = True, text: str = "do [two]") -> str:
        content = json.loads(post(model, "/v1/messages", ask(text, tools=tools))[1])["content"]
        return "".join(block.get("text", "") for block in content)

    assert said(tools=False) == DONE
    assert said(text="Summarize the conversation, [two] too") == SUMMARY
    assert model.script.left() == {"[two]": 1, "[side]": 1}
    assert [said(), said()] == ["Both.", DONE]
    assert model.script.left() == {"[side]": 1}


def test_the_newest_marker_decides() -> None:
    script = Script({"[one]": [Answer("1")], "[two]": [Answer("2")]})
    assert script.answer(["[two]", "[one]", "well?"], has_tools=True).text == "1"
    assert script.answer(["[one] then [two]"], has_tools=True).text == "2"


def test_everything_asked_is_kept_however_it_was_sent(model: ScriptedModel) -> None:
    data = json.dumps(ask("in pieces")).encode()
    pieces = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (data[:20], data[20:])) + b"0\r\n\r\n"
    assert post(model, "/v1/messages", pieces, **{"Transfer-Encoding": "chunked"})[0] == 200
    assert model.conversations() == [ask("in pieces")]
    assert json.loads(post(model, "/v1/messages/count_tokens", ask("x"))[1]) == {"input_tokens": 1_000}
    assert post(model, "/v1/messages", b"{no json")[0] == 400
    assert len(model.asked) == 1
    assert len(model.failures) == 1


def test_it_is_no_way_out(model: ScriptedModel) -> None:
    assert post(model, "http://example.org/v1/messages", ask("x"))[0] == 403
    connection = HTTPConnection(model.url.removeprefix("http://"), timeout=10)
    connection.set_tunnel("example.org", 443)
    with pytest.raises(OSError, match="403"):
        connection.connect()
    connection.close()
    assert model.refused == ["http://example.org/v1/messages", "example.org:443"]
    assert model.asked == []


def test_web_sockets_are_sent_away_to_plain_requests(model: ScriptedModel) -> None:
    connection = HTTPConnection(model.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/v1/responses", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    assert connection.getresponse().status == 426
    connection.close()
