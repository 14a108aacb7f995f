"""A session goes on in the other tool, comes back with what that tool did, and goes on in its own: as a user does it, by the client."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.genuine.clis import ClaudeCli, CodexCli
from tools.genuine.script import Answer, Script, Shell
from tools.genuine.sent import sent_of
from tools.genuine.server import ScriptedModel

import turnfold as tf
from tests.genuine.conftest import NewModel, new_claude, new_codex
from tests.genuine.sessions import as_objects, carried, compared, corpus_file, session_in
from turnfold.formats.loss import LossReport
from turnfold.model.session import SessionKey
from turnfold.stores.registry import open_store

pytestmark = pytest.mark.genuine
SAID = "only-the-other-tool-said-this"
LOOK = (Answer("I look.", (Shell(f"echo {SAID}"),)), Answer("I have looked."))
JOURNEYS = (
    ("claude-code", "context-ev-51723c80", "codex"),
    ("claude-code", "cipher-box-12f1f541", "codex"),
    ("claude-code", "generated/2.1.200/1cb3b037", "codex"),
    ("codex", "agentv-019ed836", "claude"),
    ("codex", "agentv-019f03e0", "claude"),
    ("codex", "generated/0.8.0/", "claude"),
)


class Journey:
    """A store, and programs with a model each."""

    def __init__(self, folder: Path, new_model: NewModel) -> None:
        self.url = f"sqlite:///{folder}/store.db"
        self.models: list[ScriptedModel] = []
        self._folder = folder
        self._new_model = new_model

    def cli(self, tool: str, script: Script | None = None) -> ClaudeCli | CodexCli:
        self.models.append(self._new_model(script))
        return new_claude(self.models[-1], self._folder) if tool == "claude" else new_codex(self.models[-1], self._folder)


@pytest.fixture
def journey(tmp_path: Path, new_model: NewModel) -> Journey:
    return Journey(tmp_path, new_model)


def go_on(client: tf.Client, session_id: str, cli: ClaudeCli | CodexCli, prompt: str) -> tuple[str, LossReport]:
    """Resume a session with a program, as ``turnfold resume`` does, and import what came of it; return its new id and the losses."""
    is_claude = isinstance(cli, ClaudeCli)
    home = cli.home / ".claude" if is_claude else cli.home / ".codex"
    done = client.resume_with(session_id, "claude" if is_claude else "codex", home=home, cwd=cli.project)
    assert done.outcome == "written"
    written = Path(done.path).read_bytes()
    cli.ask(prompt, resume=done.native_id).check()
    assert Path(done.path).read_bytes().startswith(written)
    result = client.import_files([done.path])
    assert (result.session_ids, result.problem_count) == ([done.native_id], 0)
    parent = client.open(done.native_id).info().parent or {}
    assert (parent["session_id"], parent["relation"]) == (session_id, "continuation")
    again = client.resume_with(session_id, done.tool, home=home, cwd=cli.project)
    assert (again.outcome, again.path) == ("there", done.path)
    assert again.grown_byte_count == Path(done.path).stat().st_size - len(written)
    losses = LossReport()
    for kind, found in done.losses.items():
        losses.add(kind, count=found["count"])
    return done.native_id, losses


@pytest.mark.parametrize(("format_", "part", "other"), JOURNEYS)
def test_a_session_goes_to_the_other_tool_and_back(format_: str, part: str, other: str, shared_dir: Path, journey: Journey) -> None:
    own = "claude" if other == "codex" else "codex"
    with tf.connect(journey.url) as client:
        first_id = client.import_files([corpus_file(shared_dir, format_, part)]).session_ids[0]
        second_id, losses = go_on(client, first_id, journey.cli(other, Script({"[look]": LOOK})), "Now [look] again.")
        third_id, _ = go_on(client, second_id, journey.cli(own), "And now?")

    store = open_store(journey.url)
    session = session_in(store, first_id)
    expected = carried(session, losses, "claude-code" if other == "claude" else "codex")
    sent = sent_of(journey.models[-1].conversations()[0])
    comparison = compared(as_objects(expected) if own == "claude" else expected, sent)
    assert comparison.missing == []
    assert [call_id for call_id, result in sent.results.items() if SAID in result] == comparison.extra
    assert sent.unpaired() == set()
    titles = {store.get_session(SessionKey("default", one), owner=None).info.title for one in (first_id, second_id, third_id)}
    assert len(titles) == 1
    store.close()
