"""Pure checks, filters and cursors that every store shares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnfold.core.branches import Segment
from turnfold.core.checks import check_ids, check_whole, effective_status, repeated
from turnfold.core.filtering import bounds, filters_nothing, sees, through
from turnfold.core.paging import list_cursor, parse_list_cursor
from turnfold.errors import IdempotencyConflict, InvalidInput
from turnfold.model.event import RangeTombstone
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.testing.clock import FakeClock

KEY = SessionKey("t", "s")


def test_ids() -> None:
    assert check_ids(["a", "b"], [False, False], []) is False
    assert check_ids([], [], []) is False
    assert check_ids(["a", "b"], [True, True], [True, True]) is True
    for present, same in (([True, False], [True, True]), ([True, True], [True, False]), ([False, True], [True, False])):
        with pytest.raises(IdempotencyConflict):
            check_ids(["a", "b"], present, same)
    with pytest.raises(IdempotencyConflict):
        check_ids(["a", "a"], [False, False], [])


def test_repeated_places() -> None:
    assert repeated([3, 4, 5], incarnation="i", branch="b", recorded_at_us=1).seqs is None
    answer = repeated([5, 3], incarnation="i", branch="b", recorded_at_us=1)
    assert (answer.first_seq, answer.last_seq, answer.seqs, answer.repeated) == (5, 3, (5, 3), True)


def test_whole_logs() -> None:
    def gone(first: int, last: int) -> RangeTombstone:
        count = last - first + 1
        return RangeTombstone(first, last, ("x",) * count, b"l" * 32 * count)

    assert check_whole([1, 2, 5], [gone(3, 4)]) == 5
    assert check_whole([], [gone(3, 4), gone(1, 2)]) == 4
    for events, ranges in (([2], []), ([1, 3], []), ([1, 2], [gone(2, 3)]), ([1, 1], []), ([1], [gone(3, 4)])):
        with pytest.raises(InvalidInput):
            check_whole(events, ranges)


def test_expiry_is_for_open_sessions() -> None:
    assert effective_status("active", 10, 9) == "active"
    assert effective_status("active", 10, 10) == "expired"
    assert effective_status("suspended", 10, 11) == "expired"
    assert effective_status("completed", 10, 11) == "completed"
    assert effective_status("active", None, 11) == "active"


def test_who_sees() -> None:
    assert sees(None, (), ("x",))
    assert sees("x", None, None)
    assert not sees("x", (), None)
    assert not sees("x", ("x",), ("x",))


@given(after=st.integers(0, 20), before=st.none() | st.integers(0, 20), last_seq=st.integers(0, 15), descending=st.booleans())
def test_bounds_and_through(*, after: int, before: int | None, last_seq: int, descending: bool) -> None:
    query = EventQuery(key=KEY, after=after, before=before, descending=descending)
    first, last = bounds(query, last_seq)
    asked = [seq for seq in range(1, last_seq + 1) if seq > after and (before is None or seq < before)]
    assert list(range(first, last + 1)) == asked
    end = through(query, last_seq, None, more=False)
    assert end == (after + 1 if descending else max([after, *asked]))
    assert through(query, last_seq, 7, more=True) == 7


def test_filters_nothing() -> None:
    assert filters_nothing(EventQuery(key=KEY, after=3, before=9, limit=2, descending=True), None)
    for fields in ({"types": frozenset[str]()}, {"run_id": "r"}, {"since_us": 0}, {"visible": frozenset[str]()}, {"viewer": "v"}):
        assert not filters_nothing(EventQuery(key=KEY, **fields), None)
    assert not filters_nothing(EventQuery(key=KEY), (Segment("main", 0, None),))


@given(st.integers(-(2**62), 2**62), st.text(min_size=1))
def test_list_cursor_round_trip(at_us: int, session_id: str) -> None:
    assert parse_list_cursor(list_cursor(at_us, session_id)) == (at_us, session_id)
    assert parse_list_cursor(None) is None


@given(st.text())
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        parsed = parse_list_cursor(text)
    except InvalidInput:
        return
    assert parsed is not None
    assert isinstance(parsed[0], int)


def test_fake_clock() -> None:
    clock = FakeClock(5)
    assert (clock(), clock.advance(10), clock(), clock.advance(-3), clock()) == (5, 15, 15, 12, 12)
