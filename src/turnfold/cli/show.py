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
    from turnfold import Session


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

    B1 and B2 are branch names. What both share is only counted; what one has alone is printed.
    """
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        found = handle.diff(first, second)
        sides = ((first, found.ours), (second, found.theirs))
        if as_json:
            branches = {name: [message.to_dict() for message in messages] for name, messages in sides}
            out.json({"session_id": handle.id, "base_seq": found.base_seq, "branches": branches})
            return
        out.line(f"the same up to #{found.base_seq}" if found.base_seq else "nothing in common", "dim")
        for name, messages in sides:
            out.line()
            out.line(f"only in {name}: {count(len(messages), 'message')}", "bold")
            out.line()
            for message in messages:
                print_message(out, message, full=full)
