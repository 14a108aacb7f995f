"""What the installed programs themselves write today is read in full: they play a session with everything in it, and it is carried over."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from tools.genuine.clis import ClaudeCli, CodexCli
from tools.genuine.scenario import COMPACT_AT_TOKENS, claude_script, codex_script, play_claude, play_codex
from tools.genuine.sent import sent_of
from tools.genuine.server import ScriptedModel

from tests.genuine.conftest import Counts, NewModel, new_claude, new_codex
from tests.genuine.sessions import Imported, as_objects, carried, compared, conversation_alone, imported, place
from turnfold.core.compaction import COMPACTION
from turnfold.engine.converting import convert
from turnfold.engine.importer import Importer
from turnfold.formats.loss import LossReport
from turnfold.formats.registry import formats
from turnfold.stores.registry import open_store

pytestmark = pytest.mark.genuine
PROMPT = "And now, what is left?"


TOOLS = ("claude", "codex-scripted", "codex-openai")
"""Codex compacts by itself, or with its provider's help."""


def play(tool: str, model: ScriptedModel, folder: Path) -> tuple[ClaudeCli | CodexCli, list[Path]]:
    """Let a program play the scenario; return it and its files, the main one first."""
    name, _, provider = tool.partition("-")
    if name == "claude":
        claude = new_claude(model, folder)
        model.script = claude_script(claude.project)
        return claude, play_claude(claude)
    codex = new_codex(model, folder, provider=provider, compact_at_tokens=COMPACT_AT_TOKENS)
    model.script = codex_script(codex.project)
    return codex, play_codex(codex)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_session_of_today_is_read_in_full_and_carried_over(tool: str, tmp_path: Path, new_model: NewModel, counts: Counts) -> None:
    model = new_model()
    _, files = play(tool, model, tmp_path / "played")
    assert model.script.left() == {}
    assert model.refused == []
    for path in files:
        (result,) = [file for file in Importer(open_store("memory://")).import_file(path).files if file.path == str(path)]
        assert (result.outcome, result.problems) == ("imported", [])
    early = tmp_path / files[0].name
    early.write_bytes(before_compaction(files[0]))
    for name, path in (("compacted", files[0]), ("not yet compacted", early)):
        session = imported(open_store("memory://"), path)
        assert (COMPACTION in {entry.type for entry in session.conversation.entries}) == (name == "compacted")
        for target in ("claude-code", "codex"):
            go_on(session, path, Goal(target, new_model(), tmp_path / f"{name} in {target}"), counts, f"of today ({tool}), {name}")


def before_compaction(path: Path) -> bytes:
    """Return a session file as it was until the program compacted it."""
    lines = path.read_bytes().splitlines(keepends=True)
    marks = (b'"subtype":"compact_boundary"', b'"type":"compacted"')
    place_ = next(number for number, line in enumerate(lines) if any(mark in line for mark in marks))
    return b"".join(lines[:place_])


class Goal(NamedTuple):
    """Where a session goes on."""

    format: str
    model: ScriptedModel
    folder: Path


def go_on(session: Imported, path: Path, goal: Goal, counts: Counts, label: str) -> None:
    """The program sends what Turnfold says that a model would get next; another's, but for what the writer counted as lost."""
    came_from = str((session.conversation.info.native or {}).get("format"))
    if came_from == goal.format:
        native_id, name, content = session.session_id, path.name, path.read_bytes()
        expected = conversation_alone(session.conversation)
    else:
        writer, losses = formats().writer(goal.format), LossReport()
        content = b"".join(convert(writer, session.conversation, losses))
        native_id, name = writer.native_id(session.conversation), None  # type: ignore[attr-defined]  # the two writers have it
        expected = carried(session, losses, goal.format)
    if goal.format == "claude-code":
        cli: ClaudeCli | CodexCli = new_claude(goal.model, goal.folder)
        expected = as_objects(expected)
    else:
        cli = new_codex(goal.model, goal.folder, provider=session.provider if came_from == "codex" else "openai")
    place(cli, native_id, content, name)
    cli.ask(PROMPT, resume=native_id).check()
    comparison = compared(expected, sent_of(goal.model.conversations()[0]))
    counts.add(cli, "its own" if came_from == goal.format else came_from, label, comparison)
    assert comparison.faults == []
