"""Writes a conversation as Markdown that reads well on a forge: turns as headings, tool calls and reasoning folded.

Theory of operation. What stands in the messages must stay inside its place: a fence, a heading or a tag in it must not become one of the page.
So no message is copied. Its text is read into the tree of ``formats.prose`` and written again: plain text with every mark escaped, code in
fences longer than any run of backticks in it, headings as bold lines, links to ``http`` and ``https`` only. The only HTML is our own: ``details``
around what is long, and anchors ``seq-<number>``. Images are named, not embedded: forges do not show data URIs, and base64 hides the text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, assert_never

from turnfold.core.conversation import Conversation
from turnfold.formats import loss
from turnfold.formats.loss import LossReport
from turnfold.formats.outline import Outline
from turnfold.formats.outline_blocks import Block, Call, Data, Item, Note, Picture, Reasoning, Result, Text, Turn
from turnfold.formats.phrases import counted, data_size, facts, moment, one_line, title_of
from turnfold.formats.prose import Block as ProseBlock
from turnfold.formats.prose import CodeBlock, Heading, ListBlock, Paragraph, Quote, Rule, Table, parse
from turnfold.formats.spans import Break, Code, Emphasis, Inlines, Link, Strong
from turnfold.model.visible import visible

_FOLD: Final = "<details><summary>"
_MARKS = re.compile(r"[\\`*_\[\]<>|~&$!]")
_LINE_START = re.compile(r"^([#+=-]|\d{1,9}(?=[.)]))")
_TICKS = re.compile(r"`+")
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,30}")


class MarkdownWriter:
    """The writer ``markdown``."""

    name = "markdown"
    suffix = ".md"

    def write(self, conversation: Conversation, losses: LossReport) -> Iterator[bytes]:
        """Yield the text, a message at a time."""
        for piece in _page(conversation, losses):
            yield f"{piece}\n\n".encode()


def _page(conversation: Conversation, losses: LossReport) -> Iterator[str]:
    turns = Outline(conversation, losses).turns()
    yield f"# {plain(title_of(conversation.info))}"
    yield "\n".join(f"- **{name}:** {plain(value)}" for name, value in facts(conversation))
    if conversation.system_prompt:
        yield folded("<b>System prompt</b>", fenced(conversation.system_prompt))
    renderer = _Renderer(losses)
    for turn in turns:
        yield _turn_head(turn)
        previous: Item | None = None
        for item in turn.items:
            yield renderer.item(item, previous)
            previous = item
    if not turns:
        yield "There are no messages on this branch."
    if conversation.children:
        yield "## Sessions of subagents"
        yield "\n".join(
            f"- {plain(title_of(child))} ({counted(child.message_count, 'message')}), {code(child.id)}" for child in conversation.children
        )
    left = ", ".join(f"{number:,} × {kind}" for kind, number in losses.counts.items())
    yield "---"
    yield f"{f'Not on this page: {left}. ' if left else ''}Times are UTC. Written by Turnfold."


def _turn_head(turn: Turn) -> str:
    number = f"{turn.number}\\. " if turn.number else ""
    said = [moment(turn.items[0].at_us)] if turn.items else []
    said += [counted(len(turn.items), "message"), *([counted(turn.call_count, "tool call")] if turn.call_count else [])]
    return f"## {number}{plain(one_line(turn.title, 90))}\n\n{' · '.join(one for one in said if one)}"


class _Renderer:
    """Renders items; remembers which anchors are given, since one message may answer several calls."""

    def __init__(self, losses: LossReport) -> None:
        self._losses = losses
        self._anchors: set[int] = set()

    def item(self, item: Item, previous: Item | None) -> str:
        """Return a message; one that goes on where the one before stopped has no heading line, else long runs of calls drown in them."""
        anchor = self._anchor(item.seq)
        if item.kind == "context":
            return folded(f"{anchor}{_html(item.speaker)}", *(self._block(block, item) for block in item.blocks))
        goes_on = item.goes_on(previous)
        blocks = [self._block(block, item) for block in item.blocks]
        if item.kind == "compaction":
            said = "The conversation was compacted here: the model went on with a summary of what stands above."
            blocks = [said, *([folded("Summary", *blocks)] if blocks else [])]
        if goes_on and blocks and blocks[0].startswith(_FOLD):
            return "\n\n".join([_FOLD + anchor + blocks[0].removeprefix(_FOLD), *blocks[1:]])
        if goes_on:
            return "\n\n".join([anchor, *blocks])
        model = f" ({plain(one_line(item.model))})" if item.model else ""
        at = moment(item.at_us)[11:19]
        head = f"{anchor}**{plain(one_line(item.speaker)) or 'Message'}**{model} · {f'{at} · ' if at else ''}#{item.seq}"
        return "\n\n".join([head, *blocks])

    def _block(self, block: Block, item: Item) -> str:
        match block:
            case Text(text, markup):
                return prose(text) if markup else quoted(typed(text))
            case Reasoning(text):
                return folded("Reasoning", quoted(prose(text)))
            case Picture():
                return self._picture(block, item.seq)
            case Note(text):
                return plain(text)
            case Data(kind, text):
                return folded(_html(kind), fenced(text))
            case Call():
                return self._call(block)
            case Result():
                return folded(f"{self._anchor(block.seq)}<b>Result</b> {_outcome(block)}", *self._pieces(block))
            case _:
                assert_never(block)

    def _call(self, call: Call) -> str:
        gist = f" <code>{_html(call.gist)}</code>" if call.gist else ""
        outcome = "no result" if call.result is None else _outcome(call.result)
        body: list[str] = []
        for field in call.fields:
            name = f"**{plain(one_line(field.name))}:**"
            if field.kind == "text" and "\n" not in field.text and len(field.text) <= 120:
                body.append(f"{name} {code(field.text)}")
            else:
                body += [name, fenced(field.text, "diff" if field.kind == "diff" else "")]
        if call.result is not None:
            said = "**Error**" if call.result.is_error else "**Result**"
            body += [f"{self._anchor(call.result.seq)}{said}", *self._pieces(call.result)]
        return folded(f"<b>{_html(call.name)}</b>{gist} {outcome}", *body)

    def _pieces(self, result: Result) -> Iterator[str]:
        for piece in result.pieces:
            if isinstance(piece, Picture):
                yield self._picture(piece, result.seq)
            elif isinstance(piece, Note):
                yield plain(piece.text)
            else:
                yield fenced(piece.text)
        if not result.pieces:
            yield "No output."

    def _picture(self, picture: Picture, seq: int) -> str:
        self._losses.add(loss.PICTURES, seq)
        name = f"{picture.name}, " if picture.name else ""
        return f"*Image: {plain(one_line(name))}{picture.mime_type}, {data_size(picture.size_bytes)}*"

    def _anchor(self, seq: int) -> str:
        if seq in self._anchors:
            return ""
        self._anchors.add(seq)
        return f'<a id="seq-{seq}"></a>'


def _outcome(result: Result) -> str:
    said = counted(result.line_count, "line") if result.line_count else "no output"
    if result.is_error:
        return f"failed, {said}"
    return said if result.exit_code in {None, 0} else f"exit {result.exit_code}, {said}"


# ---- containment -----------------------------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """Return one line of text with every mark escaped."""
    shown = visible(text).replace("\n", " ").replace("\t", " ")
    start = len(shown) - len(shown.lstrip(" "))
    rest = _LINE_START.sub(r"\\\1" if not shown[start : start + 1].isdigit() else r"\1\\", _MARKS.sub(r"\\\g<0>", shown[start:]))
    return "&nbsp;" * min(start, 40) + rest.rstrip(" ")


def typed(text: str) -> str:
    """Return what somebody typed, line for line, with every mark escaped."""
    paragraphs = re.split(r"\n[ \t]*\n", visible(text.replace("\t", "    ")).strip("\n"))
    return "\n\n".join("\\\n".join(plain(line) or "&nbsp;" for line in paragraph.split("\n")) for paragraph in paragraphs)


def code(text: str) -> str:
    """Return a code span that holds any text."""
    shown = visible(text).replace("\n", " ")
    if not shown.strip():
        return "(empty)"
    ticks = "`" * (_longest_run(shown) + 1)
    pad = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def fenced(text: str, language: str = "") -> str:
    """Return a code block that holds any text."""
    shown = visible(text)
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}{language if _LANGUAGE.fullmatch(language) else ''}\n{shown}\n{fence}"


def folded(summary: str, *blocks: str) -> str:
    """Return blocks that a forge folds; the summary is one line of HTML."""
    inner = "\n\n".join(blocks)
    return f"{_FOLD}{summary}</summary>\n\n{inner}\n\n</details>"


def quoted(text: str) -> str:
    """Return Markdown as a block quote."""
    return "\n".join(f"> {line}".rstrip(" ") for line in text.split("\n"))


def _longest_run(text: str) -> int:
    return max((len(run) for run in _TICKS.findall(text)), default=0)


def _html(text: str) -> str:
    """Text for a summary's line, where HTML holds and Markdown does not."""
    return html.escape(one_line(text))


# ---- a model's own Markdown --------------------------------------------------------------------------------------------------------------


def prose(text: str) -> str:
    """Return a model's Markdown, written again from its tree."""
    return _blocks(parse(visible(text)))


def _blocks(blocks: Iterable[ProseBlock]) -> str:
    out: list[str] = []
    last: ProseBlock | None = None
    for block in blocks:
        if isinstance(block, ListBlock) and isinstance(last, ListBlock):
            out.append("<!-- -->")  # else the two lists would become one
        out.append(_prose_block(block))
        last = block
    return "\n\n".join(out)


def _prose_block(block: ProseBlock) -> str:
    match block:
        case Paragraph(content):
            return _lines(content)
        case Heading(_, content):
            return f"**{_one_line(content)}**"
        case CodeBlock(text, language):
            return fenced(text, language.split(maxsplit=1)[0] if language else "")
        case Quote(blocks):
            return quoted(_blocks(blocks)) if blocks else ">"
        case ListBlock(items, start):
            return "\n".join(_list_item(item, "-" if start is None else f"{start + place}.") for place, item in enumerate(items))
        case Table(head, rows):
            return _table(head, rows)
        case Rule():
            return "* * *"
        case _:
            assert_never(block)


def _list_item(blocks: Sequence[ProseBlock], mark: str) -> str:
    text = _blocks(blocks)
    indent = " " * (len(mark) + 1)
    return f"{mark} {text}".replace("\n", f"\n{indent}").replace(f"\n{indent}\n", "\n\n").rstrip(" ")


def _table(head: Sequence[Inlines], rows: Sequence[Sequence[Inlines]]) -> str:
    lines = [[_cell(cell) for cell in head], ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(content: Inlines) -> str:
    return _one_line([Code(item.text.replace("|", "\\|")) if isinstance(item, Code) else item for item in content])


def _one_line(content: Inlines) -> str:
    return _inlines(content).replace("\\\n", " ")


def _lines(content: Inlines) -> str:
    return "\n".join(_escaped_start(line) for line in _inlines(content).split("\n"))


def _escaped_start(line: str) -> str:
    """Keep a line from beginning a block, and its indentation from becoming code."""
    rest = line.lstrip(" ")
    start = "&nbsp;" * min(len(line) - len(rest), 40)
    return start + _LINE_START.sub(r"\\\1" if not rest[:1].isdigit() else r"\1\\", rest)


def _inlines(content: Inlines) -> str:
    out: list[str] = []
    for item in content:
        match item:
            case str():
                out.append(_MARKS.sub(r"\\\g<0>", item.replace("\n", " ").replace("\t", "    ")))
            case Code(text):
                out.append(code(text))
            case Strong(inner):
                out.append(f"**{_inlines(inner)}**")
            case Emphasis(inner):
                out.append(f"*{_inlines(inner)}*")
            case Link(inner, href):
                out.append(f"[{_inlines(inner)}](<{_MARKS.sub(_percent, href)}>)")
            case Break():
                out.append("\\\n")
            case _:
                assert_never(item)
    return "".join(out)


_LINK_KEEPS: Final = frozenset("_~&$*!")


def _percent(mark: re.Match[str]) -> str:
    """A character of an address as Markdown takes it for one."""
    char = mark[0]
    return ("\\" + char if char != "&" else "&amp;") if char in _LINK_KEEPS else f"%{ord(char):02X}"
