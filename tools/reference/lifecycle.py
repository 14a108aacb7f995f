"""The lifecycle page and its pictures, drawn from the tables in ``turnfold.core.lifecycle``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tools.reference.markdown import code, table

from turnfold.core.lifecycle import APPENDABLE, END_REASONS, RUN, SESSION, TERMINAL

Place = tuple[float, float]

SESSION_PLACES: Final[dict[str, Place]] = {
    "pending": (0, 1.5),
    "active": (1, 0.5),
    "suspended": (1, 2.5),
    "completed": (2, 0),
    "failed": (2, 1),
    "cancelled": (2, 2),
    "expired": (2, 3),
    "archived": (3, 1.5),
}
RUN_PLACES: Final[dict[str, Place]] = {
    "pending": (0, 1.5),
    "running": (1, 0.5),
    "completed": (2, 0),
    "failed": (2, 1),
    "cancelled": (2, 2),
    "timeout": (2, 3),
}
COLUMN, ROW, WIDTH, HEIGHT, MARGIN = 210, 70, 110, 34, 20
COLOURS: Final = ("#1f77b4", "#2ca02c", "#ff7f0e", "#7f7f7f", "#7f7f7f", "#7f7f7f", "#7f7f7f", "#7f7f7f")


def session_picture() -> str:
    """Draw the states of a session."""
    return draw(SESSION, SESSION_PLACES, "The states of a session")


def run_picture() -> str:
    """Draw the states of a run."""
    return draw(RUN, RUN_PLACES, "The states of a run")


def draw(transitions: Mapping[str, frozenset[str]], places: Mapping[str, Place], title: str) -> str:
    """Return an SVG with one box per state and one arrow per step of the table.

    Args:
        transitions: State → states that can follow.
        places: State → column and row; every state of the table has one.
        title: What a screen reader says.
    """
    missing = transitions.keys() ^ places.keys()
    assert not missing, f"give these states a place in the picture: {missing}"
    width = 2 * MARGIN + COLUMN * max(x for x, _ in places.values()) + WIDTH
    height = 2 * MARGIN + ROW * max(y for _, y in places.values()) + HEIGHT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" aria-label="{title}">',
        f"<title>{title}</title>",
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
        '<g font-family="sans-serif" font-size="14" text-anchor="middle">',
    ]
    for colour, (state, targets) in zip(COLOURS, transitions.items(), strict=False):
        lines += [arrow(places[state], places[target], colour, f"{state} to {target}") for target in sorted(targets)]
    for state in transitions:
        x, y = corner(places[state])
        fill = "#eeeeee" if not transitions[state] else "#ffffff"
        lines.append(f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{fill}" stroke="#333333"/>')
        lines.append(f'<text x="{x + WIDTH / 2:g}" y="{y + HEIGHT / 2 + 5:g}" fill="#111111">{state}</text>')
    return "\n".join([*lines, "</g>", "</svg>", ""])


def corner(place: Place) -> Place:
    """Return the upper left corner of a box."""
    return MARGIN + COLUMN * place[0], MARGIN + ROW * place[1]


def arrow(start: Place, end: Place, colour: str, title: str) -> str:
    """Draw one step: a curve to the right, or an upright line between two boxes of one column."""
    (x1, y1), (x2, y2) = corner(start), corner(end)
    if start[0] == end[0]:
        x = x1 + WIDTH * (0.4 if y1 < y2 else 0.6)
        y1, y2 = (y1 + HEIGHT, y2) if y1 < y2 else (y1, y2 + HEIGHT)
        path, tip = f"M{x:g} {y1:g} L{x:g} {y2:g}", (x, y2, 0, 1 if y2 > y1 else -1)
    else:
        x1, y1, y2 = x1 + WIDTH, y1 + HEIGHT / 2, y2 + HEIGHT / 2 + 4 * (start[1] - end[1])
        bend_x = x2 - COLUMN + WIDTH  # straight through the gaps between the boxes on the way, then the curve
        middle = (bend_x + x2) / 2
        path, tip = f"M{x1:g} {y1:g} L{bend_x:g} {y1:g} C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}", (x2, y2, 1, 0)
    return f'<g stroke="{colour}" fill="{colour}"><title>{title}</title><path d="{path}" fill="none"/>{head(*tip)}</g>'


def head(x: float, y: float, dx: int, dy: int) -> str:
    """Draw an arrow's head that points in the direction (dx, dy)."""
    back_x, back_y = x - 8 * dx, y - 8 * dy
    return f'<path d="M{x:g} {y:g} L{back_x + 4 * dy:g} {back_y + 4 * dx:g} L{back_x - 4 * dy:g} {back_y - 4 * dx:g} Z"/>'


def page() -> str:
    """Write the page of the lifecycle."""
    sessions = [(code(state), names(targets), takes(state)) for state, targets in SESSION.items()]
    runs = [(code(state), names(targets)) for state, targets in RUN.items()]
    reasons = [
        (code(reason), code(status) or "stays active; the view of its branch is emptied" if reason != "delete" else "is gone")
        for reason, status in END_REASONS.items()
    ]
    return (
        "# Lifecycle\n\n"
        "Both tables are those that the commit is checked against. A step to the status that already holds is not an error\n"
        "and writes nothing. `idle` is not a status: it is an active session without recent events, for whoever asks.\n\n"
        "## Sessions\n\n![The states of a session](lifecycle-session.svg)\n\n"
        + table(("from", "to", "takes events"), sessions)
        + "A redaction, a tag and `update` are taken in every status.\n\n## End reasons\n\n"
        "`session.close(reason=…)` takes one of these; the reason is stored beside the status.\n\n"
        + table(("reason", "the session"), reasons)
        + "## Runs\n\n![The states of a run](lifecycle-run.svg)\n\n"
        + table(("from", "to"), runs)
    ).rstrip() + "\n"


def names(states: frozenset[str]) -> str:
    """Return states in alphabetical order."""
    return ", ".join(code(state) for state in sorted(states)) or "nothing"


def takes(state: str) -> str:
    """Say whether events are taken in a state."""
    if state in APPENDABLE:
        return "yes"
    return "no, for good" if state in TERMINAL else "not now"
