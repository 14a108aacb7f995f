"""What all commands share: the options that stand everywhere, the client they make, and ids from prefixes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from turnfold.cli.out import Out

if TYPE_CHECKING:
    from turnfold import Client, Session

F = TypeVar("F", bound=Callable[..., Any])


class App:
    """One run of the program: where the sessions are, who asks, and what to say when it is interrupted."""

    def __init__(self) -> None:
        """Begin with nothing chosen: the configuration decides."""
        self.store: str | None = None
        self.owner: str | None = None
        self.tenant: str | None = None
        self.debug = False
        self.interrupted = "interrupted"

    def out(self, *, as_json: bool = False, as_jsonl: bool = False) -> Out:
        """Return the output in the asked form.

        Raises:
            click.UsageError: Both forms were asked for.
        """
        if as_json and as_jsonl:
            raise click.UsageError("--json and --jsonl exclude each other")
        return Out("json" if as_json else "jsonl" if as_jsonl else "text")

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Connect as the options, the environment and the configuration file say; close at the end."""
        from turnfold import connect

        chosen = {"tenant": self.tenant, "owner": self.owner}
        with connect(self.store, **{name: value for name, value in chosen.items() if value is not None}) as client:
            yield client

    @contextmanager
    def session(self, prefix: str, *, branch: str | None = None) -> Iterator[tuple[Client, Session]]:
        """Open the one session whose id is, or begins with, ``prefix``; ``branch`` pins the handle to it."""
        from turnfold.cli.resolve import session_id

        with self.client() as client:
            yield client, client.open(session_id(client, prefix), create=False, branch=branch)


pass_app = click.make_pass_decorator(App, ensure=True)


class Command(click.Command):
    """A command with the options that stand everywhere."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Add the common options after the command's own."""
        super().__init__(*args, **kwargs)
        self.params.extend(common_params())


class Group(click.Group):
    """A group of such commands (``branch``, ``store``)."""

    command_class = Command


def common_params() -> list[click.Parameter]:
    """Return --store, --owner, --tenant and --debug; given twice, the one after the subcommand wins."""
    return [
        _common(
            "--store",
            metavar="URL",
            help="Where the sessions are, e.g. sqlite:///agent.db (default: TURNFOLD_STORE, else your data directory).",
        ),
        _common("--owner", metavar="NAME", help="See only this owner's sessions."),
        _common("--tenant", metavar="NAME", help="Isolation boundary to work in (default: default)."),
        _common("--debug", is_flag=True, default=None, help="Show the traceback of an unexpected error."),
    ]


def _common(name: str, **kwargs: Any) -> click.Option:
    return click.Option([name], expose_value=False, callback=_remember, **kwargs)


def _remember(context: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None and param.name is not None:
        setattr(context.ensure_object(App), param.name, value)


def command(name: str, **kwargs: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of a function that takes the App first."""

    def decorate(function: Callable[..., Any]) -> Command:
        return click.command(name, cls=Command, **kwargs)(pass_app(function))

    return decorate


def json_option(help_text: str = "Print one JSON object.") -> Callable[[F], F]:
    """Add ``--json`` as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


def jsonl_option(help_text: str) -> Callable[[F], F]:
    """Add ``--jsonl`` as ``as_jsonl``."""
    return click.option("--jsonl", "as_jsonl", is_flag=True, help=help_text)


session_argument = click.argument("session", metavar="ID")
"""A session's id or any unique prefix of it."""
