"""Which formats there are to import from and to export to, for people who have to choose one."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from turnfold.formats.base import DocumentFormat
from turnfold.formats.registry import formats

OWN_WRITTEN: Final = ("bundle", "jsonl")
"""Turnfold's own formats, which the engine writes itself; the first is read too."""


class FormatInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A format that is read, written, or both.

    Attributes:
        name: As in ``--format``.
        kind: Of what is read: ``lines`` (a file with a record per line), ``document`` (a database, a JSON file, a folder of files), ``bundle``;
            empty where nothing is.
        reads: Whether files of it are imported.
        writes: Which sessions are exported to it: ``any``, ``own`` (those that came from it, as they came), or none (empty).
    """

    name: str
    kind: Literal["lines", "document", "bundle", ""]
    reads: bool
    writes: Literal["any", "own", ""]


def list_formats() -> list[FormatInfo]:
    """Return the installed formats that can be imported and exported, by name."""
    known = formats()
    read, written = {one.name: one for one in known.all()}, set(known.writer_names())
    found = [
        FormatInfo(name="bundle", kind="bundle", reads=True, writes="any"),
        FormatInfo(name="jsonl", kind="", reads=False, writes="any"),
    ]
    for name in read.keys() | written:
        is_document = isinstance(read.get(name), DocumentFormat)
        found.append(
            FormatInfo(
                name=name,
                kind="" if name not in read else "document" if is_document else "lines",
                reads=name in read,
                writes="any" if name in written else "" if is_document else "own",
            )
        )
    return sorted(found, key=lambda one: one.name)
