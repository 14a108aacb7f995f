"""``search``, ``usage``, ``stats``: questions across sessions."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from turnfold.cli.app import App, command, json_option, jsonl_option
from turnfold.cli.out import Column, note
from turnfold.cli.resolve import session_id, short_ids
from turnfold.cli.safe import shorten
from turnfold.cli.sessions import walk
from turnfold.cli.words import count, moment, money, short_number, size
from turnfold.errors import InvalidInput
from turnfold.ids import now_us
from turnfold.model.usage import NO_USAGE, Usage

HIT_COLUMNS: Final = (Column("session", style="cyan"), Column("seq", right=True), Column("at", style="dim"), Column("role"), Column("text", flexible=True))
USAGE_COLUMNS: Final = (
    Column("", flexible=True, style="cyan"),
    Column("sessions", right=True),
    Column("input", right=True),
    Column("cached", right=True),
    Column("output", right=True),
    Column("total", right=True),
    Column("cost", right=True),
)
SNIPPET_CHARS: Final = 240


@command("search")
@click.argument("text", nargs=-1, required=True, metavar="TEXT")
@click.option("--session", "within", metavar="ID", help="Only in this session.")
@click.option("--agent", metavar="NAME", help="Only in sessions of this agent.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="At most N hits.")
@json_option("Print one JSON object with all hits.")
@jsonl_option("Print one JSON object per hit and line.")
def search(app: App, text: tuple[str, ...], *, within: str | None, agent: str | None, limit: int, as_json: bool, as_jsonl: bool) -> None:
    """Find text in all sessions. A hit holds all the words."""
    out = app.out(as_json=as_json, as_jsonl=as_jsonl)
    asked = " ".join(text)
    with app.client() as client:
        chosen: dict[str, Any] = {} if within is None else {"session_id": session_id(client, within)}
        page = client.search(asked, limit=limit, **chosen, **({} if agent is None else {"agent": agent}))
        if as_jsonl:
            out.jsonl(hit.to_dict() for hit in page.items)
        elif as_json:
            out.json({"query": asked, "hits": [hit.to_dict() for hit in page.items], "indexed_through": page.indexed_through})
        else:
            short = short_ids([hit.session_id for hit in page.items]) if out.terminal else {}
            rows = ((short.get(hit.session_id, hit.session_id), hit.seq, moment(hit.at_us), hit.role, shorten(hit.snippet, SNIPPET_CHARS)) for hit in page.items)
            if page.items:
                out.table(HIT_COLUMNS, rows)
            else:
                note("nothing found")
            if page.indexed_through:
                note(f"{count(page.indexed_through, 'session')} not indexed yet; search again in a moment")
