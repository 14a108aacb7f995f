"""The HTML page: what stands on it, and that nothing in a session can act on it."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.pages import TEN_SESSIONS, Page, conversation, corpus_conversation, everywhere, letters, session_path, written
from turnfold.formats.loss import LossReport
from turnfold.model.message import Message, assistant, decode_message, tool_call, tool_result, user
from turnfold.model.parts import BlobPart, OpaquePart, ReasoningPart, TextPart, ToolResultPart, UriPart
from turnfold.model.visible import visible

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 32).decode()

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title></head><body onload=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "[click](javascript:alert(1)) [two](JaVaScRiPt:alert(1)) [three](data:text/html,<script>alert(1)</script>)",
    "[a](https://example.com/\"onclick=alert(1)) https://example.com/'><script>",
    "![x](https://example.com/pixel.png) <img src=https://example.com/pixel.png>",
    "<!-- <![CDATA[ ]]> --> <?php ?> &lt;b&gt; &#60;script&#62;",
    "</pre></details></article></section></main><h1>Other</h1>",
    "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07text\x1b]8;;\x07 \x00 \x9b2J",
    "\u202edlrow\u202c \u2066hidden\u2069 \u200b \ufeff",
    "\ud800 half \udfff pair",
    "<svg onload=alert(1)><foreignObject>",
    "```\n</pre><script>\n```` \n| <b> | `|` |\n|---|---|\n| </td> | x |",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_wherever_it_stands(text: str) -> None:
    page = Page(written("html", everywhere(text)))
    page.check()
    assert page.counts.get("img") is None
    assert page.counts["style"] == 1
    assert page.text.count("�") == 0
    assert letters(visible(text)) in letters(page.text)  # the system prompt, at least, stands there as it is


@given(st.lists(st.sampled_from([*HOSTILE, "\n", "`", "```", "> ", "- ", "1. ", "|", "**", "_", "[", "](", ")", "#", "<", ">", "&", "a"])))
def test_no_mixture_of_marks_and_markup_breaks_out(pieces: list[str]) -> None:
    text = "".join(pieces)
    page = Page(written("html", conversation([user(text), assistant(text)])))
    page.check()
    assert page.counts.get("article", 0) == 2 * bool(text.strip())


@given(st.text())
def test_any_text_gives_a_valid_page(text: str) -> None:
    Page(written("html", everywhere(text))).check()


def test_policy_forbids_everything_but_the_style_sheet_of_the_page() -> None:
    text = written("html", conversation([user("Hello")]))
    page = Page(text)
    digest = base64.b64encode(hashlib.sha256(page.styles[0].encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'" in text
    assert "url(" not in page.styles[0]
    assert "@import" not in page.styles[0]


def test_a_call_and_its_result_stand_together_and_keep_their_own_anchors() -> None:
    made = conversation(
        [user("Do"), tool_call("c1", "Bash", {"command": "ls\nls -l"}), tool_result("c1", "a.txt\nb.txt"), assistant("Done")]
    )
    page = Page(written("html", made))
    assert page.counts["article"] == 3
    assert {"seq-1", "seq-2", "seq-3", "seq-4", "turn-1"} <= set(page.ids)
    assert "Bash ls ls -l 2 lines" in page.text
    assert "a.txt\nb.txt" in page.text


def test_one_message_that_answers_two_calls_has_one_anchor() -> None:
    both = Message("tool", [ToolResultPart("c1", "first"), ToolResultPart("c2", "second", is_error=True)])
    page = Page(written("html", conversation([tool_call("c1", "A"), tool_call("c2", "B"), both])))
    page.check()
    assert "failed" in page.text
    assert "first" in page.text
    assert "second" in page.text


def test_a_result_without_call_and_a_call_without_result_are_shown() -> None:
    page = Page(written("html", conversation([tool_result("gone", "alone"), tool_call("c2", "Read")])))
    assert "alone" in page.text
    assert "no result" in page.text


def test_raster_images_are_embedded_and_other_media_are_named_and_counted() -> None:
    svg = BlobPart("image", "image/svg+xml", base64.b64encode(b"<svg onload=alert(1)>").decode(), filename="a.svg")
    broken = BlobPart("image", "image/png", 'AAAA"><script>')
    far = UriPart("image", "https://example.com/pixel.png")
    made = conversation([user([BlobPart("image", "image/png", PNG, filename='x".png'), svg, broken, far])])
    losses = LossReport()
    page = Page(written("html", made, losses))
    page.check()
    assert page.images == [f"data:image/png;base64,{PNG}"]
    assert losses.counts == {"media that a page cannot show": 3}
    assert "https://example.com/pixel.png" in page.text
    assert "https://example.com/pixel.png" not in page.hrefs


def test_what_is_not_on_the_page_is_counted_and_said() -> None:
    reasoning = ReasoningPart("I think", signature="c2ln")
    losses = LossReport()
    made = conversation([user("Go"), assistant([reasoning, OpaquePart({"type": "odd", "x": 1})]), tool_result("c", "r", detail={"a": 1})])
    page = Page(written("html", made, losses))
    assert losses.counts == {"encrypted or signed reasoning": 1, "structured details of tool results": 1}
    assert "1 × encrypted or signed reasoning" in page.text
    assert "I think" in page.text
    assert '"x": 1' in page.text


def test_a_result_of_five_megabytes_on_one_line_is_on_the_page() -> None:
    long = '{"k":"' + "x" * 5_000_000 + '"}'
    text = written("html", conversation([user("Go"), tool_call("c", "Read", {"file_path": "a"}), tool_result("c", long)]))
    assert "x" * 5_000_000 in text
    Page(text).check()


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {"a": [{"b": "\ud800"}]}, {1: 2}, 10**40, {"deep": None}])
def test_arguments_of_any_kind_can_be_written(value: object) -> None:
    if value == {"deep": None}:
        for _ in range(5_000):
            value = {"deep": value}
    Page(written("html", conversation([tool_call("c", "T", {"v": value}), tool_result("c", value)]))).check()


@pytest.mark.parametrize("odd", [5, None, [], {}, [{}], "x", 10**40, [["deep"]], {"type": []}])
def test_parts_and_pieces_with_values_of_any_kind_are_shown(odd: object) -> None:
    pieces = [
        {"type": odd, "text": odd},
        {"type": "blob", "mime_type": odd, "content": odd, "size_bytes": odd, "filename": odd, "uri": odd},
    ]
    parts = [
        {"type": "text", "content": odd},
        {"type": "tool_call", "id": odd, "name": odd},
        {"kind": odd},
        {"type": "blob", "content": odd},
    ]
    message = decode_message(json.dumps({"role": "assistant", "parts": parts}).encode())
    page = Page(written("html", conversation([message, tool_result("c", pieces), tool_result("d", odd)])))
    page.check()
    assert Page(written("html", conversation([user("a"), message]))).counts["details"] >= 1 or odd == "x"


def test_calls_and_results_that_share_one_id_cost_linear_time() -> None:
    messages = [message for _ in range(3_000) for message in (tool_call("same", "T", {"a": 1}), tool_result("same", "r"))]
    begun = time.perf_counter()
    page = Page(written("html", conversation([*messages, *[tool_result("same", "r") for _ in range(3_000)]])))
    assert page.counts["pre"] == 6_000
    assert time.perf_counter() - begun < 20  # it takes half a second


def test_typed_text_keeps_its_lines_and_marks_and_a_models_text_is_rendered() -> None:
    page = Page(written("html", conversation([user("# not a\n  heading *"), assistant("# A heading\n\n- one\n- two **strong**")])))
    assert "# not a\n  heading *" in page.text
    assert page.counts["li"] == 2 + 1  # and the table of contents
    assert page.counts["strong"] == 1
    assert page.counts["h1"] == 1
    assert page.counts["h2"] == 2


def test_an_empty_session_is_a_page() -> None:
    page = Page(written("html", conversation([], title="")))
    page.check()
    assert "There are no messages" in page.text


@pytest.mark.parametrize("name", TEN_SESSIONS)
def test_a_session_of_the_corpus_is_whole_and_valid(shared_dir: Path, name: str) -> None:
    made = corpus_conversation(session_path(shared_dir, name))
    page = Page(written("html", made))
    page.check()
    anchors = {int(name.removeprefix("seq-")) for name in page.ids if name.startswith("seq-")}
    for entry in made.entries:
        parts = [] if entry.message is None else entry.message.parts
        if any(isinstance(part, TextPart) and part.content.strip() for part in parts):
            assert entry.seq in anchors
