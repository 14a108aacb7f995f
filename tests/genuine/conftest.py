"""The genuine programs and a scripted model for each test. Run by ``nox -s genuine``, which installs the programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tools.genuine.clis import ClaudeCli, CodexCli, find_cli
from tools.genuine.script import Script
from tools.genuine.server import ScriptedModel


def program(name: str) -> Path:
    """Return the program; where it is not installed the test is skipped, under ``nox -s genuine`` failed."""
    found = find_cli(name, os.environ)
    if found is not None:
        return found
    line = f"the genuine {name} is not installed; nox -s genuine installs it, or TURNFOLD_{name.upper()} names it"
    if os.environ.get("TURNFOLD_GENUINE") == "required":
        pytest.fail(line, pytrace=False)
    pytest.skip(line)


NewModel = Callable[..., ScriptedModel]


@pytest.fixture
def new_model() -> Iterator[NewModel]:
    """Start scripted models; at the end each has understood all that it was asked."""
    with ExitStack() as stack:
        models: list[ScriptedModel] = []

        def start(script: Script | None = None) -> ScriptedModel:
            models.append(stack.enter_context(ScriptedModel(script)))
            return models[-1]

        yield start
        assert [failure for model in models for failure in model.failures] == []


@pytest.fixture
def model(new_model: NewModel) -> ScriptedModel:
    """Give a model that answers everything with a closing text."""
    return new_model()


@pytest.fixture
def claude(model: ScriptedModel, tmp_path: Path) -> ClaudeCli:
    """Give Claude Code in a home of its own."""
    return ClaudeCli(program("claude"), tmp_path / "claude", model.url)


@pytest.fixture
def codex(model: ScriptedModel, tmp_path: Path) -> CodexCli:
    """Give Codex in a home of its own."""
    return CodexCli(program("codex"), tmp_path / "codex", model.url)
