"""``store migrate`` and ``store compact``: bring the data to this version's form, and rewrite what is cold more tightly."""

from __future__ import annotations

from typing import Any, Final

import click
import msgspec

from turnfold.cli.app import App, Command, json_option, pass_app
from turnfold.cli.out import note, progress
from turnfold.cli.words import count, public_url, size

MIGRATED_SCHEMES: Final = frozenset({"sqlite", "postgresql", "postgres"})
"""Schemes whose stores may lack migrations, and take the option ``migrate``."""


@click.command("migrate", cls=Command)
@click.option("--dry-run", is_flag=True, help="Only say what would be applied; change nothing.")
@click.option("--post", is_flag=True, help="Also apply what the previous version of Turnfold cannot read: when nothing runs it any more.")
@json_option()
@pass_app
def store_migrate(app: App, *, dry_run: bool, post: bool, as_json: bool) -> None:
    """Apply the migrations that the store lacks.

    Without --post these are the ones that the previous version can live with. An embedded store applies them by itself when it is opened.
    """
    out = app.out(as_json=as_json)
    app.store = _left_as_it_is(app)
    with app.client() as client:
        report = client.store.migrate(dry_run=dry_run, post=post)
    if as_json:
        out.json(msgspec.to_builtins(report))
        return
    for name in report.applied:
        out.line(f"{'would apply' if dry_run else 'applied'} {name}")
    if not report.applied:
        out.line(f"nothing to apply: version {report.after}")
    if report.pending:
        note(f"left for `turnfold store migrate --post`: {', '.join(report.pending)}")


def _left_as_it_is(app: App) -> str:
    """Return the store's URL such that opening it applies nothing."""
    from turnfold.config import data_dir, load_config

    held = load_config(store=app.store, tenant=app.tenant, owner=app.owner)
    if held.origin["store"] == "default":  # as connect does: the folder is ours to make
        data_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
    base, _, query = held.store.partition("?")
    if base.partition(":")[0].removeprefix("encrypted+") not in MIGRATED_SCHEMES:
        return held.store
    options = [option for option in query.split("&") if option and not option.startswith("migrate=")]
    return f"{base}?{'&'.join([*options, 'migrate=manual'])}"


@click.command("compact", cls=Command)
@click.option("--reclaim", is_flag=True, help="Then give the room that was freed back to the file system; writers wait meanwhile.")
@json_option()
@pass_app
def store_compact(app: App, *, reclaim: bool, as_json: bool) -> None:
    """Rewrite what is cold more tightly, until there is nothing left to do.

    Nothing that can be read changes, and others may go on working in the store. Room that is freed is used for what is written next.
    """
    out = app.out(as_json=as_json)
    total = {"session_count": 0, "segment_count": 0, "event_count": 0, "bytes_before": 0, "bytes_after": 0}
    with app.client() as client, progress("compacting", unit="sessions") as bar:
        more = True
        while more:
            step: dict[str, Any] = msgspec.to_builtins(client.store.compact())
            more = step.pop("more")
            total = {name: value + step[name] for name, value in total.items()}
            bar.at(total["session_count"], None, size(total["bytes_before"] - total["bytes_after"]))
        url = public_url(client.store.url)
        give_back = getattr(client.store, "reclaim", None)  # ports.store.Reclaiming: others hold no room that they do not use
        if reclaim and give_back is not None:
            give_back()
    if as_json:
        out.json({"url": url, **total})
    elif total["segment_count"]:
        events, before, after = total["event_count"], size(total["bytes_before"]), size(total["bytes_after"])
        out.line(f"{count(events, 'event')} in {count(total['session_count'], 'session')}: {before} became {after}")
    else:
        out.line("nothing is cold enough to be rewritten")
