"""The command line. ``turnfold --help`` shows what it can do; ``main`` is the entry point.

Only this package imports click and rich. A subcommand's module is imported when it is run, so that ``turnfold version`` is quick.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process with its status.

    Args:
        args: Arguments without the program's name; None takes those of the process.
    """
    from turnfold.cli.root import cli

    cli.main(args=None if args is None else list(args), prog_name="turnfold")
