"""``version``: the quickest command, for scripts and bug reports."""

from __future__ import annotations

import platform

from turnfold import __version__
from turnfold.cli.app import App, command, json_option


@command("version")
@json_option()
def version(app: App, *, as_json: bool) -> None:
    """Print the version."""
    out = app.out(as_json=as_json)
    if as_json:
        out.json({"turnfold": __version__, "python": platform.python_version()})
    else:
        out.line(f"turnfold {__version__}")
