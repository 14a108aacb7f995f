"""``store copy`` and ``store backup``: everything to another store, or to a file, while it is in use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from turnfold.cli.app import App, Command, json_option, pass_app
from turnfold.cli.out import Out, progress
from turnfold.cli.words import count, public_url, size
from turnfold.errors import IntegrityError

if TYPE_CHECKING:
    from turnfold import CopyReport

INTERRUPTED: Final = "interrupted; what was copied is kept, run the same command again to go on"
PROBLEMS_SHOWN_MAX: Final = 20


@click.command("copy", cls=Command)
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--verify-only", is_flag=True, help="Write nothing: compare every byte of every session.")
@json_option()
@pass_app
def store_copy(app: App, source: str, target: str, *, verify_only: bool, as_json: bool) -> None:
    """Copy everything from one store to another, byte for byte.

    SRC and DST are store URLs. All tenants are copied, or the one of --tenant. What was written is read back and compared. A copy that was
    interrupted goes on when it is run again, and a later one copies only what has changed; SRC may be in use. A session that has events of
    its own in DST is left alone. The exit status is 8 when a session could not be copied, or differs.
    """
    from turnfold import copy

    out = app.out(as_json=as_json)
    app.interrupted = INTERRUPTED
    tenants = None if app.tenant is None else [app.tenant]
    with progress("comparing" if verify_only else "copying", unit="sessions") as bar:
        report = copy(
            source,
            target,
            tenants=tenants,
            verify_only=verify_only,
            progress=lambda at: bar.at(at.done, at.total, f"{at.session_id} {size(at.byte_count)}"),
        )
    if as_json:
        urls = {"source": public_url(source), "target": public_url(target)}
        out.json({**urls, "ok": not report.problem_count, **msgspec.to_builtins(report)})
    else:
        _print(out, report, verify_only=verify_only)
    if report.problem_count:
        what = "differ" if verify_only else "were not copied"
        raise IntegrityError(f"{report.problem_count:,} of {count(report.session_count, 'session')} {what}")


def _print(out: Out, report: CopyReport, *, verify_only: bool) -> None:
    rows: list[tuple[str, Any]] = [("sessions", report.session_count)]
    if verify_only:
        rows.append(("equal", report.unchanged_count))
    else:
        rows += [("copied", report.copied_count), ("brought up to date", report.extended_count), ("replaced", report.replaced_count)]
        rows.append(("unchanged", report.unchanged_count))
    rows += [("events", report.event_count), ("parts", report.part_count), ("bytes", size(report.byte_count))]
    if report.gone_count:
        rows.append(("deleted meanwhile", report.gone_count))
    out.pairs(rows)
    for problem in report.problems[:PROBLEMS_SHOWN_MAX]:
        out.line(f"{problem.tenant}/{problem.session_id}: {problem.message}", "red")
    if report.problem_count > PROBLEMS_SHOWN_MAX:
        out.line(f"and {report.problem_count - PROBLEMS_SHOWN_MAX:,} more (--json lists them)")
    for hint in dict.fromkeys(problem.hint for problem in report.problems[:PROBLEMS_SHOWN_MAX] if problem.hint):
        out.line(f"hint: {hint}")


@click.command("backup", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Put it in the place of a file that is there.")
@json_option()
@pass_app
def store_backup(app: App, file: Path, *, replace: bool, as_json: bool) -> None:
    """Write a checked copy of the store to FILE while others use it.

    It holds everything that was acknowledged before the command began. For a SQLite store FILE is a SQLite file, complete when it appears;
    for a files store it is a directory, which is made or brought up to date. For other stores the error says what to use.
    """
    from turnfold import backup
    from turnfold.config import load_config

    out = app.out(as_json=as_json)
    url = load_config(store=app.store).store
    report = backup(url, file, replace=replace)
    if as_json:
        out.json({"url": public_url(url), "file": str(file), **report.facts})
    else:
        sessions, events = int(report.facts["session_count"]), int(report.facts["event_count"])
        out.line(f"{count(sessions, 'session')} with {count(events, 'event')} in {file}, checked")
