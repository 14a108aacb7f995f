"""``store``: where the sessions are, how they are, and how they get elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from turnfold import __version__
from turnfold.cli.app import App, Command, Group, json_option, pass_app
from turnfold.cli.store_copy import store_backup, store_copy
from turnfold.cli.store_upkeep import store_compact, store_migrate
from turnfold.cli.words import count, public_url
from turnfold.errors import StoreCorrupt

if TYPE_CHECKING:
    from turnfold.client import Client

FOLLOWERS: Final = {"search": "search_index", "seals": ""}
"""The followers of the log that every client keeps, and the capability without which there is none."""
LAG_SESSIONS_MAX: Final = 1_000_000


@click.group("store", cls=Group)
def store() -> None:
    """Look at the store, check, copy and back it up."""


@store.command("info", cls=Command)
@json_option()
@pass_app
def store_info(app: App, *, as_json: bool) -> None:
    """Show where the store is, what it can do, how big it is, and how far its index and seals are.

    Seals are written every 1,024 events of a session and when it is closed, so some events are always unsealed.
    """
    out = app.out(as_json=as_json)
    with app.client() as client:
        facts: dict[str, Any] = {
            "url": public_url(client.store.url),
            "version": __version__,
            "capabilities": sorted(client.store.capabilities),
            **client.store.check().facts,
            **_lags(client),
        }
        facts |= {"tenant": client.tenant, "owner": client.owner}
    facts = {name: public_url(value) if isinstance(value, str) and "://" in value else value for name, value in facts.items()}
    if as_json:
        out.json(facts)
    else:
        out.pairs((name, ", ".join(value) if isinstance(value, list) else value) for name, value in facts.items())


def _lags(client: Client) -> dict[str, int]:
    """How many sessions and events each follower of the log is behind."""
    lags: dict[str, int] = {}
    for name, capability in FOLLOWERS.items():
        if not capability or capability in client.store.capabilities:
            behind = client.store.changed_sessions(name, LAG_SESSIONS_MAX)
            lags[f"{name}_lag_sessions"] = len(behind)
            lags[f"{name}_lag_events"] = sum(item.last_seq - item.follower_seq for item in behind)
    return lags


@store.command("check", cls=Command)
@json_option()
@pass_app
def store_check(app: App, *, as_json: bool) -> None:
    """Look for damage that the store can see by itself.

    `turnfold verify --all` checks the content too. The exit status is 8 when something is wrong.
    """
    out = app.out(as_json=as_json)
    with app.client() as client:
        report = client.store.check()
        url = public_url(client.store.url)
    if as_json:
        out.json({"url": url, "ok": not report.problems, "problems": list(report.problems), "facts": report.facts})
    else:
        for problem in report.problems:
            out.line(problem, "red")
    if report.problems:
        raise StoreCorrupt(f"{count(len(report.problems), 'problem')} in {url}", hint="copy the store away before you do anything else")
    if not as_json:
        out.line(f"no problems in {url}")
        if report.facts.get("orphan_count"):
            orphans = count(int(report.facts["orphan_count"]), "artifact")
            out.line(f"{orphans} without a session: {report.facts['orphan_first']}; turnfold store compact sweeps what is old enough")


for _command in (store_copy, store_backup, store_migrate, store_compact):
    store.add_command(_command)
