"""The frame around all commands: help, unknown names, exit statuses, and that nothing is loaded before it is needed."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from tests.cli.conftest import SRC, Program
from turnfold.cli.root import COMMANDS, cli


def every_command() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli, info_name="turnfold", **cli.context_settings)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", one) for sub, one in command.commands.items())


ALL = dict(every_command())


@pytest.mark.parametrize("name", ALL)
def test_every_command_and_option_has_a_help_text(name: str) -> None:
    command = ALL[name]
    assert command.help
    options = [param for param in command.params if isinstance(param, click.Option)]
    assert not [option.name for option in options if not option.help]
    if not isinstance(command, click.Group):
        assert {"store", "owner", "tenant", "debug"} <= {option.name for option in options}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_overview_says_what_the_command_says_of_itself(name: str) -> None:
    assert (ALL[name].help or "").splitlines()[0].startswith(COMMANDS[name].help.rstrip("."))


def test_help_lists_every_command_by_theme(program: Program) -> None:
    text = program.text("--help")
    assert [theme for theme in ("Read:", "Move:", "Change:", "Operate:") if theme not in text] == []
    assert [name for name in COMMANDS if f"  {name} " not in text] == []
    assert program.text("-h") == text


def test_version_in_both_forms(program: Program) -> None:
    assert program.text("version").startswith("turnfold ")
    assert program.json("version")["turnfold"] == program.text("version").split()[1]


def test_version_and_help_load_neither_rich_nor_a_store() -> None:
    code = (
        "import sys; from turnfold.cli import main\n"
        "try: main([sys.argv[1]])\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name.split('.')[0] in {'rich', 'sqlite3', 'asyncio'}], file=sys.stderr)"
    )
    for argument in ("version", "--help"):
        done = subprocess.run(
            [sys.executable, "-c", code, argument], env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=True
        )
        assert done.stderr.strip() == "[]"


def test_an_unknown_command_is_answered_with_the_nearest(program: Program) -> None:
    result = program.run("serch", status=2)
    assert result.stdout == ""
    assert result.stderr == "invalid_input: there is no command 'serch'; did you mean search?\nhint: turnfold --help\n"


@pytest.mark.parametrize(
    "args", [["ls", "--nope"], ["ls", "--limit", "0"], ["show"], ["events", "x", "--after", "-1"], ["ls", "--json", "--jsonl"]]
)
def test_wrong_usage_is_status_2_with_a_hint(program: Program, args: list[str]) -> None:
    result = program.run(*args, status=2)
    assert result.stderr.startswith("invalid_input: ")
    assert f"hint: turnfold {args[0]} --help" in result.stderr


def test_store_counts_before_and_after_the_command(program: Program, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = f"sqlite:///{tmp_path_factory.mktemp('other')}/other.db"
    for args in (
        ["--store", other, "store", "info"],
        ["store", "info", "--store", other],
        ["--store", "nope://x", "store", "info", "--store", other],
    ):
        assert "other.db" in json.dumps(program.json(*args))


def test_a_store_url_that_means_nothing_is_an_error_with_a_hint(program: Program) -> None:
    result = program.run("ls", "--store", "nope://x", status=2)
    assert result.stderr.startswith("invalid_input: ")


def test_an_unexpected_error_is_one_line_and_a_traceback_only_with_debug(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise RuntimeError("\x1b[31mboom")

    monkeypatch.setattr(platform, "python_version", broken)
    result = program.run("version", "--json", status=70)
    assert result.stderr.splitlines()[0] == "internal_error: RuntimeError: boom"
    assert "Traceback" not in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" in program.run("version", "--json", "--debug", status=70).stderr
