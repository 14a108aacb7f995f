"""``fork``, ``branch``, ``checkpoint``, ``restore``: going back and going elsewhere, losing nothing."""

from __future__ import annotations

import click

from turnfold.cli.app import App, Command, Group, command, json_option, pass_app, session_argument
from turnfold.cli.out import Column

BRANCH_COLUMNS = (Column("active"), Column("branch", style="cyan", flexible=True), Column("from"), Column("after", right=True))


@command("fork")
@session_argument
@click.option("--at", metavar="SEQ", help="Place to fork at: a seq or a checkpoint's name (default: the end).")
@click.option("--name", required=True, metavar="B", help="Name of the new branch.")
@json_option()
def fork(app: App, session: str, *, at: str | None, name: str, as_json: bool) -> None:
    """Start a branch from a place in a session.

    The active branch stays active; `turnfold branch switch` changes it.
    """
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        place = None if at is None else int(at) if at.isdecimal() else at
        forked = handle.fork(name, at=place)
        made = next(one for one in handle.branches() if one.name == name)
        if as_json:
            out.json({"session_id": handle.id, "branch": forked.branch, "parent": made.parent, "fork_seq": made.fork_seq})
        else:
            out.line(f"branch {name} of {handle.id}: after #{made.fork_seq} of {made.parent}")


@click.group("branch", cls=Group)
def branch() -> None:
    """List and switch branches."""


@branch.command("ls", cls=Command)
@session_argument
@json_option()
@pass_app
def branch_ls(app: App, session: str, *, as_json: bool) -> None:
    """List a session's branches; the active one is marked."""
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        active = handle.info().active_branch
        found = handle.branches()
        if as_json:
            rows = [{"name": one.name, "parent": one.parent, "fork_seq": one.fork_seq, "active": one.name == active} for one in found]
            out.json({"session_id": handle.id, "branches": rows})
        else:
            out.table(BRANCH_COLUMNS, (("*" if one.name == active else "", one.name, one.parent, one.fork_seq or "") for one in found))


@branch.command("switch", cls=Command)
@session_argument
@click.argument("name", metavar="B")
@json_option()
@pass_app
def branch_switch(app: App, session: str, name: str, *, as_json: bool) -> None:
    """Make B the active branch: the one that is read and appended to."""
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        handle.switch(name)
        if as_json:
            out.json({"session_id": handle.id, "active_branch": name})
        else:
            out.line(f"{handle.id} is on branch {name}")


@command("checkpoint")
@session_argument
@click.argument("name", metavar="NAME")
@json_option()
def checkpoint(app: App, session: str, name: str, *, as_json: bool) -> None:
    """Name a place to come back to: the end of the active branch."""
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        mark = handle.checkpoint(name)
        if as_json:
            out.json({"session_id": handle.id, "name": mark.name, "branch": mark.branch, "seq": mark.seq})
        else:
            out.line(f"checkpoint {mark.name}: #{mark.seq} on branch {mark.branch}")


@command("restore")
@session_argument
@click.argument("name", metavar="NAME")
@json_option()
def restore(app: App, session: str, name: str, *, as_json: bool) -> None:
    """Go on from a checkpoint on a new branch.

    NAME is a checkpoint. The new branch becomes active; what came after the checkpoint stays on its own branch.
    """
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        handle.restore(name)
        branch = handle.info().active_branch
        if as_json:
            out.json({"session_id": handle.id, "active_branch": branch})
        else:
            out.line(f"{handle.id} goes on from {name} on branch {branch}")
