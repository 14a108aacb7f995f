"""Writes the items of an outline as HTML: messages, tool calls with their results, reasoning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

from turnfold.formats.html.escaping import esc
from turnfold.formats.html.prose import coloured, prose, typed, verbatim
from turnfold.formats.outline import OUTPUT, PICTURES
from turnfold.formats.outline_blocks import Block, Call, Data, Field, Item, Note, Picture, Reasoning, Result, Text
from turnfold.formats.phrases import counted, data_size, moment, one_line

SHORT_CHARS_MAX: Final = 120
"""An argument up to this length stands on its name's line."""
OUTPUT_LINES_MAX: Final = 12
"""What a command printed is folded from this many lines on."""
FOLDED_KINDS: Final = frozenset({"context"})
"""Messages that are folded as a whole: what tools say to models, seldom what a reader came for."""


class Renderer:
    """Renders items; remembers which anchors are given, since one message may answer several calls."""

    def __init__(self) -> None:
        """Begin a page."""
        self._anchors: set[int] = set()

    def item(self, item: Item, previous: Item | None) -> str:
        """Return one message as an article; one of the same speaker as the one before goes without its name."""
        anchor = self._anchor(item.seq)
        body = "".join(self.block(block, item) for block in item.blocks)
        if item.kind == "compaction":
            body = self._compaction(item, body)
        elif item.kind in FOLDED_KINDS:
            first = next((one_line(block.text, 80) for block in item.blocks if isinstance(block, Text)), "")
            body = fold(f'<span class="what">{esc(item.speaker)}</span> <span class="preview">{esc(first)}</span> {_extent(item)}', body)
        heading = "" if item.kind in FOLDED_KINDS else _heading(item)
        css = f"{esc(item.kind)}{' on' if item.goes_on(previous) else ''}"
        return f'<article class="{css}"{anchor} aria-label="{esc(item.speaker)}, message {item.seq}">{heading}{body}</article>\n'

    def block(self, block: Block, item: Item) -> str:
        """Return one block of a message."""
        match block:
            case Text():
                return f'<div class="prose">{prose(block.text)}</div>' if block.markup else typed(block.text)
            case Reasoning(text):
                return fold(f'<span class="what">Reasoning</span> {meta(lines_in(text))}', f'<div class="prose">{prose(text)}</div>')
            case Picture():
                return _picture(block, item.seq)
            case Note(text):
                return f'<p class="note">{esc(text)}</p>'
            case Data(kind, text) if kind == OUTPUT and text.count("\n") < OUTPUT_LINES_MAX:
                return verbatim(text, kind)
            case Data(kind, text):
                return fold(f'<span class="what">{esc(kind)}</span> {meta(lines_in(text))}', verbatim(text, kind))
            case Call():
                return self._call(block)
            case Result():
                label = '<span class="what">Result</span> ' + _outcome(block)
                return fold(label, self._result(block, "Result", with_anchor=block.seq != item.seq))
            case _:
                assert_never(block)

    def _call(self, call: Call) -> str:
        gist = f" <code>{esc(call.gist)}</code>" if call.gist else ""
        outcome = meta("no result") if call.result is None else _outcome(call.result)
        body = _fields(call.fields)
        if call.result is not None:
            body += self._result(call.result, f"Result of {call.name}", with_anchor=True)
        return fold(f'<span class="what">{esc(call.name)}</span>{gist} {outcome}', body)

    def _result(self, result: Result, label: str, *, with_anchor: bool) -> str:
        anchor = self._anchor(result.seq) if with_anchor else ""
        pieces = "".join(_piece(piece, result.seq, label) for piece in result.pieces)
        return f'<div class="result"{anchor}><p class="label">{"Error" if result.is_error else "Result"}</p>{pieces or NOTHING}</div>'

    def _compaction(self, item: Item, body: str) -> str:
        said = "The conversation was compacted here: the model went on with a summary of what stands above."
        return f'<p class="note">{said}</p>' + (fold(f'<span class="what">Summary</span> {_extent(item)}', body) if body else "")

    def _anchor(self, seq: int) -> str:
        if seq in self._anchors:
            return ""
        self._anchors.add(seq)
        return f' id="seq-{seq}"'


NOTHING: Final = '<p class="note">No output.</p>'


def fold(summary: str, body: str) -> str:
    """Return a part that is folded until somebody opens it; both are HTML."""
    return f'<details><summary>{summary}</summary><div class="inside">{body}</div></details>\n'


def meta(text: str) -> str:
    """Return a remark beside something."""
    return f'<span class="meta">{esc(text)}</span>'


def lines_in(text: str) -> str:
    """How long a text is."""
    return counted(text.strip("\n").count("\n") + 1, "line")


def stamp(at_us: int, *, with_date: bool) -> str:
    """Return a time element, or nothing where there is no time."""
    at = moment(at_us)
    return f'<time datetime="{at}">{at[:10] + " " if with_date else ""}{at[11:19]}</time>' if at else ""


def _heading(item: Item) -> str:
    model = f' <span class="meta">{esc(item.model)}</span>' if item.model else ""
    link = f'<a href="#seq-{item.seq}" aria-label="Link to message {item.seq}">#{item.seq}</a>'
    return (
        f'<div class="who"><span class="name">{esc(item.speaker)}{model}</span>'
        f'<span class="when">{stamp(item.at_us, with_date=False)} {link}</span></div>'
    )


def _extent(item: Item) -> str:
    return meta(counted(sum(block.text.count("\n") + 1 for block in item.blocks if isinstance(block, Text | Data)), "line"))


def _outcome(result: Result) -> str:
    said = counted(result.line_count, "line") if result.line_count else "no output"
    pictures = sum(isinstance(piece, Picture) for piece in result.pieces)
    if pictures:
        said = counted(pictures, "image") if not result.line_count else f"{said}, {counted(pictures, 'image')}"
    failed = result.is_error or result.exit_code not in {None, 0}
    words = ("failed" if result.is_error else f"exit {result.exit_code}") if failed else ""
    return (f'<span class="bad">{words}</span> ' if failed else "") + meta(said)


def _fields(fields: Sequence[Field]) -> str:
    if not fields:
        return ""
    return f'<dl class="fields">{"".join(_field(field) for field in fields)}</dl>'


def _field(field: Field) -> str:
    short = field.kind == "text" and len(field.text) <= SHORT_CHARS_MAX and "\n" not in field.text
    if short:
        value = f"<code>{esc(field.text)}</code>" if field.text else '<span class="meta">empty</span>'
        return f'<div class="short"><dt>{esc(field.name)}</dt><dd>{value}</dd></div>'
    return f"<div><dt>{esc(field.name)}</dt><dd>{_long_value(field)}</dd></div>"


def _long_value(field: Field) -> str:
    if field.kind == "diff":
        return coloured(field.text, field.name)
    return verbatim(field.text, field.name, {"removed": " del", "added": " add"}.get(field.kind, ""))


def _piece(piece: Text | Picture | Note | Data, seq: int, label: str) -> str:
    if isinstance(piece, Picture):
        return _picture(piece, seq)
    if isinstance(piece, Note):
        return f'<p class="note">{esc(piece.text)}</p>'
    if isinstance(piece, Text) and piece.text.startswith(("diff --git ", "--- a/")):
        return coloured(piece.text, label)
    return verbatim(piece.text, label)


def _picture(picture: Picture, seq: int) -> str:
    kind = PICTURES[picture.mime_type].upper()
    name = f"{picture.name}, " if picture.name else ""
    said = f"{name}{kind}, {data_size(picture.size_bytes)}"
    return (
        f'<figure><img src="data:{picture.mime_type};base64,{picture.content}" alt="Image of message {seq}: {esc(said)}" loading="lazy">'
        f"<figcaption>{esc(said)}</figcaption></figure>\n"
    )
