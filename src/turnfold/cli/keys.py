"""``keys``: the keyring of encrypted stores."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from turnfold.cli.app import App, Command, Group, json_option, pass_app
from turnfold.cli.out import Column, note, progress
from turnfold.cli.safe import safe_line
from turnfold.cli.words import count, moment
from turnfold.errors import InvalidInput, KeyUnavailable, NotFound

if TYPE_CHECKING:
    from turnfold.connecting import AnyKeyring

COLUMNS: Final = (
    Column("key", style="cyan"),
    Column("kind"),
    Column("session", flexible=True),
    Column("tenant", yields=2),
    Column("state"),
    Column("wrapped by", style="dim", yields=1),
    Column("made (UTC)", style="dim", yields=3),
)
keyring_option = click.option(
    "--keyring", metavar="KEYRING", help="A keyring file, env:VARIABLE or os:NAME (default: TURNFOLD_KEYRING, else the setting)."
)


def _spec(app: App, given: str | None) -> str:
    from turnfold.config import load_config

    spec = given or load_config(store=app.store).keyring
    if spec is None:
        raise KeyUnavailable("no keyring is named", hint="--keyring, TURNFOLD_KEYRING or the setting keyring; turnfold keys new makes one")
    return spec


def _opened(app: App, given: str | None) -> AnyKeyring:
    from turnfold.connecting import open_keyring

    return open_keyring(_spec(app, given))


@click.group("keys", cls=Group)
def keys() -> None:
    """Make, list, renew and forget the keys of encrypted stores."""


@keys.command("new", cls=Command)
@click.argument("keyring", required=False)
@click.option("--print", "shown", is_flag=True, help="Make no keyring: print a master key for an environment variable.")
@json_option()
@pass_app
def new(app: App, keyring: str | None, *, shown: bool, as_json: bool) -> None:
    """Make a keyring with a new master key.

    KEYRING is the path of a file that is not there, or os:NAME for the system's keyring (default: TURNFOLD_KEYRING, else the setting).
    """
    from turnfold.connecting import new_keyring, new_master_key

    out = app.out(as_json=as_json)
    if shown:
        out.json({"master": new_master_key()}) if as_json else out.line(new_master_key())
        return
    made = new_keyring(_spec(app, keyring))
    if as_json:
        out.json({"keyring": made.describe(), "master": made.list_keys()[0].kid})
    else:
        out.line(f"made {made.describe()}")
        if out.terminal:
            note("keep a copy where the store's backups are not: without it nothing can be read, and with it no key is forgotten")


@keys.command("ls", cls=Command)
@keyring_option
@json_option("Print one JSON object with all keys; no key material.")
@pass_app
def ls(app: App, *, keyring: str | None, as_json: bool) -> None:
    """List the keys: ids, whose they are, what wraps them. Never the keys themselves."""
    out = app.out(as_json=as_json)
    held = _opened(app, keyring)
    infos = held.list_keys()
    if as_json:
        out.json({"keyring": held.describe(), "can_forget": held.can_forget, "keys": [msgspec.to_builtins(info) for info in infos]})
        return
    rows: list[Sequence[Any]] = [
        (
            info.kid,
            info.kind,
            info.session_id or "",
            info.tenant or "",
            info.state,
            info.master or "",
            moment(info.created_at_us) if info.created_at_us else "",
        )
        for info in infos
    ]
    out.table(COLUMNS, rows)


@keys.command("rotate", cls=Command)
@keyring_option
@click.option("--eager", is_flag=True, help="Also wrap every key anew and destroy the older master keys.")
@json_option()
@pass_app
def rotate(app: App, *, keyring: str | None, eager: bool, as_json: bool) -> None:
    """Make a new master key; each session gets a new key with its next commit.

    Without --eager the older master keys stay, to open what they wrapped. Interrupted, --eager goes on when it is called again.
    """
    out = app.out(as_json=as_json)
    held = _opened(app, keyring)
    wrapped = 0

    def at(done: int, total: int) -> None:
        nonlocal wrapped
        wrapped = total
        bar.at(done, total)

    with progress("wrapping keys", unit="keys") as bar:
        master = held.rotate(eager=eager, progress=at)
    if as_json:
        out.json({"keyring": held.describe(), "master": master.kid, "eager": eager, "wrapped": wrapped})
    else:
        out.line(f"{held.describe()}: the master key is {master.kid}" + (f", {count(wrapped, 'key')} wrapped anew" if eager else ""))


@keys.command("forget", cls=Command)
@click.argument("session", metavar="ID")
@keyring_option
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option()
@pass_app
def forget(app: App, session: str, *, keyring: str | None, yes: bool, as_json: bool) -> None:
    """Destroy the keys of a session: no copy of it can be read any more.

    ID is the session's whole id. The store is not asked: what is left of the session stays until `turnfold delete`.
    """
    from turnfold.config import load_config
    from turnfold.model.session import SessionKey

    out = app.out(as_json=as_json)
    held = _opened(app, keyring)
    key = SessionKey(load_config(tenant=app.tenant).tenant, session)
    if not held.can_forget:
        held.forget(key)  # which says why not
    infos = held.list_keys()
    if not any((info.tenant, info.session_id) == key and info.state != "forgotten" for info in infos):
        hint = "turnfold keys ls shows whose keys it has"
        raise NotFound(f"the keyring {held.describe()} has no key of session {session!r}", hint=hint, session_id=session)
    if not yes:
        if not sys.stdin.isatty():
            raise InvalidInput("keys forget asks, and there is nobody to answer", hint="--yes forgets without asking")
        if not click.confirm(f"Make session {safe_line(session)} unreadable for ever?", err=True):
            raise click.exceptions.Exit(1)
    number = held.forget(key)
    if as_json:
        out.json({"forgotten": session, "keys": number, "keyring": held.describe()})
    else:
        out.line(f"forgot {count(number, 'key')} of {session}")
        if out.terminal:
            note(f"copies of {Path(held.describe()).name} still have them: see that no backup of the keyring is kept")
