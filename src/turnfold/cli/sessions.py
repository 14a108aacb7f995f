"""``ls``: the sessions, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from turnfold.cli.app import App, command, json_option, jsonl_option
from turnfold.cli.out import Column, Out, note
from turnfold.cli.resolve import short_ids
from turnfold.cli.words import age, count, money, short_number
from turnfold.ids import now_us
from turnfold.limits import PAGE_SESSIONS_DEFAULT, PAGE_SESSIONS_MAX
from turnfold.model.session import SessionInfo

if TYPE_CHECKING:
    from turnfold.client import Client

COLUMNS: Final = (
    Column("id", style="cyan"),
    Column("title", flexible=True),
    Column("agent", yields=2),
    Column("status", yields=3),
    Column("messages", right=True, yields=1),
    Column("tokens", right=True, yields=4),
    Column("cost", right=True, yields=5),
    Column("changed"),
)
STATUS_STYLES: Final = {"active": "green", "failed": "red", "suspended": "yellow", "pending": "yellow"}


@command("ls")
@click.option("--agent", metavar="NAME", help="Only sessions of this agent, e.g. claude-code.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only sessions that carry this tag; several mean all of them.")
@click.option("--status", metavar="STATUS", help="Only sessions in this status, e.g. active.")
@click.option("--limit", type=click.IntRange(1), default=PAGE_SESSIONS_DEFAULT, show_default=True, help="At most this many sessions.")
@click.option("--all", "everything", is_flag=True, help="All sessions, however many.")
@json_option("Print one JSON object with all sessions asked for.")
@jsonl_option("Print one JSON object per session and line.")
def ls(app: App, *, as_json: bool, as_jsonl: bool, limit: int, everything: bool, **chosen: Any) -> None:
    """List sessions, newest first."""
    out = app.out(as_json=as_json, as_jsonl=as_jsonl)
    with app.client() as client:
        found = walk(client, None if everything else limit, **chosen)
        if as_jsonl:
            out.jsonl(info.to_dict() for info in found)
            return
        infos = list(found)
        if as_json:
            out.json({"sessions": [info.to_dict() for info in infos]})
        else:
            print_sessions(out, infos)
            if not everything and len(infos) == limit and out.terminal:
                note(f"the newest {limit}; --all or --limit shows more")


def walk(client: Client, limit: int | None, **chosen: Any) -> Iterator[SessionInfo]:
    """Yield sessions page by page, newest first, until ``limit`` (None: all)."""
    cursor = None
    while limit is None or limit > 0:
        page = client.sessions(limit=min(limit or PAGE_SESSIONS_MAX, PAGE_SESSIONS_MAX), cursor=cursor, **chosen)
        yield from page.items
        if limit is not None:
            limit -= len(page.items)
        cursor = page.cursor
        if cursor is None:
            return


def print_sessions(out: Out, infos: Sequence[SessionInfo], *, aligned: bool = False) -> None:
    """Print sessions as a table, or in a pipe with whole ids between tabs or (``aligned``) as people read them."""
    if not out.terminal and aligned:
        short, now = short_ids([info.id for info in infos]), now_us()
        out.table(COLUMNS, (list(_cells(info, short[info.id], now).values()) for info in infos), aligned=True)
    elif not out.terminal:
        out.table(COLUMNS, (_plain(info) for info in infos))
    elif infos:
        from turnfold.cli.out import styled

        short = short_ids([info.id for info in infos])
        now = now_us()
        unused = {
            column
            for column, used in (("cost", any(i.usage.cost_microusd for i in infos)), ("tokens", any(i.usage for i in infos)))
            if not used
        }
        columns = [column for column in COLUMNS if column.title not in unused]
        rows = []
        for info in infos:
            cells = _cells(info, short[info.id], now)
            cells["status"] = styled(cells["status"], STATUS_STYLES.get(info.status, "dim"))
            rows.append([cells[column.title] for column in columns])
        out.table(columns, rows)
    else:
        note("no sessions here yet; `turnfold import` brings in those that tools left on this machine")


def title_of(info: SessionInfo) -> str:
    """Return the title, marked where the session is another's child."""
    key = info.metadata.get("turnfold:key")  # of an encrypted store, where something is wrong with it
    return ("↳ " if info.parent else "") + (info.title or (f"(key {key})" if key else "(untitled)"))


def _cells(info: SessionInfo, short: str, now: int) -> dict[str, object]:
    return {
        "id": short,
        "title": title_of(info),
        "agent": info.agent,
        "status": info.status,
        "messages": info.message_count,
        "tokens": short_number(info.usage.total_tokens),
        "cost": money(info.usage.cost_microusd),
        "changed": age(info.updated_at_us, now),
    }


def _plain(info: SessionInfo) -> list[object]:
    usage = info.usage
    return [
        info.id,
        info.title or "",
        info.agent,
        info.status,
        info.message_count,
        usage.total_tokens,
        usage.cost_microusd / 1_000_000 if usage.cost_microusd else "",
        info.updated_at.isoformat(),
    ]


def summary(infos: Sequence[SessionInfo]) -> str:
    """Return how many sessions and messages there are."""
    return f"{count(len(infos), 'session')}, {count(sum(info.message_count for info in infos), 'message')}"
