"""The Markdown page, read by a real Markdown parser: nothing in a session gets out of its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.formats.pages import TEN_SESSIONS, conversation, corpus_conversation, everywhere, letters, session_path, written
from tests.formats.test_html import HOSTILE, PNG
from turnfold.formats.loss import LossReport
from turnfold.formats.markdown import code, fenced, plain, typed
from turnfold.model.message import assistant, tool_call, tool_result, user
from turnfold.model.parts import BlobPart
from turnfold.model.visible import visible

BREAKING = [
    *HOSTILE,
    "# heading",
    "Setext\n===",
    "Setext\n---",
    "~~~\nopen fence",
    "```\nopen fence",
    "    indented",
    "\tindented",
    "<details><summary>x</summary>",
    "</details>",
    "[ref]: https://evil.example\n[ref]",
    "1) one\n\n\n2) two\n   > - # deep",
    "- - - - x",
    "> quote\nlazy",
    "**a*b**c_d_`e",
    "a | b\n--|--\n1 | 2",
    "\\",
    "\\\\`x`",
    "![image](https://example.com/a.png)",
    "&lt;&#96;&#x60;",
    "$x$ $$y$$",
]
OURS = re.compile(r"""<details><summary>(?:<a id="seq-\d+"></a>)?(?:[^<>]|</?(?:b|code)>)*</summary>\n?|</details>\n?|<!-- -->\n?""")
ANCHOR = re.compile(r'<a id="seq-\d+">|</a>')


def parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)


def check(text: str, *, turn_count: int | None = None) -> None:
    """Only our headings, our HTML in balance, links to the web, no images; code blocks closed."""
    depth, headings = 0, []
    tokens = parsed(text)
    for place, token in enumerate(tokens):
        if token.type == "html_block":
            assert OURS.fullmatch(token.content), token.content
            depth += token.content.count("<details>") - token.content.count("</details>")
            assert depth >= 0
        elif token.type == "heading_open":
            assert token.level == 0, tokens[place + 1].content
            headings.append(token.tag)
        elif token.type == "fence":
            assert token.map is not None
            end = text.split("\n")[token.map[1] - 1]
            assert set(end.strip(" >")) == {"`"}, end
        assert token.type != "code_block"
        for inner in token.children or ():
            assert inner.type != "image"
            if inner.type == "html_inline":
                assert ANCHOR.fullmatch(inner.content), inner.content
            if inner.type == "link_open":
                assert str(inner.attrs["href"]).startswith(("http://", "https://")), inner.attrs
    assert depth == 0
    assert headings[:1] == ["h1"]
    assert set(headings[1:]) <= {"h2"}
    if turn_count is not None:
        assert len(headings) == 1 + turn_count


def text_of(markdown: str) -> str:
    """What a reader of the rendered text reads."""
    out: list[str] = []
    for token in parsed(markdown):
        out += [token.content] if token.type == "fence" else []
        out += [inner.content if inner.type != "softbreak" else "\n" for inner in token.children or () if inner.type != "html_inline"]
    return "".join(out)


@pytest.mark.parametrize("text", BREAKING)
def test_nothing_breaks_out_wherever_it_stands(text: str) -> None:
    check(written("markdown", everywhere(text)), turn_count=2)


@given(
    st.lists(st.sampled_from([*BREAKING, "\n", "\n\n", " ", "`", "> ", "- ", "1. ", "|", "**", "_", "[", "](", ")", "#", "<", ">", "a"]))
)
def test_no_mixture_breaks_out(pieces: list[str]) -> None:
    check(written("markdown", everywhere("".join(pieces))), turn_count=2)


@given(st.text(max_size=200))
def test_any_text_stays_inside(text: str) -> None:
    check(written("markdown", everywhere(text)), turn_count=2)


@given(st.text(alphabet="`~a \n*_[]()<>#-+=.1|\\&$\t"))
def test_a_fence_a_span_and_plain_text_say_exactly_what_they_hold(text: str) -> None:
    (fence,) = parsed(fenced(text))
    assert fence.content == visible(text) + "\n"
    line = text.replace("\n", " ")
    if line.strip():
        assert text_of(code(text)).strip() == visible(line).strip()
        assert " ".join(text_of(plain(line)).split()) == " ".join(visible(line).split())
    assert letters(text_of(typed(text))) == letters(visible(text))


def test_images_are_named_with_their_size_and_counted() -> None:
    losses = LossReport()
    text = written("markdown", conversation([user(["Look", BlobPart("image", "image/png", PNG)])]), losses)
    assert "*Image: image/png, 40 B*" in text
    assert losses.counts == {"images (named in the text)": 1}


def test_a_run_of_one_speaker_has_one_heading_line_and_every_message_its_anchor() -> None:
    made = conversation(
        [user("Go"), tool_call("a", "A"), tool_result("a", "1"), tool_call("b", "B"), tool_result("b", "2"), assistant("x")]
    )
    text = written("markdown", made)
    assert text.count("**Assistant**") == 1
    assert re.findall(r'<a id="seq-(\d+)"></a>', text) == ["1", "2", "3", "4", "5", "6"]


def test_calls_are_folded_with_their_results() -> None:
    made = conversation([user("Go"), tool_call("c", "Bash", {"command": "ls"}), tool_result("c", "a\n```\nb"), assistant("Done")])
    text = written("markdown", made)
    assert "<details><summary><b>Bash</b> <code>ls</code> 3 lines</summary>" in text
    assert "````\na\n```\nb\n````" in text


@pytest.mark.parametrize("name", TEN_SESSIONS)
def test_a_session_of_the_corpus_stays_inside(shared_dir: Path, name: str) -> None:
    made = corpus_conversation(session_path(shared_dir, name))
    text = written("markdown", made)
    check(text)
    anchors = {int(seq) for seq in re.findall(r'<a id="seq-(\d+)"></a>', text)}
    assert {entry.seq for entry in made.entries if entry.is_turn and entry.message and entry.message.text.strip()} <= anchors
