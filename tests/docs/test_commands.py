"""What the documents tell a reader to type exists: every `turnfold` command in a shell block is parsed against the real ones."""

import re
import shlex
from pathlib import Path

import click
import pytest

from tests.support import ROOT
from turnfold.cli.root import cli

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"^(?:.*&& )?(?:\.venv/bin/)?turnfold(?: (?P<arguments>.*))?$", re.MULTILINE)


def calls(page: Path) -> list[str]:
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [match["arguments"] or "" for block in blocks for match in CALL.finditer(block)]


TYPED = [(page.relative_to(ROOT).as_posix(), call) for page in PAGES for call in calls(page) if "_build" not in page.parts]


def check(arguments: list[str]) -> None:
    """Raise click's own error for what the command line would not take."""
    command: click.Command = cli
    context = click.Context(cli, info_name="turnfold", **cli.context_settings)
    while True:
        parser = command.make_parser(context)
        parser.allow_interspersed_args = not isinstance(command, click.Group)
        _, rest, _ = parser.parse_args(list(arguments))
        if not isinstance(command, click.Group):
            return
        if not rest:
            return
        _, found, arguments = command.resolve_command(context, rest)
        assert found is not None
        command = found
        context = click.Context(command, info_name=command.name, parent=context, **command.context_settings)


def test_there_are_commands_to_check() -> None:
    assert len(TYPED) > 20


@pytest.mark.parametrize(("page", "call"), TYPED)
def test_a_command_in_the_documents_exists(page: str, call: str) -> None:
    check(shlex.split(call, comments=True))


@pytest.mark.parametrize("call", ["lsd", "ls --colour", "branch destroy x"])
def test_a_command_that_does_not_exist_is_noticed(call: str) -> None:
    with pytest.raises(click.UsageError):
        check(call.split())
