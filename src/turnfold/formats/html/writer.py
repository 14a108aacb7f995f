"""Writes a conversation as one HTML page that needs nothing else: no script, no network, no fonts.

Theory of operation. The page's words come from files that anybody may have written, so there is one way of text into it (``escaping.esc``),
links go to ``http`` and ``https`` only, images are raster images by data URI only, and the content security policy forbids everything else:
even markup that found a way in could load and run nothing. What is long (tool calls, reasoning, what tools tell models) is folded in
``details``, which browsers open when a search or a link leads into it. Sections are turns, articles are messages; each message has an anchor
``seq-<number>``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from turnfold.core.conversation import Conversation
from turnfold.formats.html.blocks import Renderer, fold, lines_in, meta, stamp
from turnfold.formats.html.escaping import esc
from turnfold.formats.html.prose import typed
from turnfold.formats.html.style import STYLE
from turnfold.formats.loss import LossReport
from turnfold.formats.outline import Outline
from turnfold.formats.outline_blocks import Item, Turn
from turnfold.formats.phrases import counted, facts, one_line, title_of
from turnfold.model.session import SessionInfo

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = f"default-src 'none'; img-src data:; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
"""Nothing is loaded and nothing runs; of styles only the page's own holds, which is stricter than 'unsafe-inline'."""


class HtmlWriter:
    """The writer ``html``."""

    name = "html"
    suffix = ".html"

    def write(self, conversation: Conversation, losses: LossReport) -> Iterator[bytes]:
        """Yield the page, a turn at a time."""
        for piece in _page(conversation, losses):
            yield piece.encode()


def _page(conversation: Conversation, losses: LossReport) -> Iterator[str]:
    turns = Outline(conversation, losses).turns()
    yield _head(conversation)
    yield _contents(turns, conversation.children)
    yield '<main id="content" tabindex="-1">\n'
    if conversation.system_prompt:
        prompt = conversation.system_prompt
        yield fold(f'<span class="what">System prompt</span> {meta(lines_in(prompt))}', typed(prompt))
    renderer = Renderer()
    for turn in turns:
        yield _turn_head(turn)
        previous: Item | None = None
        for item in turn.items:
            yield renderer.item(item, previous)
            previous = item
        yield "</section>\n"
    if not turns:
        yield '<p class="note">There are no messages on this branch.</p>\n'
    yield _children(conversation.children)
    yield "</main>\n"
    yield _foot(losses)


def _head(conversation: Conversation) -> str:
    title = esc(title_of(conversation.info))
    rows = "".join(f"<div><dt>{name}</dt><dd>{_fact(value)}</dd></div>" for name, value in facts(conversation))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="Turnfold">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the conversation</a>
<header class="top">
<h1 dir="auto">{title}</h1>
<dl class="facts">{rows}</dl>
</header>
"""


def _fact(value: str) -> str:
    """A value; dates are times for programs too."""
    return f'<time datetime="{value}">{value[:10]} {value[11:19]} UTC</time>' if len(value) == 20 and value[10:11] == "T" else esc(value)


def _contents(turns: Sequence[Turn], children: Sequence[SessionInfo]) -> str:
    links = "".join(
        f'<li><a href="#turn-{turn.number}"><span class="number">{turn.number or ""}</span> <span dir="auto">{esc(turn.title)}</span></a></li>\n'
        for turn in turns
    )
    if children:
        links += '<li><a href="#subagents"><span class="number"></span> <span>Sessions of subagents</span></a></li>\n'
    return f"""<nav aria-label="Turns">
<p class="unfold"><input type="checkbox" id="unfold"> <label for="unfold">Unfold everything</label></p>
<h2>Turns</h2>
<ol class="turns">{links}</ol>
</nav>
"""


def _turn_head(turn: Turn) -> str:
    at = stamp(turn.items[0].at_us, with_date=True) if turn.items else ""
    said = [counted(len(turn.items), "message")]
    if turn.call_count:
        said.append(counted(turn.call_count, "tool call"))
    if turn.tokens_count > 0:
        said.append(counted(turn.tokens_count, "token"))
    title = esc(one_line(turn.title, 90))
    heading = f'Turn {turn.number}<span class="unseen">: <span dir="auto">{title}</span></span>' if turn.number else title
    return (
        f'<section class="turn" aria-labelledby="turn-{turn.number}">\n'
        f'<h2 id="turn-{turn.number}">{heading}</h2>\n'
        f'<p class="extent">{at}{" · " if at else ""}{" · ".join(said)}</p>\n'
    )


def _children(children: Sequence[SessionInfo]) -> str:
    if not children:
        return ""
    rows = "".join(
        f'<li><span dir="auto">{esc(title_of(child))}</span> {meta(counted(child.message_count, "message"))}<br><code>{esc(child.id)}</code></li>\n'
        for child in children
    )
    note = "Each is a session of its own and can be exported in the same way; their messages are not on this page."
    heading = '<section class="turn" aria-labelledby="subagents">\n<h2 id="subagents">Sessions of subagents</h2>\n'
    return f'{heading}<p class="note">{note}</p>\n<ul>{rows}</ul></section>\n'


def _foot(losses: LossReport) -> str:
    rows = "".join(f"<li>{number:,} × {esc(kind)}</li>" for kind, number in losses.counts.items())
    left = f"<p>Not on this page:</p><ul>{rows}</ul>" if rows else ""
    return f"<footer>{left}<p>Times are UTC. Written by Turnfold.</p></footer>\n</body>\n</html>\n"
