"""How a run ends: success, an error as ``code: message`` and ``hint: …``, an interruption, or a reader that went away."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

import click

from turnfold.cli.app import App
from turnfold.cli.safe import safe, safe_line
from turnfold.errors import InvalidInput, TurnfoldError

EXIT_INTERRUPTED: Final = 130
"""128 + SIGINT, as shells say it."""
EXIT_PIPE: Final = 141
"""128 + SIGPIPE: whoever read our output has enough."""
EXIT_INTERNAL: Final = 70
"""EX_SOFTWARE: the fault is ours."""
EXIT_IO: Final = 74
"""EX_IOERR: a file named by the user could not be read or written."""


class ReaderGone(Exception):
    """Whoever read our standard output has enough."""


def guarded(run: Callable[[], Any], app: App) -> int:
    """Run and return the exit status; what went wrong is told on stderr, without a traceback."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            status = run()
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except (ReaderGone, BrokenPipeError):
        return _abandon_stdout()
    except (KeyboardInterrupt, click.exceptions.Abort):
        _tell(app.interrupted)
        return EXIT_INTERRUPTED
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.ClickException as error:
        return _usage(error)
    except TurnfoldError as error:
        return _known(error)
    except OSError as error:
        _tell(f"io_error: {_os_message(error)}")
        return _traceback(app) or EXIT_IO
    except Exception as error:  # noqa: BLE001  the last line of a face: one line instead of a traceback
        return _unexpected(error, app)


def _warn(message: Warning | str, *_where: Any, **_how: Any) -> None:
    """Tell a warning in one line: whoever typed a command has no use for the line of code that gave it."""
    _tell(f"warning: {message}")


def _known(error: TurnfoldError) -> int:
    _tell(f"{error.code}: {error.message}")
    if error.hint:
        _tell(f"hint: {error.hint}")
    return error.exit_status


def _usage(error: click.ClickException) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # since click 8.2: a group without a subcommand; its message is the help
        sys.stderr.write(error.format_message() + "\n")
        return InvalidInput.exit_status
    context = getattr(error, "ctx", None)
    _tell(f"{InvalidInput.code}: {error.format_message()}")
    if context is not None:
        _tell(f"hint: {context.command_path} --help")
    return InvalidInput.exit_status


def _unexpected(error: Exception, app: App) -> int:
    _tell(f"internal_error: {type(error).__name__}: {error}")
    if not _traceback(app):
        _tell(
            "hint: this is a fault of turnfold; run again with --debug and report what it prints, and `turnfold doctor`, as an issue of the project"
        )
    return EXIT_INTERNAL


def _traceback(app: App) -> int:
    """Print the traceback if it was asked for; return 0 if not."""
    if not app.debug:
        return 0
    import traceback

    sys.stderr.write(safe(traceback.format_exc()))
    return EXIT_INTERNAL


def _abandon_stdout() -> int:
    """Point stdout at nothing, so that the interpreter's own flush at exit stays quiet too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_PIPE


def _os_message(error: OSError) -> str:
    path = f"{error.filename}: " if error.filename is not None else ""
    return f"{path}{error.strerror or error}"


def _tell(line: str) -> None:
    sys.stderr.write(safe_line(line) + "\n")
