"""``doctor``: is everything there, does the store work, what could be imported, and what should one know."""

from __future__ import annotations

import platform
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import click

from turnfold import __version__
from turnfold.cli.app import App, command, json_option
from turnfold.cli.out import Column, Out
from turnfold.cli.words import count, public_url
from turnfold.errors import TurnfoldError
from turnfold.ids import new_id

if TYPE_CHECKING:
    from turnfold.client import Client

State = Literal["ok", "note", "problem"]
MARKS: Final = {"ok": ("✓", "green"), "note": ("·", "yellow"), "problem": ("✗", "bold red")}
EXTRAS: Final = {
    "postgres": ("psycopg",),
    "redis": ("redis",),
    "s3": ("obstore",),
    "crypto": ("cryptography",),
    "keyring": ("keyring",),
    "server": ("starlette", "uvicorn"),
    "otel": ("opentelemetry",),
}
"""The optional extras and the modules that each brings."""
EXIT_PROBLEM: Final = 1
SEARCH_FOLLOWER: Final = "search"
SEARCH_INDEX: Final = "search_index"
ENCRYPTED: Final = "encrypted"
LAG_LOOK_MAX: Final = 1_000


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
    found = [*installation(), *store(app)]
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


def store(app: App) -> Iterator[Finding]:
    """Where the store is, what it can do, whether it is well and takes writes; whose sessions are seen."""
    try:
        with app.client() as client:
            yield from _store(client)
            yield from _scope(client)
            yield from _tools(client)
    except TurnfoldError as error:
        yield Finding("problem", "store", f"{error.code}: {error.message}" + (f" ({error.hint})" if error.hint else ""))


def _store(client: Client) -> Iterator[Finding]:
    yield Finding("ok", "store", public_url(client.store.url))
    yield Finding("ok", "capabilities", ", ".join(sorted(client.store.capabilities)) or "none")
    report = client.store.check()
    for name, value in report.facts.items():
        forgets = name == "durability" and "durable" not in client.store.capabilities
        yield Finding("note" if forgets else "ok", name.replace("_", " "), str(value))
    for problem in report.problems:
        yield Finding("problem", "damage", problem)
    yield _writable(client)
    yield _lag(client)
    from turnfold.config import load_config

    if load_config().integrity_key is None:
        yield Finding("note", "integrity key", "none: verify detects corruption, not an attacker (TURNFOLD_INTEGRITY_KEY sets one)")
    else:
        yield Finding("ok", "integrity key", "set")


def _writable(client: Client) -> Finding:
    """Write a session of our own and delete it again: nothing else proves that the store takes writes."""
    name = f"turnfold-doctor-{new_id()}"
    try:
        client.open(name, agent="turnfold-doctor", persist=True)
        client.delete(name)
    except TurnfoldError as error:
        return Finding("problem", "writable", f"{error.code}: {error.message}")
    return Finding("ok", "writable", "yes")


def _lag(client: Client) -> Finding:
    if SEARCH_INDEX not in client.store.capabilities:
        if ENCRYPTED in client.store.capabilities:
            return Finding("ok", "search index", "none: an encrypted store keeps one only with ?search=tokens")
        return Finding("ok", "search index", "none: this store is searched directly")
    lagging = sum(1 for _ in client.store.changed_sessions(SEARCH_FOLLOWER, LAG_LOOK_MAX))
    if not lagging:
        return Finding("ok", "search index", "up to date")
    more = " or more" if lagging == LAG_LOOK_MAX else ""
    return Finding("note", "search index", f"{count(lagging, 'session')}{more} behind; the next search catches up")


def _tools(client: Client) -> Iterator[Finding]:
    found = Counter(name for name, _ in client.discover_files())
    for name, number in sorted(found.items()):
        yield Finding("ok", f"{name} files", f"{count(number, 'session file')} found; `turnfold import` brings in what is new")
    if not found:
        yield Finding("note", "tools' files", "no tool's sessions found on this machine")


def _scope(client: Client) -> Iterator[Finding]:
    if client.owner is None:
        yield Finding("note", "scope", f"this client is bound to no owner and sees the whole tenant {client.tenant!r} (--owner narrows it)")
    else:
        yield Finding("ok", "scope", f"owner {client.owner!r} in tenant {client.tenant!r}")


def _print(out: Out, found: list[Finding]) -> None:
    if not out.terminal:
        out.table((Column(""), Column(""), Column("")), found)
        return
    from turnfold.cli.out import styled

    rows = ((styled(*MARKS[one.state]), one.name, one.value) for one in found)
    out.table((Column(""), Column("", style="dim"), Column("", flexible=True)), rows)
