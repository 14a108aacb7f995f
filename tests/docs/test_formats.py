"""The page on import and export names every format that is read or written."""

import re

import pytest

from tests.support import ROOT
from turnfold.formats.registry import BUILT_IN, WRITERS

PAGE = (ROOT / "docs" / "how-to" / "import-sessions.md").read_text(encoding="utf-8")
READING, WRITING = PAGE.split("\n## Export byte for byte\n")


def in_tables(text: str) -> set[str]:
    """Return what stands as code in the tables' rows."""
    return set(re.findall(r"`([a-z0-9-]+)`", "\n".join(line for line in text.splitlines() if line.startswith("| "))))


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_format_that_is_read_stands_in_a_table(name: str) -> None:
    assert name in in_tables(READING)


@pytest.mark.parametrize("name", [*sorted(WRITERS), "bundle", "jsonl"])
def test_a_format_that_is_written_stands_in_a_table(name: str) -> None:
    assert name in in_tables(WRITING)
