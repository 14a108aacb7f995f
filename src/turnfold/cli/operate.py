"""``verify``, ``config``: is what is stored what was written, and why is it where it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from turnfold.cli.app import App, command, json_option
from turnfold.cli.out import Column, Out, note, progress
from turnfold.cli.resolve import session_id, short_ids
from turnfold.cli.sessions import walk
from turnfold.cli.words import count, public_url
from turnfold.errors import IntegrityError, KeyUnavailable

if TYPE_CHECKING:
    from turnfold.client import Client

CONFIG_COLUMNS: Final = (Column("setting", style="cyan"), Column("value", flexible=True), Column("from", style="dim"))
VERIFY_COLUMNS: Final = (
    Column("id", style="cyan"),
    Column("events", right=True),
    Column("redacted", right=True),
    Column("pruned", right=True),
    Column("sealed to", right=True),
    Column("result", flexible=True),
)


@command("verify")
@click.argument("sessions", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Every session of the store.")
@json_option()
def verify(app: App, sessions: tuple[str, ...], *, everything: bool, as_json: bool) -> None:
    """Check digests, order and seals of a session.

    The first bad place is named. The exit status is 8 when something is wrong; a session whose key was forgotten is no damage.
    """
    if everything == bool(sessions):
        raise click.UsageError("verify takes session ids, or --all")
    out = app.out(as_json=as_json)
    with app.client() as client:
        ids = [info.id for info in walk(client, None)] if everything else [session_id(client, prefix) for prefix in sessions]
        found = list(_verified(client, ids))
    bad = [one for one in found if "error" in one]
    if as_json:
        out.json({"ok": not bad, "sessions": found})
    else:
        short = short_ids([one["session_id"] for one in found]) if out.terminal else {}
        out.table(VERIFY_COLUMNS, ([short.get(one["session_id"], one["session_id"]), *_row(one)] for one in found))
        if out.terminal and found and not bad:
            keyed = all(one.get("keyed", True) for one in found)
            unread = sum("unreadable" in one for one in found)
            note(
                (f"all but {count(unread, 'session')} in order" if unread else "all in order")
                + ("" if keyed else "; without a key this detects corruption, not an attacker (TURNFOLD_INTEGRITY_KEY)")
            )
    if bad:
        raise IntegrityError(f"{count(len(bad), 'session')} of {len(found)} damaged; {bad[0]['session_id']}: {bad[0]['error']}")


def _verified(client: Client, ids: list[str]) -> Iterator[dict[str, Any]]:
    with progress("verifying", len(ids), unit="sessions") as bar:
        for done, one in enumerate(ids):
            bar.at(done, len(ids), one)
            try:
                yield msgspec.to_builtins(client.verify(one))
            except IntegrityError as error:
                yield {"session_id": one, "error": error.message, "seq": error.details.get("seq")}
            except KeyUnavailable as error:
                yield {"session_id": one, "unreadable": error.message}


def _row(one: dict[str, Any]) -> list[object]:
    if "error" in one:
        return ["", "", "", "", f"bad: {one['error']}"]
    if "unreadable" in one:
        return ["", "", "", "", f"not looked at: {one['unreadable']}"]
    return [one["event_count"], one["redacted_count"], one["pruned_count"], one["sealed_through"], "ok"]


@command("config")
@json_option()
def config(app: App, *, as_json: bool) -> None:
    """Show the settings that hold and where each came from."""
    from turnfold.config import load_config

    out = app.out(as_json=as_json)
    held = load_config(store=app.store, tenant=app.tenant, owner=app.owner)
    values: dict[str, Any] = {"store": public_url(held.store), "tenant": held.tenant, "owner": held.owner}
    values["integrity_key"] = None if held.integrity_key is None else "(set)"
    values["keyring"] = held.keyring
    values |= msgspec.to_builtins(held.settings)
    if as_json:
        out.json({name: {"value": value, "origin": held.origin.get(name, "default")} for name, value in values.items()})
    else:
        _print_config(out, values, held.origin)


def _print_config(out: Out, values: dict[str, Any], origin: dict[str, str]) -> None:
    def shown(value: object) -> str:
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    out.table(CONFIG_COLUMNS, ((name, shown(value), origin.get(name, "default")) for name, value in values.items()))
