"""``import``: other tools' sessions into the store, with a bar while it runs and an account of it at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from turnfold.cli.app import App, command, json_option, jsonl_option
from turnfold.cli.out import Column, Out, note, progress
from turnfold.cli.resolve import short_ids
from turnfold.cli.sessions import print_sessions, walk
from turnfold.cli.words import count, size
from turnfold.errors import FormatError

if TYPE_CHECKING:
    from turnfold import Client, FileImport, ImportResult

COLUMNS: Final = (
    Column("format", style="cyan"),
    Column("outcome"),
    Column("files", right=True),
    Column("lines", right=True),
    Column("events", right=True),
    Column("read", right=True),
    Column("why", flexible=True),
)
LISTED_MAX: Final = 20
"""Sessions, problems and skipped files that the account names; the rest are counted."""
OUTCOMES: Final = ("imported", "updated", "replaced", "unchanged", "skipped")
INDEX_STEP_S: Final = 0.5
INTERRUPTED: Final = "interrupted; what came in is kept, run the same command again to go on"
STOPPED: Final = "stopped; run the same command again to go on where it was"


@command("import")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--format",
    "format_name",
    default="auto",
    show_default=True,
    metavar="FORMAT",
    help="Of the files, e.g. codex (`turnfold formats` lists them); auto looks at each file's content.",
)
@click.option("--follow", "follows", is_flag=True, help="Stay, and bring in what is written to the files as it is written, until Ctrl-C.")
@json_option("Print one JSON object: what came in and what became of each file.")
@jsonl_option("Print one JSON object per file and line; with --follow, one per import.")
def import_(app: App, paths: tuple[Path, ...], *, format_name: str, follows: bool, as_json: bool, as_jsonl: bool) -> None:
    """Bring in sessions of coding agents, frameworks and libraries.

    PATH is a session file, a database, or a folder of them. Without one the tools' usual places are looked through; where there is nothing, a small
    sample comes in instead. Running it again brings in only what is new. A bundle that export wrote comes in whole.

    With --follow it stays and brings in what tools write within a second. One process of a machine does it: a second one waits, and takes
    over when the first ends.
    """
    out = app.out(as_json=as_json, as_jsonl=as_jsonl)
    app.interrupted = INTERRUPTED
    if follows:
        if as_json:
            raise click.UsageError("--follow prints as it goes: --jsonl, not --json")
        app.interrupted = STOPPED
        with app.client() as client:
            _follow(out, client, paths, format_name)
        return
    with app.client() as client:
        result, sample = _run(client, paths, format_name)
        _index(client)
        if as_json:
            out.json({**result.to_dict(), "sample": sample})
        elif as_jsonl:
            out.jsonl(file.to_dict() for file in result.files)
        else:
            _account(out, result.files)
            if sample:
                out.line("No tool's sessions were found on this machine, so this is the sample that ships with Turnfold.")
            out.line()
            _list(out, client)
        if all(file.outcome == "skipped" for file in result.files):
            raise FormatError("nothing there could be imported", hint="--format names the format of files that are not recognised")


def _follow(out: Out, client: Client, paths: Sequence[Path], format_name: str) -> None:
    """Print a line for each file that something came in from."""
    chosen = None if format_name == "auto" else format_name
    for file in client.follow_files(list(paths) or None, format=chosen, note=note):
        if out.form == "jsonl":
            out.json(file.to_dict())
        else:
            what = f"{count(file.line_count, 'line')}, {count(file.event_count, 'event')}" if file.outcome != "skipped" else file.reason
            out.line(f"{file.outcome}  {file.format or '?'}  {file.session_id or '-'}  {what}  {file.path}")
            for problem in file.problems[:LISTED_MAX]:
                out.line(f"  {problem.path}:{problem.line}: {problem.text}")
        out.flush()


def _run(client: Client, paths: Sequence[Path], format_name: str) -> tuple[ImportResult, bool]:
    """Import the paths, else what the tools left on this machine, else the sample (True)."""
    with progress("importing") as bar:

        def told(at: Any) -> None:
            bar.at(at.bytes_done, at.bytes_total, Path(at.path).name)

        chosen = None if format_name == "auto" else format_name
        result = client.import_files(list(paths) or None, format=chosen, progress=told)
        if paths or result.files:
            return result, False
        from turnfold.data.sample import folders

        with folders() as sample:
            return client.import_files(sample, format=chosen, progress=told), True


def _index(client: Client) -> None:
    """Index what came in, so that the first search need not; left to the next search where another process is at it."""
    with progress("indexing", unit="sessions") as bar:
        first = before = client.catch_up(wait_s=INDEX_STEP_S)
        while before:
            bar.at(first - before, first)
            left = client.catch_up(wait_s=INDEX_STEP_S)
            if left >= before:
                return
            before = left


def _account(out: Out, files: Sequence[FileImport]) -> None:
    """Print what came in and what did not, and every reason."""
    groups: dict[tuple[str, str, str], list[FileImport]] = {}
    for file in sorted(files, key=lambda one: (one.format or "", OUTCOMES.index(one.outcome))):
        groups.setdefault((file.format or "?", file.outcome, file.reason or ""), []).append(file)
    rows = [(name, outcome, len(group), *_sums(group), why) for (name, outcome, why), group in groups.items()]
    if rows:
        out.table(COLUMNS, rows, aligned=True)
    _problems(out, files)
    unknown: Counter[str] = Counter()
    for file in files:
        unknown.update(file.unknown)
    if unknown:
        kinds = ", ".join(f"{kind} ({number})" for kind, number in unknown.most_common(LISTED_MAX))
        out.line(f"kept as they are, of no meaning to Turnfold: {kinds}")


def _sums(files: Sequence[FileImport]) -> tuple[int, int, str]:
    return sum(f.line_count for f in files), sum(f.event_count for f in files), size(sum(f.byte_count for f in files))


def _problems(out: Out, files: Sequence[FileImport]) -> None:
    total = sum(file.problem_count for file in files)
    if not total:
        return
    is_kept = "is kept as it is, though something is" if total == 1 else "are kept as they are, though something is"
    out.line(f"{count(total, 'line')} {is_kept} wrong there:")
    listed = [problem for file in files for problem in file.problems][:LISTED_MAX]
    for problem in listed:
        out.line(f"  {problem.path}:{problem.line}: {problem.text}")
    if total > len(listed):
        out.line(f"  … and {total - len(listed)} more")


def _list(out: Out, client: Client) -> None:
    infos = list(walk(client, LISTED_MAX))
    print_sessions(out, infos, aligned=True)
    if len(infos) == LISTED_MAX:
        out.line(f"the newest {LISTED_MAX}; `turnfold ls --all` lists all")
    if infos:
        first = short_ids([info.id for info in infos])[infos[0].id]
        note(f"\nnext: turnfold show {first}   turnfold tree {first}   turnfold search TEXT   turnfold --help")
