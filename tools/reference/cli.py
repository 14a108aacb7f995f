"""The command line: every command, argument and option, as click knows them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
from tools.reference.markdown import code, prose, table

from turnfold.cli.root import cli


def commands(group: click.Group, path: tuple[str, ...] = ("turnfold",)) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below a group with its path, groups before their members."""
    context = click.Context(group, info_name=path[-1], **group.context_settings)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def option_names(command: click.Command) -> list[str]:
    """Return the option names of a command as they are typed."""
    return [name for param in command.params if isinstance(param, click.Option) for name in (*param.opts, *param.secondary_opts)]


def command_line() -> str:
    """Write the page of the command line."""
    out = [f"# Command line\n\n{help_text(cli)}\n\n"]
    out.append("These options stand everywhere; given twice, the one after the command wins.\n\n")
    out.append(options(cli, frozenset()))
    common = frozenset(option_names(cli))
    for path, command in commands(cli):
        level = "#" * len(path)
        out.append(f"{level} {' '.join(path)}\n\n{help_text(command)}\n\n```text\n{usage(path, command)}\n```\n\n")
        out.append(options(command, common))
    return "".join(out).rstrip() + "\n"


def help_text(command: click.Command) -> str:
    """Return a command's help, one line per paragraph."""
    paragraphs = inspect.cleandoc(command.help or "").replace("\b\n", "").split("\n\n")
    return "\n\n".join(prose(paragraph) for paragraph in paragraphs)


def usage(path: tuple[str, ...], command: click.Command) -> str:
    """Return the line that shows how a command is written."""
    context = click.Context(command, info_name=" ".join(path), **command.context_settings)
    return " ".join([" ".join(path), *command.collect_usage_pieces(context)])


def options(command: click.Command, without: frozenset[str]) -> str:
    """Return the table of a command's own options, empty where it has none."""
    context = click.Context(command, info_name=command.name, **command.context_settings)
    rows = []
    for param in command.params:
        if isinstance(param, click.Option) and not without.issuperset(param.opts) and not param.hidden:
            record = param.get_help_record(context)
            assert record is not None
            rows.append((code(record[0]), prose(record[1])))
    return table(("option", "does"), rows) if rows else ""
