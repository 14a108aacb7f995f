"""Writing Markdown: tables, and reStructuredText docstrings in one line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with a blank line after it."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n\n"


def code(text: object) -> str:
    """Return the text as code, or nothing where there is none."""
    return f"`{text}`" if text not in {"", None} else ""


def prose(text: str | None) -> str:
    """Return a docstring's words on one line, its double backquotes as Markdown's single ones."""
    return re.sub(r"``(.+?)``", r"`\1`", " ".join((text or "").split()))


def first_paragraph(thing: object) -> str:
    """Return the first paragraph of a docstring on one line."""
    return prose((inspect.getdoc(thing) or "").split("\n\n", maxsplit=1)[0])


def section(thing: object, name: str) -> dict[str, str]:
    """Return the entries of one section (``Args``, ``Attributes``) of a Google docstring by their names."""
    text = inspect.getdoc(thing) or ""
    match = re.search(rf"^{name}:\n((?:    .*\n?|\n)*)", text, re.MULTILINE)
    out: dict[str, str] = {}
    names: list[str] = []
    for line in (match[1] if match else "").splitlines():
        entry = re.match(r"    (\w+(?:, \w+)*): (.*)", line)
        if entry:
            names = entry[1].split(", ")
            out |= dict.fromkeys(names, entry[2])
        elif names:
            for one in names:
                out[one] += " " + line.strip()
    return {name: prose(text) for name, text in out.items()}
