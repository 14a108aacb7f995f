"""The genuine programs and a scripted model for each test. Run by ``nox -s genuine``, which installs the programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tools.genuine.clis import CODEX_TOKENS_MAX, ClaudeCli, CodexCli, find_cli
from tools.genuine.compare import Comparison
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


def new_claude(model: ScriptedModel, folder: Path) -> ClaudeCli:
    """Claude Code in a home of its own below a folder."""
    return ClaudeCli(program("claude"), folder / "claude", model.url)


def new_codex(model: ScriptedModel, folder: Path, provider: str = "openai", compact_at_tokens: int = CODEX_TOKENS_MAX) -> CodexCli:
    """Codex in a home of its own below a folder."""
    return CodexCli(program("codex"), folder / "codex", model.url, provider=provider, compact_at_tokens=compact_at_tokens)


@pytest.fixture
def claude(model: ScriptedModel, tmp_path: Path) -> ClaudeCli:
    return new_claude(model, tmp_path)


@pytest.fixture
def codex(model: ScriptedModel, tmp_path: Path) -> CodexCli:
    return new_codex(model, tmp_path)


class Counts:
    """What was sent of what had to be, session by session: printed at the end of the run."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, ...]] = []
        self._versions: dict[type, str] = {}

    def add(self, cli: ClaudeCli | CodexCli, came_from: str, session: str, comparison: Comparison) -> None:
        """Count a resumed session."""
        if type(cli) not in self._versions:
            self._versions[type(cli)] = f"{'Claude Code' if isinstance(cli, ClaudeCli) else 'Codex'} {cli.version()}"
        figures = (f"{sent} of {due}" for sent, due in (comparison.counts[kind] for kind in KINDS))
        self.rows.append((self._versions[type(cli)], came_from, session.strip("/"), *figures))

    def table(self) -> str:
        """The rows in Markdown, sorted, and their sum."""
        head = ("resumed in", "file of", "session", *KINDS)
        sums = [tuple(sum(int(row[place].split()[word]) for row in self.rows) for word in (0, 2)) for place in range(3, len(head))]
        last = (f"{len(self.rows)} runs", "", "", *(f"{sent} of {due}" for sent, due in sums))
        lines = [head, tuple("---" for _ in head), *sorted(self.rows), last]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


KINDS = ("texts", "calls", "results", "images")
_counts = Counts()


@pytest.fixture
def counts() -> Counts:
    return _counts


PAGE = """# What was sent, session by session

Made by `TURNFOLD_GENUINE_COUNTS=docs/explanation/genuine-counts.md nox -s genuine`; what the figures mean stands in {doc}`genuine`.
Each row is a session that a genuine program resumed: how many texts, tool calls, results and images its first request to the model held,
of how many there had to be.

"""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts; TURNFOLD_GENUINE_COUNTS names a page that gets them too."""
    if _counts.rows:
        terminalreporter.section("sent to the model, of what had to be")
        terminalreporter.write_line(_counts.table())
        if os.environ.get("TURNFOLD_GENUINE_COUNTS"):
            Path(os.environ["TURNFOLD_GENUINE_COUNTS"]).write_text(PAGE + _counts.table() + "\n", encoding="utf-8")
