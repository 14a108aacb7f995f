"""``tag``, ``close``, ``delete``: what happens to whole sessions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from turnfold.cli.app import App, command, json_option, session_argument
from turnfold.cli.resolve import session_id
from turnfold.cli.safe import safe_line
from turnfold.cli.sessions import title_of
from turnfold.cli.words import count
from turnfold.errors import InvalidInput, KeyUnavailable

if TYPE_CHECKING:
    from turnfold.client import Client

REASONS: Final = ("completed", "failed", "cancelled", "timeout", "archive", "new")
"""End reasons that end a session; deleting has a command of its own, which asks."""


@command("tag")
@session_argument
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option("--remove", "removed", multiple=True, metavar="TAG", help="Remove this tag; may be given several times.")
@json_option()
def tag(app: App, session: str, tags: tuple[str, ...], *, removed: tuple[str, ...], as_json: bool) -> None:
    """Add or remove tags of a session; without any, print its tags."""
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        handle.tag(*tags, remove=removed)
        now = list(handle.info().tags)
        if as_json:
            out.json({"session_id": handle.id, "tags": now})
        else:
            for one in now:
                out.line(one)


@command("close")
@session_argument
@click.option("--reason", type=click.Choice(REASONS), default="completed", show_default=True, help="How it ended.")
@click.option("--error", metavar="TEXT", help="What went wrong, for --reason failed.")
@json_option()
def close(app: App, session: str, *, reason: str, error: str | None, as_json: bool) -> None:
    """End a session; it can still be read."""
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        handle.close(reason=reason, error=error)
        info = handle.info()
        if as_json:
            out.json(info.to_dict())
        else:
            out.line(f"{info.id}: {info.status}")


@command("delete")
@session_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option()
def delete(app: App, session: str, *, yes: bool, as_json: bool) -> None:
    """Delete a session and everything in it. There is no way back."""
    out = app.out(as_json=as_json)
    with app.client() as client:
        found = session_id(client, session)
        if not yes and not _agreed(f"Delete {_described(client, found)}?"):
            raise click.exceptions.Exit(1)
        client.delete(found)
        if as_json:
            out.json({"deleted": found})
        else:
            out.line(f"deleted {found}")


def _described(client: Client, found: str) -> str:
    """What is about to go, as a question names it."""
    try:
        info = client.open(found, create=False).info()
    except KeyUnavailable:  # what it was is gone; what is left of it may go too
        return safe_line(found)
    return f"{safe_line(title_of(info))} ({safe_line(found)}, {count(info.message_count, 'message')})"


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise InvalidInput("delete asks, and there is nobody to answer", hint="--yes deletes without asking")
    return click.confirm(question, err=True)
