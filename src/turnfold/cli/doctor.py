"""``doctor``: is everything there, does the store work, what could be imported, and what should one know."""

from __future__ import annotations

import platform
import sqlite3
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import click

from turnfold import __version__
from turnfold.cli.app import App, command, json_option
from turnfold.cli.out import Column, Out
from turnfold.cli.words import count
from turnfold.errors import TurnfoldError

if TYPE_CHECKING:
    from turnfold.client import Client

State = Literal["ok", "note", "problem"]
MARKS: Final = {"ok": ("✓", "green"), "note": ("·", "yellow"), "problem": ("✗", "bold red")}
EXTRAS: Final = {
    "postgres": ("psycopg",),
    "redis": ("redis",),
    "s3": ("obstore",),
    "crypto": ("cryptography",),
    "server": ("starlette", "uvicorn"),
    "otel": ("opentelemetry",),
}
"""The optional extras and the modules that each brings."""
EXIT_PROBLEM: Final = 1


class Finding(NamedTuple):
    """One line of the report."""

    state: State
    name: str
    value: str


@command("doctor")
@json_option("Print one JSON object with all findings.")
def doctor(app: App, *, as_json: bool) -> None:
    """Check the installation, the store and what can be imported.

    The exit status is 1 when something is wrong.
    """
    out = app.out(as_json=as_json)
    found = [*installation(), *store(app), *tools(app)]
    if as_json:
        out.json({"ok": all(one.state != "problem" for one in found), "findings": [one._asdict() for one in found]})
    else:
        _print(out, found)
    if any(one.state == "problem" for one in found):
        raise click.exceptions.Exit(EXIT_PROBLEM)


def installation() -> Iterator[Finding]:
    """Versions of what runs here, and the optional extras."""
    yield Finding("ok", "turnfold", __version__)
    yield Finding("ok", "python", f"{platform.python_version()} ({platform.python_implementation()}, {sys.platform}, {platform.machine()})")
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in ("msgspec", "click", "rich"))
    yield Finding("ok", "libraries", f"{libraries}, SQLite {sqlite3.sqlite_version}")
    present = [extra for extra, modules in EXTRAS.items() if all(find_spec(name) is not None for name in modules)]
    absent = [extra for extra in EXTRAS if extra not in present]
    yield Finding("ok", "extras installed", ", ".join(present) or "none")
    if absent:
        yield Finding("note", "extras absent", f"{', '.join(absent)}  (pip install 'turnfold[NAME]')")
