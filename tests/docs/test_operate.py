"""The table of guarantees in the operations page is what the stores say of themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.places import NAMES, PLACES
from tests.support import ROOT, skip_or_fail
from turnfold.limits import IDEMPOTENCY_EVENTS
from turnfold.ports import store as port
from turnfold.testing.faults import CannotBreak

PAGE = ROOT / "docs/how-to/operate.md"
CAPABILITIES = {value for name, value in vars(port).items() if name.isupper() and isinstance(value, str)}
ANSWERS = {"yes": True, "no": False}


def table() -> dict[str, dict[str, bool]]:
    """Column → capability → whether the page says so."""
    text = PAGE.read_text().split("<!-- guarantees", 1)[1].split("<!-- end of guarantees", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    columns = rows[0][1:]
    found: dict[str, dict[str, bool]] = {column: {} for column in columns}
    for row in rows[2:]:
        capability = re.match(r"`(\w+)`", row[0])
        assert capability, f"{row[0]} does not begin with a capability"
        for column, cell in zip(columns, row[1:], strict=True):
            found[column][capability[1]] = ANSWERS[cell]
    return found


def test_every_capability_is_a_row() -> None:
    assert set(table()["sqlite"]) == CAPABILITIES


def test_every_store_is_a_column() -> None:
    assert set(table()) == {name for name in NAMES if "+" not in name}


def test_the_window_is_the_limit() -> None:
    assert f"ids for the last {IDEMPOTENCY_EVENTS:,} events only" in PAGE.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_page_says_what_the_store_says(name: str, tmp_path: Path) -> None:
    place = PLACES[name](tmp_path)
    try:
        place.start()
    except CannotBreak as error:
        skip_or_fail(str(error))
    try:
        store = place.open()
        try:
            claimed = store.capabilities
        finally:
            store.close()
    finally:
        place.stop()
    said = {capability for capability, holds in table()[name.rpartition("+")[2]].items() if holds}
    if name.startswith("encrypted+"):
        said.add(port.ENCRYPTED)
    assert claimed == said
