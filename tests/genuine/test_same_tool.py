"""Sessions exported as they came are resumed by their own program, which sends just what Turnfold says that a model would get."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.genuine.clis import ClaudeCli, CodexCli
from tools.genuine.script import DONE
from tools.genuine.sent import sent_of
from tools.genuine.server import ScriptedModel

from tests.genuine.conftest import Counts, new_claude, new_codex
from tests.genuine.sessions import CLAUDE, CODEX, Imported, compared, corpus_file, imported, place
from turnfold.engine.converting import conversation_of
from turnfold.engine.exporter import Exporter
from turnfold.engine.importer import Importer
from turnfold.formats.loss import LossReport
from turnfold.model.session import SessionKey
from turnfold.stores.registry import open_store

pytestmark = pytest.mark.genuine
PROMPT = "And now, what is left?"


@pytest.mark.parametrize("part", CLAUDE)
def test_claude_goes_on_with_an_untouched_export(part: str, shared_dir: Path, model: ScriptedModel, tmp_path: Path, counts: Counts) -> None:
    session = imported(open_store("memory://"), corpus_file(shared_dir, "claude-code", part))
    go_on(session, new_claude(model, tmp_path), model, counts, part)


@pytest.mark.parametrize("part", CODEX)
def test_codex_goes_on_with_an_untouched_export(part: str, shared_dir: Path, model: ScriptedModel, tmp_path: Path, counts: Counts) -> None:
    session = imported(open_store("memory://"), corpus_file(shared_dir, "codex", part))
    go_on(session, new_codex(model, tmp_path, provider=session.provider), model, counts, part)


def go_on(session: Imported, cli: ClaudeCli | CodexCli, model: ScriptedModel, counts: Counts, part: str) -> None:
    content = b"".join(Exporter(session.store).native(session.session_id))
    path = place(cli, session.session_id, content)
    cli.ask(PROMPT, resume=session.session_id).check()
    comparison = compared(session.expected, sent_of(model.conversations()[0]))
    counts.add(cli, "its own", part, comparison)
    assert comparison.faults == []

    assert path.read_bytes().startswith(content), "the program rewrote the file"
    check_growth(session, path)


def check_growth(session: Imported, path: Path) -> None:
    """The file as the program left it comes in as more of the same session, and goes out as it is."""
    (result,) = [file for file in Importer(session.store).import_file(path).files if file.path == str(path)]
    assert (result.outcome, result.session_id) == ("updated", session.session_id)
    after = conversation_of(session.store, SessionKey("default", session.session_id), losses=LossReport())
    seen = max((entry.last_seq for entry in session.conversation.entries), default=0)
    new = [(entry.message, entry.is_turn) for entry in after.entries if entry.seq > seen and entry.type == "message"]
    said = [message.text for message, typed in new if message and (typed or message.role == "assistant") and not message.synthetic]
    assert said == [PROMPT, DONE]
    assert b"".join(Exporter(session.store).native(session.session_id)) == path.read_bytes()
