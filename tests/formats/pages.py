"""What the tests of pages share: conversations made by hand or from the corpus, and a strict reading of an HTML page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

from turnfold.core.conversation import Conversation, ConversationEntry
from turnfold.engine.converting import conversation_of
from turnfold.engine.importer import Importer
from turnfold.formats.loss import LossReport
from turnfold.formats.registry import formats
from turnfold.model.message import Message
from turnfold.model.parts import AnyPart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from turnfold.model.session import SessionInfo, SessionKey
from turnfold.stores.registry import open_store

AT_US = 1_772_546_400_000_000

TEN_SESSIONS = (
    "claude-code/cipher-box-12f1f541",
    "claude-code/spotter/258c7280",
    "claude-code/context-ev-51723c80",
    "claude-code/generated/2.1.200/1cb3",
    "claude-code/agent-sessions",
    "codex/agentv-019ed99c",
    "codex/agentv-019f36b8",
    "codex/generated/0.155.0/rollout",
    "other/copilot-cli/small",
    "other/kimi/assistant_tools",
)
"""Sessions of four tools with images, compactions, subagents, branches, long results and 2,300 lines."""


def session_path(shared_dir: Path, name: str) -> Path:
    """The session file whose path begins so, below the transcripts."""
    (found,) = [path for path in (shared_dir / "data" / "transcripts").glob(f"{name}*") if path.is_file()]
    return found


def corpus_conversation(path: Path) -> Conversation:
    """Import a file with its companions and read it as a conversation."""
    store = open_store("memory://")
    session_id = Importer(store).import_file(path).files[0].session_id
    assert session_id is not None
    return conversation_of(store, SessionKey("default", session_id), losses=LossReport())


def conversation(messages: Iterable[Message], *, title: str = "A session", **fields: object) -> Conversation:
    """Make a conversation of messages; a user's message begins a turn."""
    entries = [
        ConversationEntry(
            seq=seq, last_seq=seq, at_us=AT_US + seq * 1_000_000, type="message", message=message, is_turn=message.role == "user"
        )
        for seq, message in enumerate(messages, 1)
    ]
    info = SessionInfo(id="one", title=title, agent="claude-code", message_count=len(entries))
    return Conversation(info=info, **{"branch": "main", "branches": ["main"], "entries": entries, **fields})  # type: ignore[arg-type]


def everywhere(text: str) -> Conversation:
    """A conversation that has a text in every place where a file can have one."""
    parts: list[AnyPart] = [TextPart(text), ReasoningPart(text), ToolCallPart("c1", text, {text: text, "command": text})]
    answer = ToolResultPart("c1", [{"type": "text", "content": text}, {"type": text, "value": text}], is_error=True)
    messages = [
        Message("user", [TextPart(text)], name=text),
        Message("assistant", parts, model=text),  # type: ignore[arg-type]
        Message("tool", [answer]),
        Message("tool", [ToolResultPart("lone", text)]),
    ]
    made = conversation(messages, title=text, system_prompt=text, branches=["main", text], children=[SessionInfo(id=text, title=text)])
    made.info.metadata.update({"cwd": text, "git_branch": text, "version": text})
    return made


def written(name: str, made: Conversation, losses: LossReport | None = None) -> str:
    """What a writer makes of a conversation."""
    return b"".join(formats().writer(name).write(made, LossReport() if losses is None else losses)).decode()


VOID = frozenset({"meta", "input", "br", "hr", "img"})
ALLOWED = {
    "a": {"class", "href", "rel", "aria-label"},
    "article": {"class", "id", "aria-label"},
    "blockquote": set(),
    "body": set(),
    "br": set(),
    "code": set(),
    "dd": set(),
    "details": set(),
    "div": {"class", "dir", "id", "tabindex", "role", "aria-label"},
    "dl": {"class"},
    "dt": set(),
    "em": set(),
    "figcaption": set(),
    "figure": set(),
    "footer": set(),
    "h1": {"dir"},
    "h2": {"id"},
    "head": set(),
    "header": {"class"},
    "hr": set(),
    "html": {"lang"},
    "img": {"src", "alt", "loading"},
    "input": {"type", "id"},
    "label": {"for"},
    "li": set(),
    "main": {"id", "tabindex"},
    "meta": {"charset", "http-equiv", "content", "name"},
    "nav": {"aria-label"},
    "ol": {"class", "start"},
    "p": {"class", "dir"},
    "pre": {"class", "tabindex", "role", "aria-label"},
    "section": {"class", "aria-labelledby"},
    "span": {"class", "dir"},
    "strong": set(),
    "style": set(),
    "summary": set(),
    "table": set(),
    "tbody": set(),
    "td": set(),
    "th": {"scope"},
    "thead": set(),
    "time": {"datetime"},
    "title": set(),
    "tr": set(),
    "ul": set(),
}
"""Every element that a page may have, with its attributes."""


class Page(HTMLParser):
    """Reads a page strictly: every tag is closed in order, every element and attribute is one of ours, every address is harmless."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.ids: list[str] = []
        self.hrefs: list[str] = []
        self.images: list[str] = []
        self.counts: dict[str, int] = {}
        self.styles: list[str] = []
        self.pieces: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    @property
    def text(self) -> str:
        """The text outside of the style sheet."""
        return "".join(self.pieces)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        assert values.keys() <= ALLOWED[tag], (tag, values)
        assert len(values) == len(attrs)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if "id" in values:
            self.ids.append(values["id"] or "")
        if "href" in values:
            self.hrefs.append(values["href"] or "")
        if tag == "img":
            self.images.append(values["src"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.styles if self.open[-1:] == ["style"] else self.pieces).append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")

    def check(self) -> None:
        """An address leads into the page or to the web; an image is a raster image in the page; ids are given once."""
        assert len(set(self.ids)) == len(self.ids)
        for href in self.hrefs:
            assert re.match(r"#|https?://", href), href
            assert not href.startswith("#") or href[1:] in self.ids, href
        for image in self.images:
            assert re.match(r"data:image/(png|jpeg|gif|webp|avif);base64,[A-Za-z0-9+/=]+$", image), image[:80]


def letters(text: str) -> str:
    """A text's letters and digits alone: what no rendering may lose."""
    return "".join(char for char in text if char.isalnum())
