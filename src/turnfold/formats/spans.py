"""Reads what stands inside a paragraph of Markdown: code spans, emphasis, links, line breaks. See ``formats.prose``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

SPAN_CHARS_MAX: Final = 2_000
"""How far the end of a code span, an emphasis or a link is looked for."""


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
