"""Times of lines, in the usual form and in any other."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnfold.formats.lines import parse_at
from turnfold.model.event import to_us


@given(st.datetimes(min_value=datetime(1970, 1, 1)))
def test_the_usual_form_is_read_as_any_other(at: datetime) -> None:
    at -= timedelta(microseconds=at.microsecond % 1_000)
    assert parse_at(at.isoformat(timespec="milliseconds") + "Z") == to_us(at)
    assert parse_at(at.isoformat(timespec="microseconds") + "+00:00") == to_us(at)


@pytest.mark.parametrize(
    "text",
    ["2026-02-30T10:00:00.000Z", "2026-01-01T25:00:00.000Z", "2026-01-01T10:60:00.000Z", "2026-01-01T10:00:60.000Z", "", "soon", 12, None],
)
def test_no_times(text: object) -> None:
    assert parse_at(text) is None
