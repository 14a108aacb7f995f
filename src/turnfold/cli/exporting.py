"""``export``: a session as a tool's own file, as a bundle, as JSON lines, or as a page to read."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from msgspec import to_builtins

from turnfold.cli.app import App, command, json_option, session_argument
from turnfold.cli.out import note
from turnfold.cli.resolve import session_id
from turnfold.cli.safe import safe, safe_line
from turnfold.cli.tree import children_of
from turnfold.cli.words import count, size
from turnfold.errors import AlreadyExists, InvalidInput

if TYPE_CHECKING:
    from turnfold import Client, ExportedFile

OWN_FORMATS: Final = frozenset({"bundle", "jsonl"})


@command("export")
@session_argument
@click.option(
    "--format",
    "format_name",
    metavar="FORMAT",
    required=True,
    help="bundle (lossless and checked), jsonl, html, markdown, or a tool's or library's format; `turnfold formats` lists them.",
)
@click.option("--branch", default="", metavar="NAME", help="The branch to write in another format (default: the active one).")
@click.option("--output", "-o", metavar="FILE", help="File to write, or a folder (default: stdout).")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@json_option("Print one JSON object that lists the files written (with -o).")
def export(app: App, session: str, *, format_name: str, branch: str, output: str | None, force: bool, as_json: bool) -> None:
    """Write a session in a tool's format or as a bundle.

    An untouched session comes out of its own tool's format byte for byte as it came in. A folder gets the subagents' files too, named as
    the tool names them; so does a FILE that ends with a slash.
    """
    if as_json and output is None:
        raise click.UsageError("--json lists the files written by -o")
    out = app.out(as_json=as_json)
    with app.client() as client:
        one = session_id(client, session)
        if output is None:
            _to_stdout(client, one, format_name, branch=branch, terminal=out.terminal)
            return
        target = _target(output, one, format_name)
        try:
            files = client.export(one, target, format=format_name, branch=branch, overwrite=force)
        except AlreadyExists as error:
            raise AlreadyExists(error.message, hint="--force replaces it", **error.details) from error
        if as_json:
            out.json({"files": [to_builtins(file) for file in files]})
        else:
            for file in files:
                out.line(f"{file.path}  {size(file.byte_count)}" if out.terminal else f"{safe_line(file.path)}\t{file.byte_count}")
        _tell_losses(files)
        if format_name not in OWN_FORMATS and not target.is_dir():
            _tell_children(client, one, files)


def _target(given: str, one: str, format_name: str) -> Path:
    """Return the path to write: a folder that is named as one is made, and gets a file of our own formats under the session's id."""
    output = Path(given)
    if given.endswith(os.sep):
        output.mkdir(parents=True, exist_ok=True)
    if output.is_dir() and format_name in OWN_FORMATS:
        return output / (one.replace("/", "_") + (".turnfold" if format_name == "bundle" else ".jsonl"))
    return output


def _to_stdout(client: Client, one: str, format_name: str, *, branch: str, terminal: bool) -> None:
    """Write through a temporary file, so that an export that fails has printed nothing."""
    if terminal and format_name == "bundle":
        raise InvalidInput("a bundle is no text for a terminal", hint="-o FILE writes it to a file")
    with tempfile.TemporaryDirectory(prefix="turnfold-") as place:
        path = Path(place) / "export"
        files = client.export(one, path, format=format_name, branch=branch)
        if terminal:
            with path.open(encoding="utf-8", errors="backslashreplace", newline="\n") as lines:
                sys.stdout.writelines(safe(line) for line in lines)
            note("shown with control characters escaped; a pipe or -o FILE gets the exact bytes")
        else:
            with path.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
    _tell_losses(files)
    if format_name not in OWN_FORMATS:
        _tell_children(client, one, files)


def _tell_losses(files: Sequence[ExportedFile]) -> None:
    """Say what the format cannot hold."""
    for file in files:
        for kind, loss in file.losses.items():
            seqs = ", ".join(map(str, loss["seqs"]))
            where = f" (first at seq {seqs})" if seqs else ""
            note(f"not in the file: {loss['count']} × {kind}{where}")


def _tell_children(client: Client, one: str, files: Sequence[ExportedFile]) -> None:
    if any("sessions of subagents" in file.losses for file in files):  # said already: a writer of another format makes one file
        return
    children = [child for child in children_of(client, one) if (child.parent or {}).get("relation") == "subagent"]
    if children:
        note(f"{count(len(children), 'session')} of subagents not written; a tool's own format with -o FOLDER/ writes the set")
