"""Times of lines, in the usual form and in any other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnfold.formats.lines import parse_at
from turnfold.model.event import from_us


@given(st.integers(0, 253_402_300_799_999))
def test_the_usual_form_is_read_as_any_other(at_ms: int) -> None:
    at = from_us(at_ms * 1_000)
    usual = at.isoformat(timespec="milliseconds")
    assert parse_at(usual.replace("+00:00", "Z")) == parse_at(usual) == at_ms * 1_000


@pytest.mark.parametrize(
    "text",
    ["2026-02-30T10:00:00.000Z", "2026-01-01T25:00:00.000Z", "2026-01-01T10:60:00.000Z", "2026-01-01T10:00:60.000Z", "", "soon", 12, None],
)
def test_no_times(text: object) -> None:
    assert parse_at(text) is None
