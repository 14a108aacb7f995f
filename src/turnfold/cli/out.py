"""What a command prints: tables on a terminal, tab-separated lines in a pipe, JSON when asked. Rich is loaded for terminals only."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from turnfold.cli.safe import safe, safe_json, safe_line, shorten

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

Form = Literal["text", "json", "jsonl"]
_encoder = msgspec.json.Encoder()
GAP: Final = 2
"""Spaces between the columns of a table."""
FLEXIBLE_MIN: Final = 30
"""Columns that a flexible column gets at least, if leaving out others can give them."""


class Column(NamedTuple):
    """A table's column: heading, alignment and style on a terminal.

    The ``flexible`` one gives way when the terminal is narrow; when that is not enough, those that ``yields`` are left out, highest first.
    """

    title: str
    right: bool = False
    style: str = ""
    flexible: bool = False
    yields: int = 0


class Out:
    """Standard output in the asked form. Every text passes ``safe`` on its way."""

    def __init__(self, form: Form = "text") -> None:
        """Look at stdout once."""
        self.form = form
        self.terminal = sys.stdout.isatty()
        self._console: Console | None = None
        _forgive(sys.stdout)

    @property
    def console(self) -> Console:
        """The rich console on stdout; markup, emoji codes and highlighting are off."""
        if self._console is None:
            self._console = console_on(sys.stdout)
        return self._console

    def json(self, value: Any) -> None:
        """Print one value as a line of JSON (indented on a terminal)."""
        encoded = _encoder.encode(value)
        if self.terminal and self.form == "json":
            encoded = msgspec.json.format(encoded, indent=2)
        sys.stdout.write(safe_json(encoded) + "\n")

    def jsonl(self, values: Iterable[Any]) -> None:
        """Print values as lines of JSON, each as soon as it is there."""
        for value in values:
            self.json(value)

    def line(self, text: object = "", style: str = "") -> None:
        """Print text, styled on a terminal."""
        if self.terminal and style:
            self.console.print(styled(text, style), soft_wrap=True)
        else:
            sys.stdout.write(safe(text) + "\n")

    def show(self, renderable: RenderableType) -> None:
        """Print something made of safe ``Text`` objects."""
        self.console.print(renderable)

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[object]], *, aligned: bool = False) -> None:
        """Print rows: a table on a terminal, else tab-separated values without a heading.

        Args:
            columns: Headings and how to show them.
            rows: A cell per column.
            aligned: The rows are for a reader in a pipe too: print padded columns with their headings there.
        """
        if self.terminal:
            self.show(_rich_table(columns, rows, self.console.width))
            return
        cells = ([safe_line("" if cell is None else cell) for cell in row] for row in rows)
        lines = _padded(columns, list(cells)) if aligned else ("\t".join(row) for row in cells)
        for line in lines:
            sys.stdout.write(line + "\n")

    def pairs(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Print names and values, one pair per line."""
        self.table([Column("", style="dim"), Column("", flexible=True)], pairs)

    def flush(self) -> None:
        """Hand what was printed to whoever reads it."""
        sys.stdout.flush()


def note(text: object) -> None:
    """Tell the person at the terminal something that is not the result: on stderr."""
    sys.stderr.write(safe(text) + "\n")


def styled(text: object, style: str = "") -> Text:
    """Return harmless text for rich; nothing in it is markup."""
    from rich.text import Text

    return Text(safe(text), style=style)


def console_on(stream: IO[str]) -> Console:
    """Return a console that prints what it is given and no more. Honours NO_COLOR."""
    from rich.console import Console

    return Console(file=stream, markup=False, emoji=False, highlight=False, no_color=bool(os.environ.get("NO_COLOR")) or None)


def _rich_table(columns: Sequence[Column], rows: Iterable[Sequence[object]], width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    cells = [[cell if isinstance(cell, Text) else Text(safe_line("" if cell is None else cell)) for cell in row] for row in rows]
    widths = [max([len(column.title), *(row[place].cell_len for row in cells)]) for place, column in enumerate(columns)]
    kept = _fitting(columns, widths, width)
    headed = any(column.title for column in columns)
    left = width - sum(widths[place] + GAP for place in kept if not columns[place].flexible)
    table = Table(box=None, show_header=headed, header_style="dim", pad_edge=False, padding=(0, GAP, 0, 0))
    for place in kept:
        column = columns[place]
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            style=column.style,
            no_wrap=headed,
            overflow="ellipsis" if headed else "fold",
            width=None if column.flexible else widths[place],
            max_width=max(left, FLEXIBLE_MIN) if column.flexible else None,
        )
    for row in cells:
        table.add_row(*(row[place] for place in kept))
    return table


def _fitting(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """Return the places of the columns to show, so that enough is left for the flexible one."""
    kept = list(range(len(columns)))
    need = sum(min(one, FLEXIBLE_MIN) if column.flexible else one for column, one in zip(columns, widths, strict=True)) + GAP * (
        len(kept) - 1
    )
    for place in sorted(kept, key=lambda place: -columns[place].yields):
        if need <= width or not columns[place].yields:
            break
        kept.remove(place)
        need -= widths[place] + GAP
    return kept


def _padded(columns: Sequence[Column], rows: list[list[str]]) -> Iterator[str]:
    """Yield heading and rows with each column as wide as its widest cell."""
    rows = [[column.title for column in columns], *rows]
    widths = [max(len(row[place]) for row in rows) for place in range(len(columns))]
    for row in rows:
        cells = (cell.rjust(width) if column.right else cell.ljust(width) for cell, width, column in zip(row, widths, columns, strict=True))
        yield "  ".join(cells).rstrip()


def _forgive(stream: IO[str]) -> None:
    """Let a terminal that cannot show a character show its number instead of failing."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


@contextmanager
def progress(label: str, total: float | None = None, *, unit: Literal["bytes", "sessions", "keys"] = "bytes") -> Iterator[Progress]:
    """Show a bar on stderr while the block runs, if that is a terminal."""
    if not sys.stderr.isatty():
        yield Progress()
        return
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as RichProgress

    counted = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        counted,
        TextColumn("{task.fields[note]}", markup=False),
    )
    with RichProgress(*columns, console=console_on(sys.stderr), transient=True) as bar:
        task = bar.add_task(label, total=total, note="")
        yield Progress(lambda **fields: bar.update(task, **fields))


class Progress:
    """A progress bar, or nothing."""

    def __init__(self, update: Any = None) -> None:
        """Keep the bar's update function; None shows nothing."""
        self._update = update

    def at(self, done: float, total: float | None = None, text: object = "") -> None:
        """Move to ``done`` of ``total`` and show a short text beside the bar."""
        if self._update is not None:
            self._update(completed=done, total=total, note=shorten(text, 40))
