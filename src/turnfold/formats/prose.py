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

NESTING_MAX: Final = 6
"""Quotes and lists inside one another; what is deeper is text."""
SPAN_CHARS_MAX: Final = 2_000
"""How far the end of a code span, an emphasis or a link is looked for."""
COLUMNS_MAX: Final = 40
"""Columns of a table; a wider one is text."""


class Code(msgspec.Struct, frozen=True):
    """A code span."""

    text: str


class Strong(msgspec.Struct, frozen=True):
    """Strong emphasis."""

    content: Inlines


class Emphasis(msgspec.Struct, frozen=True):
    """Emphasis."""

    content: Inlines


class Link(msgspec.Struct, frozen=True):
    """A link; ``href`` begins with ``http://`` or ``https://``."""

    content: Inlines
    href: str


class Break(msgspec.Struct, frozen=True):
    """A line break."""


Inline: TypeAlias = str | Code | Strong | Emphasis | Link | Break
Inlines: TypeAlias = Sequence[Inline]


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


# ---- inside a paragraph ----------------------------------------------------------------------------------------------------------------

_MARK = re.compile(r"`+|\*\*|\*|__|_|!?\[|https?://|\n|\\[!-/:-@\[-`{-~]")
_LINK = re.compile(r"\[((?:[^\[\]\n\\]|\\.){1,500})\]\(<?([^\s<>()]{1,1000}(?:\([^\s<>()]{0,200}\)[^\s<>()]{0,1000})?)>?\)")
_ADDRESS = re.compile(r"https?://[^\s<>\"'`|*\\\x00-\x20\x7f]{1,2000}", re.ASCII)
_INLINE_NESTING_MAX: Final = 4


def inlines(text: str) -> list[Inline]:
    """Read a text without blocks: code spans, emphasis, links and line breaks."""
    return _Scanner(text).run()


class _Scanner:
    """One pass over a text."""

    def __init__(self, text: str, depth: int = 0, *, links: bool = True) -> None:
        self._text = text
        self._depth = depth
        self._links = links
        self._out: list[Inline] = []
        self._pending = 0
        self._none_before: dict[str, int] = {}

    def run(self) -> list[Inline]:
        place = 0
        while (mark := _MARK.search(self._text, place)) is not None:
            end = self._take(mark[0], mark.start())
            place = mark.end() if end is None else end
            if end is not None:
                self._pending = end
        self._flush(len(self._text))
        return self._out

    def _flush(self, end: int) -> None:
        if end > self._pending:
            self._out.append(self._text[self._pending : end])
        self._pending = end

    def _add(self, start: int, item: Inline) -> None:
        self._flush(start)
        self._out.append(item)

    def _take(self, mark: str, start: int) -> int | None:
        """Take what begins with a mark; return where it ends, or None where the mark is text."""
        if mark == "\n":
            self._add(start, Break())
            return start + 1
        if mark[0] == "\\":
            self._add(start, mark[1])
            return start + 2
        if mark[0] == "`":
            return self._code(mark, start)
        if mark[-1] == "[":
            return self._link(start, start + len(mark) - 1)
        if mark[0] == "h":
            return self._address(start)
        return self._emphasis(mark, start)

    def _closer(self, mark: str, start: int) -> int:
        """The next place of a mark within reach, or -1; a miss is remembered, so that many openers cost one search."""
        if start < self._none_before.get(mark, 0):
            return -1
        reach = start + SPAN_CHARS_MAX
        found = self._text.find(mark, start, reach)
        if found < 0:
            self._none_before[mark] = reach - len(mark)
        return found

    def _code(self, mark: str, start: int) -> int | None:
        place = start + len(mark)
        for _ in range(8):
            found = self._closer(mark, place)
            if found < 0:
                return None
            end = found
            while end < len(self._text) and self._text[end] == "`":
                end += 1
            if end - found == len(mark):
                inner = self._text[start + len(mark) : found]
                if len(inner) > 2 and inner[0] == inner[-1] == " " and inner.strip():
                    inner = inner[1:-1]
                self._add(start, Code(inner))
                return end
            place = end
        return None

    def _link(self, start: int, bracket: int) -> int | None:
        """Take a link; an image is one too, since its address must not be loaded."""
        found = _LINK.match(self._text, bracket) if self._links else None
        if found is None:
            return None
        label, href = found[1], found[2]
        content = _Scanner(label, self._depth + 1, links=False).run()
        if href.lower().startswith(("http://", "https://")):
            self._add(start, Link(content, href))
        else:  # a file's path, or a scheme that a page must not follow: said, not linked
            self._flush(start)
            self._out += [*content, f" ({href})"]
        return found.end()

    def _address(self, start: int) -> int | None:
        found = _ADDRESS.match(self._text, start) if self._links else None
        if found is None:
            return None
        href = found[0].rstrip(".,;:!?_~")
        while href.endswith((")", "]", "}")) and href.count(href[-1]) > href.count({")": "(", "]": "[", "}": "{"}[href[-1]]):
            href = href[:-1].rstrip(".,;:!?_~")
        if len(href) <= len("https://"):
            return None
        self._add(start, Link([href], href))
        return start + len(href)

    def _emphasis(self, mark: str, start: int) -> int | None:
        text, place = self._text, start + len(mark)
        if self._depth >= _INLINE_NESTING_MAX or text[place : place + 1].isspace() or place >= len(text):
            return None
        if mark[0] == "_" and start and text[start - 1].isalnum():
            return None
        for _ in range(8):
            end = self._closer(mark, place)
            if end <= start + len(mark) - 1:
                return None
            after = text[end + len(mark) : end + len(mark) + 1]
            whole = not text[end - 1].isspace() and end > start + len(mark)
            if mark[0] == "_" and after.isalnum():
                whole = False
            if mark == "*" and (after == "*" or text[end - 1] == "*"):
                whole = False
            if whole:
                content = _Scanner(text[start + len(mark) : end], self._depth + 1, links=self._links).run()
                self._add(start, Strong(content) if len(mark) == 2 else Emphasis(content))
                return end + len(mark)
            place = end + len(mark)
        return None
