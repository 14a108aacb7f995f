"""The root command: finds subcommands by name, imports them when they are needed, and turns every ending into an exit status."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, NamedTuple

import click

from turnfold.cli.app import App, common_params


class Entry(NamedTuple):
    """A subcommand: theme (heading in the help), module and attribute that hold it, and its short help."""

    theme: str
    module: str
    attribute: str
    help: str


COMMANDS: dict[str, Entry] = {
    "ls": Entry("Read", "sessions", "ls", "List sessions, newest first."),
    "show": Entry("Read", "show", "show", "Print the conversation of a session."),
    "tree": Entry("Read", "tree", "tree", "Draw a session's branches, checkpoints and children."),
    "diff": Entry("Read", "show", "diff", "Compare two branches of a session."),
    "events": Entry("Read", "events", "events", "Print the events of a session's log."),
    "follow": Entry("Read", "events", "follow", "Print events as they are appended, from any process."),
    "search": Entry("Read", "query", "search", "Find text in all sessions."),
    "usage": Entry("Read", "query", "usage", "Sum tokens and cost by agent, model or day."),
    "stats": Entry("Read", "query", "stats", "Count what the store holds."),
    "import": Entry("Move", "importing", "import_", "Bring in sessions of coding agents, frameworks and libraries."),
    "export": Entry("Move", "exporting", "export", "Write a session in a tool's format or as a bundle."),
    "formats": Entry("Move", "formats", "formats", "List the formats that are imported and exported."),
    "resume": Entry("Move", "resuming", "resume", "Continue a session in Claude Code or Codex."),
    "fork": Entry("Change", "branches", "fork", "Start a branch from a place in a session."),
    "branch": Entry("Change", "branches", "branch", "List, switch, rename and put away branches."),
    "merge": Entry("Change", "merging", "merge", "Bring what one branch has to another."),
    "checkpoint": Entry("Change", "branches", "checkpoint", "Name a place to come back to."),
    "restore": Entry("Change", "branches", "restore", "Go on from a checkpoint on a new branch."),
    "tag": Entry("Change", "change", "tag", "Add or remove tags of a session."),
    "close": Entry("Change", "change", "close", "End a session; it can still be read."),
    "delete": Entry("Change", "change", "delete", "Delete a session and everything in it."),
    "verify": Entry("Operate", "operate", "verify", "Check digests, order and seals of a session."),
    "store": Entry("Operate", "store", "store", "Look at the store, check, copy and back it up."),
    "keys": Entry("Operate", "keys", "keys", "Make, list, renew and forget the keys of encrypted stores."),
    "doctor": Entry("Operate", "doctor", "doctor", "Check the installation, the store and what can be imported."),
    "config": Entry("Operate", "operate", "config", "Show the settings that hold and where each came from."),
    "schema": Entry("Operate", "schema", "schema", "Print the content model's JSON Schema, or check files against it."),
    "version": Entry("Operate", "about", "version", "Print the version."),
}


class Root(click.Group):
    """``turnfold``: its subcommands are known by name and loaded when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a subcommand, or return None for an unknown name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        found = getattr(import_module(f"turnfold.cli.{entry.module}"), entry.attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; an unknown one is answered with the nearest names."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=3)
            raise click.UsageError(f"there is no command {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands by theme, without importing any."""
        for theme in dict.fromkeys(entry.theme for entry in COMMANDS.values()):
            with formatter.section(theme):
                formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items() if entry.theme == theme])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; a reader that went away is told apart here, before click takes it for a failure."""
        from turnfold.cli.ending import ReaderGone

        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and exit with the status that the ending asks for."""
        from turnfold.cli.ending import guarded

        kwargs["standalone_mode"] = False
        app = App()
        sys.exit(guarded(lambda: super(Root, self).main(*args, obj=app, **kwargs), app))


@click.group(
    "turnfold",
    cls=Root,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.pass_context
def cli(context: click.Context) -> None:
    """Keep, read, fork and move the sessions of AI agents.

    Without a command it lists the sessions. ID is a session's id or any unique beginning of it.
    """
    if context.invoked_subcommand is None:
        listing = cli.get_command(context, "ls")
        assert listing is not None
        context.invoke(listing)


cli.params.extend(common_params())
