"""Every pair of the lifecycle tables."""

from __future__ import annotations

import itertools

import pytest

from turnfold.core.lifecycle import (
    APPENDABLE,
    END_REASONS,
    OPEN,
    RUN,
    SESSION,
    STATUSES,
    TERMINAL,
    check_run_transition,
    check_transition,
    refusal,
    sources_of,
    status_for,
)
from turnfold.errors import InvalidInput, InvalidTransition, SessionClosed, SessionExpired, SessionSuspended

# The steps as the architecture page says them, not as the code does.
ALLOWED = {
    *itertools.product(["pending"], ["active", "cancelled", "expired", "archived"]),
    *itertools.product(["active"], ["suspended", "completed", "failed", "cancelled", "expired", "archived"]),
    *itertools.product(["suspended"], ["active", "completed", "failed", "cancelled", "expired", "archived"]),
    *itertools.product(["completed", "failed", "cancelled", "expired"], ["archived"]),
}
RUN_ALLOWED = {
    *itertools.product(["pending"], ["running", "cancelled", "failed"]),
    *itertools.product(["running"], ["completed", "failed", "cancelled", "timeout"]),
}


@pytest.mark.parametrize(("current", "target"), list(itertools.product(STATUSES, STATUSES)))
def test_session_pair(current: str, target: str) -> None:
    if current == target:
        assert check_transition(current, target) is False
    elif (current, target) in ALLOWED:
        assert check_transition(current, target) is True
        assert current in sources_of(target)
    else:
        assert current not in sources_of(target)
        with pytest.raises(InvalidTransition) as caught:
            check_transition(current, target)
        assert caught.value.details == {"status": current, "target": target}


@pytest.mark.parametrize(("current", "target"), list(itertools.product([None, *RUN], RUN)))
def test_run_pair(current: str | None, target: str) -> None:
    if current is None or current == target or (current, target) in RUN_ALLOWED:
        check_run_transition(current, target)
    else:
        with pytest.raises(InvalidTransition):
            check_run_transition(current, target)


def test_tables_are_closed() -> None:
    assert set(SESSION) == set(STATUSES)
    assert set().union(*SESSION.values()) <= set(STATUSES)
    assert set(RUN) >= set().union(*RUN.values())
    assert set(STATUSES) == TERMINAL | OPEN
    assert not TERMINAL & OPEN
    assert APPENDABLE <= OPEN


def test_terminal_statuses_lead_only_to_the_archive() -> None:
    for status in TERMINAL:
        assert SESSION[status] <= {"archived"}


def test_unknown_names() -> None:
    with pytest.raises(InvalidInput):
        check_transition("active", "paused")
    with pytest.raises(InvalidInput):
        check_run_transition(None, "paused")
    with pytest.raises(InvalidInput):
        status_for("bored")


def test_end_reasons() -> None:
    assert {reason for reason in END_REASONS if status_for(reason) is None} == {"reset", "delete"}
    assert status_for("timeout") == "expired"
    assert {status for status in END_REASONS.values() if status is not None} <= TERMINAL


@pytest.mark.parametrize("status", [status for status in STATUSES if status not in APPENDABLE])
def test_refusals(status: str) -> None:
    expected = SessionExpired if status == "expired" else SessionClosed if status in TERMINAL else SessionSuspended
    assert type(refusal("s", status)) is expected
