"""The examples are listed, short and of one shape. `nox -s examples` runs them."""

import re
from pathlib import Path

import pytest

from tests.support import ROOT

FOLDER = ROOT / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))
LINES_MAX = 60


def test_the_index_lists_every_example_and_nothing_else() -> None:
    listed = re.findall(r"^\| \[(\w+\.py)\]\((\w+\.py)\) \|", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(name for name, _ in listed) == [path.name for path in SCRIPTS]
    assert all(name == target for name, target in listed)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_what_it_shows(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith('"""')
    assert len(text.splitlines()) <= LINES_MAX
    assert 'if __name__ == "__main__":' in text
