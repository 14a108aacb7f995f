"""``events`` and ``follow``: the log itself, as it is and as it grows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from turnfold.cli.app import App, command, json_option, jsonl_option, session_argument
from turnfold.cli.out import Column, Out, note
from turnfold.cli.safe import shorten
from turnfold.cli.words import moment
from turnfold.limits import READ_CHUNK_EVENTS
from turnfold.model.event import Event
from turnfold.model.event_types import MESSAGE
from turnfold.model.message import decode_message

if TYPE_CHECKING:
    from turnfold import Session

COLUMNS: Final = (
    Column("seq", right=True),
    Column("at", style="dim", yields=2),
    Column("branch", yields=1),
    Column("type", style="cyan"),
    Column("content", flexible=True),
)
SUMMARY_CHARS: Final = 160
ENDED: Final = frozenset({"completed", "failed", "cancelled", "expired", "archived"})


@command("events")
@session_argument
@click.option("--after", default=0, type=click.IntRange(0), metavar="SEQ", help="Only events after this place.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N events.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only this event type, e.g. message; several mean any of them.")
@click.option("--branch", metavar="NAME", help="Only what this branch's view holds.")
@json_option("Print one JSON object with all events asked for.")
@jsonl_option("Print one JSON object per event and line.")
def events(app: App, session: str, *, as_json: bool, as_jsonl: bool, **chosen: Any) -> None:
    """Print the events of a session's log."""
    out = app.out(as_json=as_json, as_jsonl=as_jsonl)
    with app.session(session) as (_, handle):
        found = walk(handle, **chosen)
        if as_jsonl:
            out.jsonl(event.to_dict() for event in found)
        elif as_json:
            out.json({"session_id": handle.id, "events": [event.to_dict() for event in found]})
        else:
            out.table(COLUMNS, (_row(event) for event in found))


@command("follow")
@session_argument
@click.option("--after", type=click.IntRange(0), metavar="SEQ", help="Begin after this place (default: with what comes next).")
@click.option("--wait", "wait_s", type=click.FloatRange(0), metavar="SECONDS", help="End when nothing came for this long (default: never).")
@jsonl_option("Print one JSON object per event and line.")
def follow(app: App, session: str, *, after: int | None, wait_s: float | None, as_jsonl: bool) -> None:
    """Print events as they are appended, from any process."""
    out = app.out(as_jsonl=as_jsonl)
    with app.session(session) as (_, handle):
        cursor = handle.info().last_seq if after is None else after
        app.interrupted = _go_on(handle, cursor)
        for event in handle.follow(after=cursor, wait_s=wait_s):
            _print(out, event)
            app.interrupted = _go_on(handle, event.seq)
        if (status := handle.info().status) in ENDED:
            note(f"the session is {status}; nothing follows")


def walk(
    handle: Session, *, after: int = 0, limit: int | None = None, types: tuple[str, ...] = (), branch: str | None = None
) -> Iterator[Event]:
    """Yield events page by page until ``limit`` (None: all)."""
    chosen: dict[str, Any] = {"types": list(types)} if types else {}
    if branch is not None:
        chosen["branch"] = branch
    cursor: Any = after
    while limit is None or limit > 0:
        page = handle.events(after=cursor, limit=min(limit or READ_CHUNK_EVENTS, READ_CHUNK_EVENTS), **chosen)
        yield from page.items
        if not page.items:
            return
        if limit is not None:
            limit -= len(page.items)
        cursor = page.cursor


def _go_on(handle: Session, cursor: int) -> str:
    return f"stopped; `turnfold follow {handle.id} --after {cursor}` goes on"


def _print(out: Out, event: Event) -> None:
    if out.form == "jsonl":
        out.json(event.to_dict())
    elif out.terminal:
        seq, at, branch, kind, text = _row(event)
        out.line(f"{seq:>6}  {at}  {branch}  {kind}  {text}")
    else:
        out.table(COLUMNS, [_row(event)])
    out.flush()


def _row(event: Event) -> list[object]:
    return [event.seq, moment(event.at_us), event.branch, event.type, summary(event)]


def summary(event: Event) -> str:
    """Return in one line what an event says."""
    if event.redacted:
        return "(redacted)"
    if event.type == MESSAGE:
        message = decode_message(event.data_raw)
        text = message.text or " ".join(_part(part) for part in message.parts)
        return f"{message.role}: {shorten(text, SUMMARY_CHARS)}"
    return shorten(event.data_raw.decode("utf-8", "replace"), SUMMARY_CHARS)


def _part(part: Any) -> str:
    kind = str(part["type"])
    if kind == "tool_call":
        return f"→ {part.get('name')}"
    if kind == "tool_call_response":
        return f"← {part.get('response')}"
    return f"[{kind}] {part.get('content') or ''}" if kind == "reasoning" else f"[{kind}]"
