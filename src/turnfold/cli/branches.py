"""``fork``, ``branch``, ``checkpoint``, ``restore``: going back and going elsewhere, losing nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from turnfold.cli.app import App, Command, Group, command, json_option, pass_app, session_argument
from turnfold.cli.out import Column, Out

if TYPE_CHECKING:
    from turnfold import Branch, Checkpoint, Session, SessionInfo

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
    """List, switch, rename and put away branches."""


@branch.command("ls", cls=Command)
@session_argument
@click.option("--all", "everything", is_flag=True, help="Those too that were abandoned.")
@json_option()
@pass_app
def branch_ls(app: App, session: str, *, everything: bool, as_json: bool) -> None:
    """List a session's branches; the active one is marked."""
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        info, found = handle.info(), handle.branches(abandoned=everything)
        if as_json:
            out.json({"session_id": handle.id, "branches": [branch_dict(one, info) for one in found]})
        else:
            marks = ("*" if is_active(one, info) else "x" if one.abandoned else "" for one in found)
            out.table(BRANCH_COLUMNS, ((mark, one.name, one.parent, one.fork_seq or "") for mark, one in zip(marks, found, strict=True)))


def is_active(one: Branch, info: SessionInfo) -> bool:
    """Whether a branch is the session's active one, which goes by the name that it was created with."""
    return info.active_branch == (one.created_as or one.name)


def branch_dict(one: Branch, info: SessionInfo) -> dict[str, Any]:
    """Return a branch as ``--json`` prints it."""
    out: dict[str, Any] = {"name": one.name, "parent": one.parent, "fork_seq": one.fork_seq, "active": is_active(one, info)}
    if one.created_as is not None:
        out["created_as"] = one.created_as
    if one.abandoned:
        out["abandoned"] = True
    return out


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


@branch.command("rename", cls=Command)
@session_argument
@click.argument("name", metavar="B")
@click.argument("new", metavar="NEW")
@json_option()
@pass_app
def branch_rename(app: App, session: str, name: str, new: str, *, as_json: bool) -> None:
    """Call branch B something else.

    Its events go on naming it as it was created, and so may you.
    """
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        handle.rename(name, new)
        if as_json:
            out.json({"session_id": handle.id, "branch": new, "previous": name})
        else:
            out.line(f"branch {name} of {handle.id} is called {new}")


@branch.command("abandon", cls=Command)
@session_argument
@click.argument("name", metavar="B")
@click.option("--reason", metavar="TEXT", help="Why, for readers of the log.")
@json_option()
@pass_app
def branch_abandon(app: App, session: str, name: str, *, reason: str | None, as_json: bool) -> None:
    """Put branch B away: lists leave it out.

    Nothing is lost: `turnfold branch ls --all` shows it, and `turnfold branch switch` takes it up again.
    """
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        handle.abandon(name, reason=reason)
        if as_json:
            out.json({"session_id": handle.id, "abandoned": name})
        else:
            out.line(f"branch {name} of {handle.id} is put away")


MARK_COLUMNS = (
    Column("checkpoint", style="yellow", flexible=True),
    Column("branch", style="cyan"),
    Column("at", right=True),
    Column("kind"),
)


@command("checkpoint")
@session_argument
@click.argument("name", metavar="NAME", required=False)
@click.option("--list", "listing", is_flag=True, help="List the checkpoints instead, oldest first.")
@click.option("--delete", is_flag=True, help="Take the checkpoint NAME away; what it points to stays.")
@json_option()
def checkpoint(app: App, session: str, *, name: str | None, listing: bool, delete: bool, as_json: bool) -> None:
    """Name a place to come back to: the end of the active branch.

    Without NAME it gets one; such a checkpoint makes room for others where their number is limited.
    """
    if (delete and name is None) or (listing and (delete or name is not None)):
        raise click.UsageError("--delete takes a NAME, --list takes none")
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        if listing:
            _list_checkpoints(out, handle, as_json=as_json)
        elif delete and name is not None:
            handle.delete_checkpoint(name)
            out.json({"session_id": handle.id, "deleted": name}) if as_json else out.line(f"checkpoint {name} is gone")
        else:
            mark = handle.checkpoint(name)
            if as_json:
                out.json({"session_id": handle.id, **mark_dict(mark)})
            else:
                out.line(f"checkpoint {mark.name}: #{mark.seq} on branch {mark.branch}")


def mark_dict(mark: Checkpoint) -> dict[str, Any]:
    """Return a checkpoint as ``--json`` prints it."""
    out = {"name": mark.name, "branch": mark.branch, "seq": mark.seq}
    return out | ({"parent": mark.parent} if mark.parent else {}) | ({"kind": mark.kind} if mark.kind != "manual" else {})


def _list_checkpoints(out: Out, handle: Session, *, as_json: bool) -> None:
    marks = handle.checkpoints()
    if as_json:
        out.json({"session_id": handle.id, "checkpoints": [mark_dict(mark) for mark in marks]})
    else:
        out.table(MARK_COLUMNS, ((mark.name, mark.branch, mark.seq, mark.kind) for mark in marks))


@command("restore")
@session_argument
@click.argument("name", metavar="PLACE")
@json_option()
def restore(app: App, session: str, name: str, *, as_json: bool) -> None:
    """Go on from a checkpoint on a new branch.

    PLACE is a checkpoint or a seq. The new branch becomes active; what came after the place stays on its own branch, and a checkpoint keeps
    where the session was.
    """
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        handle.restore(int(name) if name.isdecimal() and all(mark.name != name for mark in handle.checkpoints()) else name)
        active = handle.info().active_branch
        if as_json:
            out.json({"session_id": handle.id, "active_branch": active})
        else:
            out.line(f"{handle.id} goes on from {name} on branch {active}")
