"""The one session state machine, as tables. The picture in the docs is drawn from them.

``idle`` is not a status: it is active without recent events, and derived by whoever needs it.
"""

from __future__ import annotations

from typing import Final

from turnfold.errors import InvalidInput, InvalidTransition, SessionClosed, SessionExpired, SessionSuspended, TurnfoldError

PENDING: Final = "pending"
ACTIVE: Final = "active"
SUSPENDED: Final = "suspended"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
EXPIRED: Final = "expired"
ARCHIVED: Final = "archived"

STATUSES: Final = (PENDING, ACTIVE, SUSPENDED, COMPLETED, FAILED, CANCELLED, EXPIRED, ARCHIVED)

SESSION: Final[dict[str, frozenset[str]]] = {
    PENDING: frozenset({ACTIVE, CANCELLED, EXPIRED, ARCHIVED}),
    ACTIVE: frozenset({SUSPENDED, COMPLETED, FAILED, CANCELLED, EXPIRED, ARCHIVED}),
    SUSPENDED: frozenset({ACTIVE, COMPLETED, FAILED, CANCELLED, EXPIRED, ARCHIVED}),
    COMPLETED: frozenset({ARCHIVED}),
    FAILED: frozenset({ARCHIVED}),
    CANCELLED: frozenset({ARCHIVED}),
    EXPIRED: frozenset({ARCHIVED}),
    ARCHIVED: frozenset(),
}
"""From → where to. A transition to the status that already holds is a no-op, not an error."""

TERMINAL: Final = frozenset({COMPLETED, FAILED, CANCELLED, EXPIRED, ARCHIVED})
OPEN: Final = frozenset(STATUSES) - TERMINAL
APPENDABLE: Final = frozenset({ACTIVE})
"""Statuses in which ordinary events are taken; lifecycle events are guarded by the table instead."""

RUN: Final[dict[str, frozenset[str]]] = {
    "pending": frozenset({"running", "cancelled", "failed"}),
    "running": frozenset({"completed", "failed", "cancelled", "timeout"}),
    "completed": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
    "timeout": frozenset(),
}

END_REASONS: Final[dict[str, str | None]] = {
    "completed": COMPLETED,
    "failed": FAILED,
    "cancelled": CANCELLED,
    "timeout": EXPIRED,
    "archive": ARCHIVED,
    "new": COMPLETED,
    "reset": None,
    "delete": None,
}
"""End reason → the status that a session gets; None where the session stays (reset) or goes (delete)."""


def sources_of(target: str) -> frozenset[str]:
    """The statuses from which ``target`` can be reached in one step."""
    return frozenset(status for status, targets in SESSION.items() if target in targets)


def check_transition(current: str, target: str) -> bool:
    """Whether the change has to be written: False where the session is already there.

    Raises:
        InvalidTransition: The table has no such step.
    """
    if target not in SESSION:
        raise InvalidInput(f"{target!r} is no session status", hint=f"one of {', '.join(STATUSES)}")
    if current == target:
        return False
    if target not in SESSION[current]:
        raise InvalidTransition(f"a session cannot go from {current} to {target}", status=current, target=target)
    return True


def check_run_transition(current: str | None, target: str) -> None:
    """Raise InvalidTransition unless a run may go from ``current`` (None: no row yet) to ``target``."""
    if target not in RUN:
        raise InvalidInput(f"{target!r} is no run status", hint=f"one of {', '.join(RUN)}")
    if current is not None and current != target and target not in RUN[current]:
        raise InvalidTransition(f"a run cannot go from {current} to {target}", status=current, target=target)


def refusal(session_id: str, status: str) -> TurnfoldError:
    """The error for an append to a session in a status that takes none."""
    if status == EXPIRED:
        return SessionExpired(f"session {session_id!r} has expired", status=status)
    if status in TERMINAL:
        return SessionClosed(f"session {session_id!r} is {status}", status=status)
    return SessionSuspended(f"session {session_id!r} is {status}", status=status)


def status_for(reason: str) -> str | None:
    """The status that closing for ``reason`` leads to."""
    if reason not in END_REASONS:
        raise InvalidInput(f"{reason!r} is no end reason", hint=f"one of {', '.join(END_REASONS)}")
    return END_REASONS[reason]
