"""``merge``: bring what one branch has to another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from turnfold.cli.app import App, command, json_option, session_argument
from turnfold.cli.out import Out, note
from turnfold.cli.words import count
from turnfold.errors import TurnfoldError

if TYPE_CHECKING:
    from turnfold import Merged


@command("merge")
@session_argument
@click.argument("source", metavar="B")
@click.option("--into", metavar="BRANCH", help="The branch that gets it (default: the active one).")
@click.option(
    "--strategy",
    type=click.Choice(["append", "selective", "ours", "theirs", "both"]),
    default="append",
    help="append: everything; selective: the events of --event; ours, theirs, both: everything, with that choice for state (default: append).",
)
@click.option("--event", "events", multiple=True, metavar="EVENT", help="An event to bring, by id or seq; may be given again.")
@click.option(
    "--state",
    "choices",
    multiple=True,
    metavar="[KEY=]CHOICE",
    help="What to do about keys that both sides changed: ours, theirs or both; may be given again, for single keys.",
)
@click.option("--dry-run", is_flag=True, help="Decide, and write nothing.")
@json_option()
def merge(
    app: App,
    session: str,
    *,
    source: str,
    into: str | None,
    strategy: str,
    events: tuple[str, ...],
    choices: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring what one branch has to another.

    Copies of what B has, and the other has not got yet, go to its end in one step; B stays as it is. Merging again brings only what is new.
    Where both changed a key of the state to different values, nothing is written before you choose.
    """
    out = app.out(as_json=as_json)
    with app.session(session) as (_, handle):
        wanted: list[str | int] = [int(event) if event.isdecimal() else event for event in events]
        try:
            done = handle.merge(source, into=into, strategy=strategy, events=wanted, state=_policy(choices), dry_run=dry_run)
        except TurnfoldError as error:
            _note_conflicts(error.details.get("conflicts", ()))
            raise
        if as_json:
            out.json(_dict(handle.id, done, dry_run=dry_run))
        else:
            _print(out, done, dry_run=dry_run)


def _note_conflicts(conflicts: Iterable[dict[str, Any]]) -> None:
    """Say on stderr what stands against what, before the error is told."""
    from msgspec.json import encode

    for one in conflicts:
        sides = (f"{name} {'(none)' if name in one['missing'] else encode(one[name]).decode()}" for name in ("base", "ours", "theirs"))
        note(f"{one['key']}: {', '.join(sides)}")


def _policy(choices: tuple[str, ...]) -> Any:
    """Return the one choice for all keys, or the choices by key."""
    if len(choices) == 1 and "=" not in choices[0]:
        return choices[0]
    if any("=" not in choice for choice in choices):
        raise click.UsageError("--state is one choice for all keys, or KEY=CHOICE for each")
    return {key: choice for key, _, choice in (text.rpartition("=") for text in choices)} or None


def _dict(session_id: str, done: Merged, *, dry_run: bool) -> dict[str, Any]:
    return {"session_id": session_id, **done._asdict(), "dry_run": dry_run}


def _print(out: Out, done: Merged, *, dry_run: bool) -> None:
    if not dry_run and done.merged_seq is None:
        out.line(f"{done.into} has everything of {done.source} already")
    else:
        would = "would come" if dry_run else "came"
        out.line(f"{count(len(done.brought), 'event')} {would} from {done.source} to {done.into}; they part after #{done.base_seq}")
    for key in sorted(done.state):
        out.line(f"  state {key} set{_chosen(done, key)}")
    for key in done.removed:
        out.line(f"  state {key} removed{_chosen(done, key)}")
    for key, choice in done.choices.items():
        if key not in done.state and key not in done.removed:
            out.line(f"  state {key} kept ({choice})")
    if done.held:
        out.line(f"  {count(len(done.held), 'tool call')} without a result stay behind until it is there")
    if done.left:
        out.line(f"  {count(len(done.left), 'result')} left: the call is answered already")


def _chosen(done: Merged, key: str) -> str:
    return f" ({done.choices[key]})" if key in done.choices else ""
