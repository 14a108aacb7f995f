import tomllib
from pathlib import Path

import pytest

from tests.style import texts
from tests.style.tree import report
from tests.support import ROOT

pytestmark = pytest.mark.xdist_group("style")  # the tree is parsed once in a process

CHANGELOG = "# Changelog\n\nNotable changes.\n\n## [Unreleased]\n\n### Added\n\n- One thing,\n  in two lines.\n"


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_changelog_keeps_its_form() -> None:
    assert report(texts.changelog_violations(read("CHANGELOG.md"))) == ""


def test_the_readme_begins_with_two_commands_and_ci_runs_the_second() -> None:
    assert report(texts.readme_violations(read("README.md"), read(".ci/run"))) == ""


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    assert report(texts.machine_path_violations(ROOT)) == ""


def test_nothing_is_marked_unfinished() -> None:
    assert report(texts.unfinished_violations(ROOT)) == ""


def test_all_is_the_sum_of_the_extras() -> None:
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    names = [name for name in extras if name != "all"]
    assert extras["all"] == [f"turnfold[{','.join(names)}]"]


def test_every_ignored_lint_rule_has_its_reason() -> None:
    lint = read("pyproject.toml").split("[tool.ruff.lint]")[1].split("[tool.ruff.lint.flake8")[0]
    rules = [line for line in lint.splitlines() if line.strip().startswith('"')]
    assert len(rules) > 1
    assert [line for line in rules if "#" not in line and not line.rstrip().endswith("[")] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (CHANGELOG.replace("# Changelog", "# News", 1), "begin with '# Changelog'"),
        (CHANGELOG.replace("[Unreleased]", "[1.0.0] - 2030-01-02"), "the first release is"),
        (CHANGELOG + "\n## 1.0.0\n", "write '## [1.2.3]"),
        (CHANGELOG + "\n## [0.1.0] - 2030-01-02\n\n## [0.2.0] - 2030-01-03\n", "newest release first"),
        (CHANGELOG.replace("### Added", "### News"), "sections are Added"),
        (CHANGELOG + "prose\n", "an entry is a bullet"),
    ],
)
def test_a_badly_formed_changelog_is_found(text: str, says: str) -> None:
    assert says in report(texts.changelog_violations(text))


def test_a_well_formed_changelog_passes() -> None:
    releases = "\n## [0.10.0] - 2030-01-03\n\n### Fixed\n\n- A thing.\n\n## [0.9.0] - 2030-01-02\n\n[0.9.0]: https://example.org\n"
    assert report(texts.changelog_violations(CHANGELOG + releases)) == ""


README = "# T\n\n```sh\ninstall\n```\n\n```sh\npython -m tests\n```\n\n```python\na\nb\n```\n"


@pytest.mark.parametrize(
    ("readme", "ci_run", "says"),
    [
        ("# T\n\n```sh\nonly one\n```\n", "only one", "the first two fenced blocks"),
        (README.replace("install", "cd here\ninstall"), "python -m tests", "block 1 is 2 lines"),
        (README.replace("install\n", ""), "python -m tests", "block 1 is 0 lines"),
        (README, "nox", "does not run the README's test command: python -m tests"),
        (README, "# python -m tests\nnox", "does not run the README's test command"),
    ],
)
def test_a_readme_that_ci_does_not_hold_to_is_found(readme: str, ci_run: str, says: str) -> None:
    assert says in report(texts.readme_violations(readme, ci_run))


def test_a_readme_that_ci_holds_to_passes() -> None:
    assert report(texts.readme_violations(README, "set -e\npython -m tests\n")) == ""


@pytest.mark.parametrize("folder", ["root", "work", "tmp", "var/folders", "home/jane", "Users/jane"])
def test_a_path_of_a_machine_is_found(tmp_path: Path, folder: str) -> None:
    (tmp_path / "notes.md").write_text(f"see `/{folder}/x`\n", encoding="utf-8")
    assert report(texts.machine_path_violations(tmp_path)).startswith("notes.md:1: ")


@pytest.mark.parametrize("text", ["src/work/x", "https://example.org/home/jane", "~/.claude/projects", "/home/user/app"])
def test_a_made_up_path_passes(tmp_path: Path, text: str) -> None:
    (tmp_path / "notes.md").write_text(f"see `{text}`\n", encoding="utf-8")
    assert report(texts.machine_path_violations(tmp_path)) == ""


@pytest.mark.parametrize("mark", ["TO" + "DO", "FIX" + "ME"])
def test_a_mark_of_unfinished_work_is_found(tmp_path: Path, mark: str) -> None:
    (tmp_path / "hub.py").write_text(f"x = 1  # {mark}: later\n", encoding="utf-8")
    (tmp_path / "photo.png").write_bytes(b"\xff" + mark.encode())
    assert report(texts.unfinished_violations(tmp_path)).startswith("hub.py:1: ")


def test_likenesses_of_a_mark_pass(tmp_path: Path) -> None:
    (tmp_path / "hub.py").write_text("TODOS = 1\ntool = 'TodoWrite'\n", encoding="utf-8")
    assert report(texts.unfinished_violations(tmp_path)) == ""
