"""``search``, ``usage``, ``stats``: questions across sessions."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
import msgspec

from turnfold.cli.app import App, command, json_option, jsonl_option
from turnfold.cli.out import Column, Out, note
from turnfold.cli.resolve import session_id, short_ids
from turnfold.cli.safe import shorten
from turnfold.cli.sessions import walk
from turnfold.cli.words import count, money, short_number
from turnfold.errors import InvalidInput
from turnfold.ids import now_us
from turnfold.model.event import from_us
from turnfold.model.session import SessionInfo
from turnfold.model.usage import NO_USAGE, Usage

HIT_COLUMNS: Final = (Column("session", style="cyan"), Column("seq", right=True), Column("type"), Column("text", flexible=True))
USAGE_COLUMNS: Final = (
    Column("name", flexible=True, style="cyan"),
    Column("sessions", right=True),
    Column("input", right=True),
    Column("cached", right=True),
    Column("output", right=True),
    Column("total", right=True),
    Column("cost", right=True),
)
SNIPPET_CHARS: Final = 240
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@command("search")
@click.argument("text", nargs=-1, required=True, metavar="TEXT...")
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
        page = client.search(asked, limit=limit, agent=agent, session_id=None if within is None else session_id(client, within))
        hits = [msgspec.to_builtins(hit) for hit in page.items]
    if as_jsonl:
        out.jsonl(hits)
    elif as_json:
        out.json({"query": asked, "hits": hits, "lagging_sessions": page.indexed_through})
    else:
        _print_hits(out, hits)
    if page.indexed_through and not as_json:
        note(f"{count(page.indexed_through, 'session')} not indexed yet; search again in a moment")


def _print_hits(out: Out, hits: list[dict[str, Any]]) -> None:
    short = short_ids([hit["session_id"] for hit in hits]) if out.terminal else {}
    rows = []
    for hit in hits:
        shown = short.get(hit["session_id"], hit["session_id"])
        rows.append((shown, hit["seq"], hit["role"] or hit["type"], shorten(hit["snippet"], SNIPPET_CHARS)))
    if rows:
        out.table(HIT_COLUMNS, rows)
    else:
        note("nothing found")


@command("usage")
@click.option(
    "--by",
    type=click.Choice(["agent", "model", "day", "owner", "session"]),
    default="model",
    show_default=True,
    help="What to sum by; days are UTC.",
)
@click.option("--agent", metavar="NAME", help="Only sessions of this agent.")
@click.option("--since", metavar="WHEN", help="Only what was used since then: a date (2026-03-01) or an age (7d, 12h).")
@json_option("Print one JSON object: the rows and their total.")
def usage(app: App, *, by: Any, agent: str | None, since: str | None, as_json: bool) -> None:
    """Sum tokens and cost by agent, model or day."""
    out = app.out(as_json=as_json)
    with app.client() as client:
        found = client.usage(by=by, agent=agent, since=None if since is None else moment_of(since, now_us()))
    total = sum((row.usage for row in found), NO_USAGE)
    if as_json:
        rows = [{"name": row.name, "session_count": row.session_count, "usage": row.usage.to_dict()} for row in found]
        out.json({"by": by, "rows": rows, "total": total.to_dict()})
    elif not found:
        note("no usage recorded")
    else:
        lines = [(row.name, row.session_count, *_numbers(row.usage, out.terminal)) for row in found]
        if out.terminal and len(found) > 1:
            lines.append(("total", "", *_numbers(total, out.terminal)))
        out.table(USAGE_COLUMNS, lines)


def _numbers(used: Usage, terminal: bool) -> tuple[object, ...]:  # noqa: FBT001  private, one caller
    tokens = (used.input_tokens, used.cache_read_input_tokens, used.output_tokens, used.total_tokens)
    if terminal:
        return (*(short_number(number) for number in tokens), money(used.cost_microusd))
    return (*tokens, used.cost_microusd / 1_000_000)


def moment_of(text: str, now: int) -> datetime:
    """Return the time that a date, a date with time, or an age like ``7d`` means.

    Raises:
        InvalidInput: It is none of them.
    """
    number, unit = text[:-1], text[-1:]
    try:
        if number.isdecimal() and unit in _UNITS:
            return from_us(now) - timedelta(**{_UNITS[unit]: int(number)})
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"--since {text!r} is no time", hint="e.g. 2026-03-01, 2026-03-01T12:00 or 7d, 12h, 30m, 2w") from error
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


@command("stats")
@json_option()
def stats(app: App, *, as_json: bool) -> None:
    """Count what the store holds."""
    out = app.out(as_json=as_json)
    with app.client() as client:
        found = _count(walk(client, None))
    if as_json:
        out.json(found)
        return
    out.pairs(
        (
            ("sessions", f"{found['sessions']:,}"),
            ("  by agent", _listed(found["by_agent"])),
            ("  by status", _listed(found["by_status"])),
            ("events", f"{found['events']:,}"),
            ("messages", f"{found['messages']:,}"),
            ("tokens", short_number(found["usage"]["total_tokens"]) or "0"),
            ("cost", money(found["usage"].get("cost_microusd", 0)) or "unknown"),
        )
    )


def _count(infos: Any) -> dict[str, Any]:
    by_agent: Counter[str] = Counter()
    by_status: Counter[str] = Counter()
    events = messages = 0
    total = NO_USAGE
    info: SessionInfo
    for info in infos:
        by_agent[info.agent or "(none)"] += 1
        by_status[info.status] += 1
        events += info.last_seq
        messages += info.message_count
        total += info.usage
    return {
        "sessions": by_agent.total(),
        "by_agent": dict(by_agent.most_common()),
        "by_status": dict(by_status.most_common()),
        "events": events,
        "messages": messages,
        "usage": total.to_dict(),
    }


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())
