"""Writes the Markdown tree of ``formats.prose`` as HTML. A heading inside a message is none of the page's: its outline is the conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

from turnfold.formats.html.escaping import esc
from turnfold.formats.phrases import one_line
from turnfold.formats.prose import Block, CodeBlock, Heading, ListBlock, Paragraph, Quote, Rule, Table, parse
from turnfold.formats.spans import Break, Code, Emphasis, Inlines, Link, Strong

DIFF_LINES_MAX: Final = 5_000
"""Lines of a diff that are coloured; a longer one is plain."""
SCROLL_LINES_MIN: Final = 40
"""From this many lines on a text scrolls in a box of its own."""
_DIFF_CLASSES: Final = {"+": "add", "-": "del", "@": "hunk"}


def prose(text: str) -> str:
    """Return a model's Markdown as HTML."""
    return "".join(_block(block) for block in parse(text))


def typed(text: str) -> str:
    """Return what somebody typed as HTML: as it was typed."""
    return f'<div class="typed" dir="auto">{esc(text.strip(chr(10)))}</div>'


def verbatim(text: str, label: str, css: str = "") -> str:
    """Return a text in its own lines, wrapped where it is too wide."""
    return f"<pre{_box(text, label, css)}>\n{esc(text)}</pre>"


def coloured(text: str, label: str) -> str:
    """Return a diff in its own lines."""
    return f"<pre{_box(text, label)}>\n{diff(text)}</pre>"


def _box(text: str, label: str, css: str = "") -> str:
    """The attributes of a box; a long one scrolls in itself, so that the keyboard must reach it."""
    if text.count("\n") < SCROLL_LINES_MIN and len(text) < SCROLL_LINES_MIN * 80:
        return f' class="data{css}"'
    return f' class="data long{css}" tabindex="0" role="group" aria-label="{esc(one_line(label))}"'


def diff(text: str) -> str:
    """Return the lines of a diff as HTML, each with its class."""
    lines = text.split("\n")
    if len(lines) > DIFF_LINES_MAX:
        return esc(text)
    return "\n".join(f'<span class="{css}">{esc(line)}</span>' if (css := _DIFF_CLASSES.get(line[:1])) else esc(line) for line in lines)


def _block(block: Block) -> str:
    match block:
        case Paragraph(content):
            return f'<p dir="auto">{_inlines(content)}</p>\n'
        case Heading(level, content):
            return f'<p class="h h{level}" dir="auto">{_inlines(content)}</p>\n'
        case CodeBlock(text, language):
            return _code(text, language)
        case Quote(blocks):
            return f"<blockquote>{''.join(_block(inner) for inner in blocks)}</blockquote>\n"
        case ListBlock(items, start):
            return _list(items, start)
        case Table(head, rows):
            return _table(head, rows)
        case Rule():
            return "<hr>\n"
        case _:
            assert_never(block)


def _code(text: str, language: str) -> str:
    name = language.split(maxsplit=1)[0] if language else ""
    body = diff(text) if name in {"diff", "patch"} else esc(text)
    return f'<pre class="code" tabindex="0" role="group" aria-label="{esc(f"Code, {name}" if name else "Code")}">\n{body}</pre>\n'


def _list(items: Sequence[Sequence[Block]], start: int | None) -> str:
    name = "ul" if start is None else "ol"
    first = "" if start is None or start == 1 else f' start="{start}"'
    return f"<{name}{first}>{''.join(f'<li>{_item(item)}</li>' for item in items)}</{name}>\n"


def _item(blocks: Sequence[Block]) -> str:
    """An item; its first paragraph stands as plain text, as in a tight list."""
    if blocks and isinstance(blocks[0], Paragraph):
        return f'<span dir="auto">{_inlines(blocks[0].content)}</span>' + "".join(_block(block) for block in blocks[1:])
    return "".join(_block(block) for block in blocks)


def _table(head: Sequence[Inlines], rows: Sequence[Sequence[Inlines]]) -> str:
    top = "".join(f'<th scope="col">{_inlines(cell)}</th>' if cell else "<td></td>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{_inlines(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="table" tabindex="0" role="group" aria-label="Table"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>\n"
    )


def _inlines(content: Inlines) -> str:
    out: list[str] = []
    for item in content:
        match item:
            case str():
                out.append(esc(item))
            case Code(text):
                out.append(f"<code>{esc(text)}</code>")
            case Strong(inner):
                out.append(f"<strong>{_inlines(inner)}</strong>")
            case Emphasis(inner):
                out.append(f"<em>{_inlines(inner)}</em>")
            case Link(inner, href):
                out.append(f'<a href="{esc(href)}" rel="noopener noreferrer nofollow">{_inlines(inner)}</a>')
            case Break():
                out.append("<br>")
            case _:
                assert_never(item)
    return "".join(out)
