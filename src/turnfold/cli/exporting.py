"""``export``: a session as a tool's own file, as a bundle, or as JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from turnfold.cli.app import App, command, session_argument

FORMATS: Final = ("claude-code", "codex", "bundle", "jsonl")


@command("export")
@session_argument
@click.option("--format", "format_name", type=click.Choice(FORMATS), default="jsonl", show_default=True, help="Whose format to write.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File, or folder for a format of several files (default: stdout).",
)
def export(app: App, session: str, *, format_name: str, output: Path | None) -> None:
    """Write a session in a tool's format or as a bundle.

    An untouched session that was imported from the same tool comes out byte for byte as it was.
    """
