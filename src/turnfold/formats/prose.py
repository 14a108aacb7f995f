"""Reads the Markdown that models write as a small tree, so that a page can say it again without trusting it.

A subset, on purpose: paragraphs, headings, lists, quotes, code, tables, rules; code spans, emphasis, links to ``http`` and ``https``. HTML is
text here. Line breaks stay, since tools print such text line by line. What is not recognised is text as it stands: no character is lost but
the marks themselves. Every search is bounded, so that the time is linear in the text whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from turnfold.formats.spans import Inline, Inlines, inlines

NESTING_MAX: Final = 6
"""Quotes and lists inside one another; what is deeper is text."""
COLUMNS_MAX: Final = 40
"""Columns of a table; a wider one is text."""


class Paragraph(msgspec.Struct, frozen=True):
    """Text."""

    content: Inlines


class Heading(msgspec.Struct, frozen=True):
    """A heading inside a message; it is none of the page."""

    level: int
    content: Inlines


class CodeBlock(msgspec.Struct, frozen=True):
    """Fenced code."""

    text: str
    language: str = ""


class Quote(msgspec.Struct, frozen=True):
    """A block quote."""

    blocks: Sequence[Block]


class ListBlock(msgspec.Struct, frozen=True):
    """A list; ``start`` is the first number of an ordered one, else None."""

    items: Sequence[Sequence[Block]]
    start: int | None = None


class Table(msgspec.Struct, frozen=True):
    """A table; every row has as many cells as the head."""

    head: Sequence[Inlines]
    rows: Sequence[Sequence[Inlines]]


class Rule(msgspec.Struct, frozen=True):
    """A thematic break."""


Block: TypeAlias = Paragraph | Heading | CodeBlock | Quote | ListBlock | Table | Rule

_FENCE = re.compile(r"( {0,3})(`{3,}|~{3,})([^\n]*)$")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(\S[^\n]*)$")
_ITEM = re.compile(r"( {0,8})(?:([-*+])|(\d{1,9})[.)])( {1,4}|$)")
_DELIMITER = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_CELL = re.compile(r"(?<!\\)\|")


def parse(text: str) -> list[Block]:
    """Read a text as blocks."""
    return _blocks(text.replace("\r\n", "\n").split("\n"), 0)


def _blocks(lines: Sequence[str], depth: int) -> list[Block]:
    out: list[Block] = []
    place = 0
    while place < len(lines):
        if not lines[place].strip():
            place += 1
            continue
        block, place = _block(lines, place, depth)
        out.append(block)
    return out


def _block(lines: Sequence[str], place: int, depth: int) -> tuple[Block, int]:
    """Read the block that begins at ``place``; return it and where the next begins."""
    line = lines[place]
    if fence := _fence(line):
        return _code(lines, place, fence)
    if heading := _HEADING.match(line):
        return Heading(len(heading[1]), inlines(heading[2].rstrip().rstrip("#").rstrip() or heading[2])), place + 1
    if _is_rule(line):
        return Rule(), place + 1
    if depth < NESTING_MAX:
        if line.lstrip(" ").startswith(">"):
            return _quote(lines, place, depth)
        if _ITEM.match(line):
            return _list(lines, place, depth)
    if "|" in line and place + 1 < len(lines) and "|" in lines[place + 1] and _DELIMITER.match(lines[place + 1]):
        table = _table(lines, place)
        if table is not None:
            return table
    end = place + 1
    while end < len(lines) and lines[end].strip() and not _begins(lines[end], depth):
        end += 1
    return Paragraph(_lines(lines[place:end])), end


def _begins(line: str, depth: int) -> bool:
    """Whether a line ends a paragraph because another block begins."""
    if _fence(line) or _HEADING.match(line) or _is_rule(line):
        return True
    return depth < NESTING_MAX and (line.lstrip(" ").startswith(">") or _ITEM.match(line) is not None)


def _is_rule(line: str) -> bool:
    marks = line.replace(" ", "").replace("\t", "")
    return len(marks) >= 3 and marks[0] in "-*_" and marks == marks[0] * len(marks)


def _fence(line: str) -> re.Match[str] | None:
    found = _FENCE.match(line)
    return None if found is None or (found[2][0] == "`" and "`" in found[3]) else found


def _code(lines: Sequence[str], place: int, fence: re.Match[str]) -> tuple[Block, int]:
    indent, mark = len(fence[1]), fence[2]
    end = place + 1
    while end < len(lines):
        stripped = lines[end].strip()
        if len(stripped) >= len(mark) and stripped == mark[0] * len(stripped):
            break
        end += 1
    body = [_dedented(line, indent) for line in lines[place + 1 : end]]
    return CodeBlock("\n".join(body), fence[3].strip()), end + 1


def _dedented(line: str, indent: int) -> str:
    head = line[:indent]
    return head.lstrip(" ") + line[indent:]


def _quote(lines: Sequence[str], place: int, depth: int) -> tuple[Block, int]:
    end = place
    inner: list[str] = []
    while end < len(lines) and lines[end].lstrip(" ").startswith(">"):
        inner.append(lines[end].lstrip(" ")[1:].removeprefix(" "))
        end += 1
    return Quote(_blocks(inner, depth + 1)), end


def _list(lines: Sequence[str], place: int, depth: int) -> tuple[Block, int]:
    first = _ITEM.match(lines[place])
    assert first is not None
    items: list[Sequence[Block]] = []
    while place < len(lines):
        found = _ITEM.match(lines[place])
        if found is None or (found[2] is None) != (first[2] is None) or len(found[1]) > len(first[1]) + 1 or _is_rule(lines[place]):
            break
        indent = found.end() if found[4] else found.end() + 1
        inner = [lines[place][found.end() :]]
        place += 1
        while place < len(lines) and (more := _more(lines, place, indent)) is not None:
            inner.append(more)
            place += 1
        items.append(_blocks(inner, depth + 1))
        while place + 1 < len(lines) and not lines[place].strip() and _ITEM.match(lines[place + 1]):
            place += 1
    return ListBlock(items, None if first[3] is None else int(first[3])), place


def _more(lines: Sequence[str], place: int, indent: int) -> str | None:
    """The line as one of the item that began above, or None where the item ends."""
    line = lines[place]
    if not line.strip():
        following = lines[place + 1] if place + 1 < len(lines) else ""
        return "" if following.startswith("  ") and _spaces(following) >= min(indent, 2) else None
    if _spaces(line) >= min(indent, 2):
        return _dedented(line, indent)
    return None if _begins(line, 0) or not lines[place - 1].strip() else line


def _spaces(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _table(lines: Sequence[str], place: int) -> tuple[Block, int] | None:
    head = _cells(lines[place])
    if len(head) > COLUMNS_MAX or len(head) != len(_cells(lines[place + 1])):
        return None
    end = place + 2
    rows: list[Sequence[Inlines]] = []
    while end < len(lines) and "|" in lines[end]:
        cells = _cells(lines[end], len(head))
        rows.append([*cells, *([] for _ in range(len(head) - len(cells)))])
        end += 1
    return Table(head, rows), end


def _cells(line: str, cells_max: int = COLUMNS_MAX + 1) -> list[Inlines]:
    """Split a row; a line too many, as in code, stays in the last cell."""
    line = line.strip().removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    return (
        [inlines(cell.strip().replace("\\|", "|")) for cell in _CELL.split(line, cells_max - 1)]
        if cells_max > 1
        else [inlines(line.strip())]
    )


def _lines(lines: Sequence[str]) -> list[Inline]:
    return inlines("\n".join(line.rstrip() for line in lines))
