"""Sessions written as another tool's are resumed by that tool, which then sends every call, result, image and text of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.genuine.clis import ClaudeCli, CodexCli
from tools.genuine.script import DONE
from tools.genuine.sent import sent_of
from tools.genuine.server import ScriptedModel

from tests.genuine.conftest import Counts, new_claude, new_codex
from tests.genuine.sessions import CLAUDE, CODEX, Imported, as_objects, carried, compared, corpus_file, imported, place
from turnfold.engine.converting import conversation_of, convert
from turnfold.engine.exporter import Exporter
from turnfold.engine.importer import Importer
from turnfold.formats.claude_code.writer import ClaudeCodeWriter
from turnfold.formats.loss import LossReport
from turnfold.formats.registry import formats
from turnfold.model.session import SessionKey
from turnfold.stores.registry import open_store

pytestmark = pytest.mark.genuine
PROMPT = "And now, what is left?"
LEGACY = "generated/0.8.0/"
"""A rollout of the time before lines had a wrapper, which today's Codex refuses."""


@pytest.mark.parametrize("part", CLAUDE)
def test_codex_goes_on_with_a_session_of_claude_code(
    part: str, shared_dir: Path, model: ScriptedModel, tmp_path: Path, counts: Counts
) -> None:
    session = imported(open_store("memory://"), corpus_file(shared_dir, "claude-code", part))
    cli = new_codex(model, tmp_path)
    path = carry_over(session, cli, model, counts, part)
    assert [(thread["id"], thread["path"]) for thread in cli.threads()] == [(path.stem[-36:], str(path))]


@pytest.mark.parametrize("part", [*CODEX, LEGACY])
def test_claude_goes_on_with_a_session_of_codex(part: str, shared_dir: Path, model: ScriptedModel, tmp_path: Path, counts: Counts) -> None:
    session = imported(open_store("memory://"), corpus_file(shared_dir, "codex", part))
    carry_over(session, new_claude(model, tmp_path), model, counts, part)


OTHERS = (
    "copilot-cli/agentv",
    "gemini/large",
    "grok/chat_history",
    "kimi/assistant_tools",
    "pi/small",
)


@pytest.mark.parametrize("tool", ["claude", "codex"])
@pytest.mark.parametrize("part", OTHERS)
def test_both_go_on_with_sessions_of_other_tools(
    part: str, tool: str, shared_dir: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model: ScriptedModel = request.getfixturevalue("model")
    session = imported(open_store("memory://"), corpus_file(shared_dir, "other", part))
    cli = new_claude(model, tmp_path) if tool == "claude" else new_codex(model, tmp_path)
    carry_over(session, cli, model, request.getfixturevalue("counts"), part)


@pytest.mark.parametrize("part", [*CODEX, LEGACY])
def test_claudes_own_sdk_lists_and_reads_a_session_of_codex(
    part: str, shared_dir: Path, claude: ClaudeCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdk = pytest.importorskip("claude_agent_sdk")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(claude.home / ".claude"))
    session = imported(open_store("memory://"), corpus_file(shared_dir, "codex", part))
    writer = ClaudeCodeWriter()
    native_id = writer.native_id(session.conversation)
    claude.place(native_id, b"".join(convert(writer, session.conversation, LossReport())))
    (listed,) = sdk.list_sessions(str(claude.project))
    assert (listed.session_id, listed.custom_title) == (native_id, session.conversation.info.title)
    read = sdk.get_session_messages(native_id, str(claude.project))
    calls = [block["id"] for one in read if one.type == "assistant" for block in one.message["content"] if block["type"] == "tool_use"]
    assert calls[-1:] == list(session.expected.calls)[-1:]


def test_codex_goes_on_with_a_rollout_that_it_refuses_as_it_is(
    shared_dir: Path, model: ScriptedModel, tmp_path: Path, counts: Counts
) -> None:
    session = imported(open_store("memory://"), corpus_file(shared_dir, "codex", LEGACY))
    refused = new_codex(model, tmp_path / "refused")
    place(refused, session.session_id, b"".join(Exporter(session.store).native(session.session_id)))
    assert refused.ask(PROMPT, resume=session.session_id).exit_status != 0
    carry_over(session, new_codex(model, tmp_path), model, counts, LEGACY)


def carry_over(session: Imported, cli: ClaudeCli | CodexCli, model: ScriptedModel, counts: Counts, part: str) -> Path:
    """Write a session as the program's own, let it go on, and compare; return the file."""
    target = "claude-code" if isinstance(cli, ClaudeCli) else "codex"
    writer, losses = formats().writer(target), LossReport()
    content = b"".join(convert(writer, session.conversation, losses))
    native_id = writer.native_id(session.conversation)  # type: ignore[attr-defined]  # the two writers of resumable files have it
    path = place(cli, native_id, content)
    cli.ask(PROMPT, resume=native_id).check()
    expected = carried(session, losses, target)
    comparison = compared(as_objects(expected) if target == "claude-code" else expected, sent_of(model.conversations()[0]))
    counts.add(cli, str((session.conversation.info.native or {}).get("format")), part, comparison)
    assert comparison.faults == []
    assert path.read_bytes().startswith(content), "the program rewrote the file"
    check_growth(session, path, native_id)
    return path


def check_growth(session: Imported, path: Path, native_id: str) -> None:
    """The file as the program left it comes in as a session of its own that says where it comes from, with what is new in it."""
    (result,) = [file for file in Importer(session.store).import_file(path).files if file.path == str(path)]
    assert (result.outcome, result.session_id, result.problem_count) == ("imported", native_id, 0)
    parent = session.store.get_session(SessionKey("default", native_id)).info.parent or {}
    assert (parent["session_id"], parent["relation"]) == (session.session_id, "continuation")
    assert parent["seq"] == max(entry.last_seq for entry in session.conversation.entries)
    after = conversation_of(session.store, SessionKey("default", native_id), losses=LossReport())
    said = [entry.message.text for entry in after.entries if entry.type == "message" and entry.message and not entry.message.synthetic]
    assert said[said.index(PROMPT) :] == [PROMPT, DONE]
    assert b"".join(Exporter(session.store).native(native_id)) == path.read_bytes()
