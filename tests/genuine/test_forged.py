"""The programs resume what the format descriptions say they resume: the ground that the converters stand on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.genuine.clis import ClaudeCli, CodexCli
from tools.genuine.script import Answer, Script, Shell
from tools.genuine.sent import Sent, sent_of
from tools.genuine.server import ScriptedModel

from tests.genuine.forged import PNG, ROLLOUT, SESSION, THREAD, claude_file, codex_file, codex_message

pytestmark = pytest.mark.genuine


def resumed(model: ScriptedModel) -> Sent:
    """Return the first request of a resumed session."""
    return sent_of(model.conversations()[0])


def test_claude_sends_a_foreign_tool_call_with_its_result(claude: ClaudeCli, model: ScriptedModel) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    content = claude_file(
        [
            ("user", "look around"),
            ("assistant", [{"type": "tool_use", "id": "call_1", "name": "exec_command", "input": {"cmd": "ls"}}]),
            ("user", [{"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "a.py"}, image]}]),
            ("assistant", [{"type": "text", "text": "There is a.py."}]),
        ]
    )
    claude.place(SESSION, content)
    claude.ask("and now?", resume=SESSION).check()
    sent = resumed(model)
    assert sent.calls == {"call_1": ("exec_command", {"cmd": "ls"})}
    assert sent.results == {"call_1": "a.py"}
    assert sent.images == [PNG]
    assert [text for text in ("look around", "There is a.py.", "and now?") if text not in sent.text] == []


def test_claude_closes_a_call_that_was_never_answered(claude: ClaudeCli, model: ScriptedModel) -> None:
    call = {"type": "tool_use", "id": "call_1", "name": "exec_command", "input": {"cmd": "ls"}}
    claude.place(SESSION, claude_file([("user", "look around"), ("assistant", [call])]))
    claude.ask("and now?", resume=SESSION).check()
    assert "interrupted" in resumed(model).results["call_1"]


def test_codex_sends_a_foreign_tool_call_with_its_result_and_lists_the_thread(codex: CodexCli, model: ScriptedModel) -> None:
    url = f"data:image/png;base64,{PNG}"
    items = [
        codex_message("user", "hi"),
        {"type": "function_call", "name": "Bash", "arguments": '{"command":"ls"}', "call_id": "toolu_1"},
        {
            "type": "function_call_output",
            "call_id": "toolu_1",
            "output": [{"type": "input_text", "text": "a.py"}, {"type": "input_image", "image_url": url}],
        },
        codex_message("assistant", "There is a.py."),
    ]
    path = codex.place(ROLLOUT, codex_file(items))
    before = path.read_bytes()
    assert [thread["id"] for thread in codex.threads()] == [THREAD]
    codex.ask("and now?", resume=THREAD).check()
    sent = resumed(model)
    assert sent.calls == {"toolu_1": ("Bash", {"command": "ls"})}
    assert sent.results == {"toolu_1": "a.py"}
    assert sent.images == [PNG]
    assert [text for text in ("hi", "There is a.py.", "and now?") if text not in sent.text] == []
    assert path.read_bytes().startswith(before)


def test_codex_closes_a_call_that_was_never_answered(codex: CodexCli, model: ScriptedModel) -> None:
    call = {"type": "function_call", "name": "Bash", "arguments": '{"command":"ls"}', "call_id": "toolu_1"}
    codex.place(ROLLOUT, codex_file([codex_message("user", "hi"), call]))
    codex.ask("and now?", resume=THREAD).check()
    assert resumed(model).results == {"toolu_1": "aborted"}


@pytest.mark.parametrize("name", ["claude", "codex"])
def test_a_scripted_turn_calls_in_parallel_and_ends(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    model: ScriptedModel = request.getfixturevalue("model")
    model.script = Script({"[two]": [Answer("Both.", (Shell("echo one"), Shell("echo two")), reasoning="Two at once."), Answer("Done.")]})
    cli: ClaudeCli | CodexCli = request.getfixturevalue(name)
    cli.ask("do [two] of them").check()
    sent = sent_of(model.conversations()[-1])
    assert len(sent.calls) == 2
    assert sent.unpaired() == set()
    assert [word for word in ("one", "two") if not any(word in result for result in sent.results.values())] == []
    assert model.script.left() == {}
