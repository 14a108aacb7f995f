"""``schema``: the published content model, and whether files are of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click

from turnfold.cli.app import App, command, json_option
from turnfold.cli.out import note
from turnfold.cli.safe import safe_line
from turnfold.cli.words import count
from turnfold.errors import FormatError
from turnfold.limits import IMPORT_PROBLEMS_MAX
from turnfold.model.schema import FILE_NAME, NAME, VERSION, Problem, problems_of

_space = re.compile(r"[\s,]*")


class Found(NamedTuple):
    """A problem with the line (1-based) that its record begins on."""

    line: int
    problem: Problem


@command("schema")
@click.argument("paths", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Check the files: JSON (one record or an array of them) or JSON lines, messages or events.")
@json_option()
def schema(app: App, paths: tuple[Path, ...], *, check: bool, as_json: bool) -> None:
    """Print the content model's JSON Schema, or check files against it.

    With --check each problem is told with file, line, path and what is wrong, and the exit status is 2 where there is one.
    """
    if check is not bool(paths):
        raise click.UsageError("--check takes the files to check" if check else "files are checked with --check")
    out = app.out(as_json=as_json)
    if not check:
        text = files("turnfold.data").joinpath(FILE_NAME).read_text(encoding="utf-8")
        out.json(json.loads(text)) if as_json else out.line(text.rstrip())
        return
    checked = [_checked(path) for path in paths]
    problem_count = sum(one["problem_count"] for one in checked)
    if as_json:
        out.json({"ok": not problem_count, "schema": f"{NAME}/{VERSION}", "files": checked})
    else:
        for one in checked:
            for found in one["problems"]:
                out.line(f"{safe_line(one['path'])}:{found['line']}: {safe_line(found['path'])}: {safe_line(found['text'])}")
            if not one["problem_count"] and out.terminal:
                note(f"{safe_line(one['path'])}: {count(one['record_count'], 'record')} in order")
    if problem_count:
        raise FormatError(f"{count(problem_count, 'problem')} with {NAME}/{VERSION}")


def _checked(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        text, found = "", [Found(1, Problem("$", f"not UTF-8: {error.reason} at byte {error.start}"))]
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}", path=str(path)) from error
    else:
        found = []
    record_count = 0
    for line, value, problem in records(text):
        record_count += 1
        found += [Found(line, one) for one in ([problem] if problem is not None else problems_of(value))]
    listed = [{"line": line, "path": problem.path, "text": problem.text} for line, problem in found[:IMPORT_PROBLEMS_MAX]]
    return {"path": str(path), "record_count": record_count, "problem_count": len(found), "problems": listed}


def records(text: str) -> Iterator[tuple[int, Any, Problem | None]]:
    """Yield the records of a file, each with its line; one that is no JSON has a problem, and reading goes on with the next line."""
    at = _after(text, 0)
    in_array = text[at : at + 1] == "["
    at = _after(text, at + 1) if in_array else at
    line, counted = 1, 0
    while at < len(text) and not (in_array and text[at] == "]"):
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = _decoder.raw_decode(text, at)
            yield line, value, None
        except (ValueError, RecursionError) as error:
            yield line, None, Problem("$", f"not JSON: {getattr(error, 'msg', error)}")
            at = text.find("\n", at)
            if at < 0:
                return
        at = _after(text, at)


def _after(text: str, at: int) -> int:
    match = _space.match(text, at)
    return at if match is None else match.end()


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_decoder = json.JSONDecoder(parse_constant=_refuse)
