"""``resume``: a session into another tool's place, and that tool started there."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from turnfold.cli.app import App, command, json_option, session_argument
from turnfold.cli.out import note
from turnfold.cli.resolve import session_id
from turnfold.cli.safe import safe_line
from turnfold.cli.words import size
from turnfold.errors import NotSupported

if TYPE_CHECKING:
    from turnfold import Resumption

TOOL_NAMES = {"claude": "Claude Code", "codex": "Codex"}


@command("resume")
@session_argument
@click.option("--with", "tool", type=click.Choice(list(TOOL_NAMES)), required=True, help="The tool to go on with.")
@click.option("--run", is_flag=True, help="Start the tool there, in place of this program.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be.")
@click.option("--branch", default="", metavar="NAME", help="The branch to go on from (default: the active one).")
@click.option("--cwd", metavar="FOLDER", type=click.Path(path_type=Path), help="The folder to go on in (default: the session's own).")
@click.option(
    "--home",
    "--config-dir",
    "home",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The tool's folder (default: CLAUDE_CONFIG_DIR or ~/.claude, CODEX_HOME or ~/.codex).",
)
@click.option(
    "--reasoning",
    type=click.Choice(["drop", "note"]),
    default="drop",
    show_default=True,
    help="What becomes of another provider's reasoning: left out, or written as text.",
)
@click.option("--force", is_flag=True, help="Write another copy, under another id, where one is there already.")
@json_option("Print one JSON object: the file, the command, what is lost.")
def resume(
    app: App,
    session: str,
    *,
    tool: str,
    run: bool,
    dry_run: bool,
    branch: str,
    cwd: Path | None,
    home: Path | None,
    reasoning: str,
    force: bool,
    as_json: bool,
) -> None:
    """Continue a session in Claude Code or Codex.

    Writes the session as one of the tool's own, with its tool calls, results and images, and prints the command that goes on with it; --run
    starts it. A session of that very tool is put back as it was. A file that is there is never written over.
    """
    if run and (dry_run or as_json):
        raise click.UsageError("--run excludes --dry-run and --json")
    out = app.out(as_json=as_json)
    if run:
        _program(tool)
    with app.client() as client:
        done = client.resume_with(
            session_id(client, session),
            tool,
            branch=branch,
            home=home,
            cwd=cwd,
            reasoning="note" if reasoning == "note" else "drop",
            force=force,
            dry_run=dry_run,
        )
    if as_json:
        out.json(to_builtins(done))
        return
    _tell(done)
    if run:
        out.flush()
        _start(done)
    out.line(done.command)


def _tell(done: Resumption) -> None:
    """Say what was done, on stderr: the command alone is the result."""
    path, kind = safe_line(done.path), "the session's own file" if done.is_native else "a new session"
    if done.outcome == "there":
        note(f"there already: {path}")
        if done.grown_byte_count:
            note(f"{TOOL_NAMES[done.tool]} has gone on in it since ({size(done.grown_byte_count)}); turnfold import brings that in")
    else:
        note(
            f"{'would write' if done.outcome == 'planned' else 'wrote'} {kind} of {TOOL_NAMES[done.tool]}: {path} ({size(done.byte_count)})"
        )
    for loss, found in done.losses.items():
        note(f"not in it: {found['count']} × {loss}")


def _program(tool: str) -> str:
    """Return the tool's program, or say that it is not installed before anything is written."""
    name = TOOL_NAMES[tool]
    found = shutil.which(tool)
    if found is None:
        raise NotSupported(
            f"{name} is not installed: there is no program {tool!r} on the path", hint="without --run the command is printed"
        )
    return found


def _start(done: Resumption) -> None:
    """Become the tool."""
    program = _program(done.tool)
    os.chdir(done.cwd)
    sys.stderr.flush()
    os.execve(program, done.arguments, {**os.environ, **done.variables})  # noqa: S606  # the program that the user asked for
