"""``formats``: what ``import`` reads and ``export`` writes."""

from __future__ import annotations

from typing import Final

from msgspec import to_builtins

from turnfold.cli.app import App, command, json_option
from turnfold.cli.out import Column

COLUMNS: Final = (Column("format", style="cyan"), Column("import"), Column("export"))
_READ: Final = {"lines": "a file of lines", "document": "a document or database", "bundle": "a bundle", "": ""}
_WRITTEN: Final = {"any": "any session", "own": "sessions that came from it", "": ""}


@command("formats")
@json_option("Print one JSON object with the formats.")
def formats(app: App, *, as_json: bool) -> None:
    """List the formats that are imported and exported.

    Import knows a file by its content; --format of import and export takes these names. Packages can bring more of them.
    """
    from turnfold import list_formats

    out = app.out(as_json=as_json)
    found = list_formats()
    if as_json:
        out.json({"formats": [to_builtins(one) for one in found]})
    else:
        out.table(COLUMNS, [(one.name, _READ[one.kind], _WRITTEN[one.writes]) for one in found])
