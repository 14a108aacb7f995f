"""``show`` and ``diff``: read a conversation, compare two of its branches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from turnfold.cli.app import App, command, json_option, jsonl_option, session_argument
from turnfold.cli.messages import print_message
from turnfold.cli.out import Out, note
from turnfold.cli.sessions import title_of
from turnfold.cli.words import count, moment, short_number

if TYPE_CHECKING:
    from turnfold import Diff, Session


@command("show")
@session_argument
@click.option("--at", "at_seq", type=click.IntRange(1), metavar="SEQ", help="As it was at this place of the log.")
@click.option("--branch", metavar="NAME", help="This branch instead of the active one.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="Only the last N messages.")
@click.option("--full", is_flag=True, help="Whole tool calls and results.")
@json_option("Print one JSON object: the session and its messages.")
@jsonl_option("Print one JSON object per message and line.")
def show(
    app: App,
    session: str,
    *,
    at_seq: int | None,
    branch: str | None,
    last: int | None,
    full: bool,
    as_json: bool,
    as_jsonl: bool,
) -> None:
    """Print the conversation of a session."""
    out = app.out(as_json=as_json, as_jsonl=as_jsonl)
    with app.session(session, branch=branch) as (_, handle):
        messages = handle.messages(last=last, at=at_seq)
        if as_jsonl:
            out.jsonl(message.to_dict() for message in messages)
        elif as_json:
            out.json({"session": handle.info().to_dict(), "messages": [message.to_dict() for message in messages]})
        else:
            _heading(out, handle, branch)
            for message in messages:
                print_message(out, message, full=full)
            if not messages:
                note("no messages here")


def _heading(out: Out, handle: Session, branch: str | None) -> None:
    info = handle.info()
    out.line(title_of(info), "bold")
    facts = [
        info.id,
        info.agent,
        info.status,
        f"branch {branch or info.active_branch}" if info.branch_count > 1 else "",
        moment(info.created_at_us),
    ]
    facts += [
        f"{short_number(info.usage.total_tokens)} tokens" if info.usage.total_tokens else "",
        " ".join(f"[{tag}]" for tag in info.tags),
    ]
    out.line(" · ".join(fact for fact in facts if fact), "dim")
    out.line()


@command("diff")
@session_argument
@click.argument("first", metavar="B1")
@click.argument("second", metavar="B2")
@click.option("--full", is_flag=True, help="Whole tool calls and results.")
@json_option("Print one JSON object: where they part and what each has alone.")
def diff(app: App, session: str, first: str, second: str, *, full: bool, as_json: bool) -> None:
    """Compare two branches of a session.

    B1 and B2 are branch names. What both share is only counted; what one has alone is printed, with the values of the state that differ and
    what each side has used since they part.
    """
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        found = handle.diff(first, second)
        sides = ((first, found.ours), (second, found.theirs))
        if as_json:
            branches = {name: [message.to_dict() for message in messages] for name, messages in sides}
            rows = [{"ours": row.ours and row.ours.seq, "theirs": row.theirs and row.theirs.seq, "same": row.same} for row in found.rows]
            usage = {name: used.to_dict() for name, used in zip((first, second), found.usage, strict=True)}
            facts = {"session_id": handle.id, "base_seq": found.base_seq, "branches": branches}
            out.json(facts | {"rows": rows, "state": found.state, "usage": usage})
            return
        out.line(f"the same up to #{found.base_seq}" if found.base_seq else "nothing in common", "dim")
        for name, messages in sides:
            out.line()
            out.line(f"only in {name}: {count(len(messages), 'message')}", "bold")
            out.line()
            for message in messages:
                print_message(out, message, full=full)
        _state_and_usage(out, found, (first, second))


def _state_and_usage(out: Out, found: Diff, names: tuple[str, str]) -> None:
    from msgspec.json import encode

    same = sum(row.same for row in found.rows)
    if same:
        out.line()
        out.line(f"of these {count(same, 'message')} say the same on both sides", "dim")
    if found.state:
        out.line()
        out.line("state", "bold")
    for one in found.state:
        sides = zip(names, ("ours", "theirs"), strict=True)
        values = [f"{name} {'(none)' if side in one['missing'] else encode(one[side]).decode()}" for name, side in sides]
        out.line(f"  {one['key']}: {', '.join(values)}")
    if any(found.usage):
        out.line()
        tokens = (f"{name} {short_number(used.total_tokens) or 0} tokens" for name, used in zip(names, found.usage, strict=True))
        out.line(f"used since: {', '.join(tokens)}", "dim")
