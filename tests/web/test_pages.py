"""Exported pages in a real browser: accessible, nothing cut off or missing, nothing asked of the network, also on paper and without script."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.formats.pages import TEN_SESSIONS, conversation, everywhere, letters, written
from tests.formats.test_html import HOSTILE
from tests.web.chromium import ARTICLE_TEXTS, CLIPPED, OVERFLOWING, UNFOLD
from turnfold.core.conversation import Conversation
from turnfold.formats.wrapped import image_caption, unwrap
from turnfold.model.message import assistant, tool_call, tool_result, user
from turnfold.model.parts import TextPart
from turnfold.model.visible import visible

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
sessions = pytest.mark.parametrize("name", TEN_SESSIONS)

_NUMBER = re.compile(r"^[\s>]*(?:\d{1,9}[.)]\s)+")
_LINK_END = re.compile(r"\]\(<?[^\s<>]*\)?")


def said(made: Conversation, *, folded: bool) -> Iterator[tuple[int, str]]:
    """Every stretch of text that people and models said, by the message's seq: letters and digits alone.

    What a rendered page rightly does not say is left out: of a model's Markdown the numbers of list items (the browser writes them), the
    languages of fences and the addresses of links; and the tags that a tool put around a command.

    Args:
        made: The conversation.
        folded: With what the page folds: what tools told models, and the output of commands.
    """
    before = ""
    for entry in made.entries:
        before, after = entry.type, before
        if entry.message is None or (not folded and (entry.type != "message" or entry.visibility == "model")):
            continue
        markup = entry.message.role == "assistant" or "compaction" in {entry.type, after}
        for given in [part.content for part in entry.message.parts if isinstance(part, TextPart)]:
            caption = image_caption(given)
            text = given if caption is None else caption
            inner = None if markup else unwrap(text)
            shown = text if inner is None else f"{inner.typed or ''}\n{(inner.output or '') if folded else ''}"
            for line in visible(shown).split("\n"):
                for stretch in _stretches(line) if markup else [line]:
                    if kept := letters(stretch):
                        yield entry.seq, kept


def _stretches(line: str) -> list[str]:
    return [] if line.lstrip(" >-*").startswith(("```", "~~~")) else _LINK_END.split(_NUMBER.sub("", line))


def violations(page: Any, source: str) -> list[str]:
    """What axe finds, with all its rules."""
    page.evaluate(source)
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0].get('failureSummary', '')}" for one in found]


@sessions
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(load_page: Any, open_page: Any, axe_source: str, name: str, scheme: str) -> None:
    made, path = load_page(name)
    page = open_page(path, color_scheme=scheme)
    if len(made.entries) < 400:  # the folded parts of the longest sessions are of the same kinds
        page.evaluate(UNFOLD)
    assert violations(page, axe_source) == []


@sessions
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_nothing_reaches_out_of_the_window_or_is_cut_off(load_page: Any, open_page: Any, name: str, width: int) -> None:
    page = open_page(load_page(name)[1], width=width)
    assert page.evaluate(OVERFLOWING) == []
    page.evaluate(UNFOLD)
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate(CLIPPED) == []


@sessions
def test_every_line_that_was_said_can_be_read(load_page: Any, open_page: Any, name: str) -> None:
    made, path = load_page(name)
    page = open_page(path)
    page.evaluate(UNFOLD)
    texts = {int(seq): letters(text) for seq, text in page.evaluate(ARTICLE_TEXTS).items()}
    lines = list(said(made, folded=True))
    assert lines
    assert [(seq, line) for seq, line in lines if line not in texts.get(seq, "")] == []


@sessions
def test_every_result_of_a_tool_is_on_the_page(load_page: Any, open_page: Any, name: str) -> None:
    made, path = load_page(name)
    text = letters(open_page(path).evaluate("document.querySelector('main').textContent"))
    answers = [result.response for entry in made.entries if entry.message for result in entry.message.tool_results]
    assert [answer for answer in answers if isinstance(answer, str) and letters(visible(answer)) not in text] == []


@sessions
def test_paper_has_all_that_was_said(load_page: Any, open_page: Any, tmp_path: Path, name: str) -> None:
    made, path = load_page(name)
    text = printed(open_page(path), tmp_path)
    assert [(seq, line) for seq, line in said(made, folded=False) if line not in text] == []


def printed(page: Any, folder: Path) -> str:
    """The letters of a page's PDF."""
    if shutil.which("pdftotext") is None:
        pytest.skip("there is no pdftotext (poppler-utils)")
    page.pdf(path=folder / "page.pdf")
    done = subprocess.run(["pdftotext", "-raw", str(folder / "page.pdf"), "-"], check=True, capture_output=True)
    return letters(done.stdout.decode())


@pytest.fixture
def small_page(tmp_path: Path) -> Path:
    """Write a page with one call, whose result is folded."""
    messages = [user("Look"), tool_call("c", "Read", {"file_path": "a.py"}), tool_result("c", "w" * 3_000 + "end"), assistant("Seen")]
    (tmp_path / "small.html").write_text(written("html", conversation(messages)), encoding="utf-8")
    return tmp_path / "small.html"


def test_everything_can_be_unfolded_without_script_and_then_printed(open_page: Any, small_page: Path, tmp_path: Path) -> None:
    page = open_page(small_page, java_script_enabled=False)
    result = page.locator("#seq-3 pre")
    assert not result.is_visible()
    assert "wwwend" not in printed(page, tmp_path)
    page.get_by_label("Unfold everything").check()
    assert result.is_visible()
    assert "w" * 3_000 + "end" in printed(page, tmp_path)


def test_a_fold_opens_without_script_by_key_and_by_link(open_page: Any, small_page: Path) -> None:
    page = open_page(small_page, java_script_enabled=False)
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#seq-3 pre").is_visible()
    linked = open_page(small_page, fragment="#seq-3", java_script_enabled=False)
    assert linked.locator("#seq-3 pre").is_visible()


def test_the_keyboard_reaches_the_conversation_past_the_contents(open_page: Any, small_page: Path) -> None:
    page = open_page(small_page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the conversation"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_runs_and_loads_nothing(open_page: Any, axe_source: str, tmp_path: Path, text: str) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(written("html", everywhere(text)), encoding="utf-8")
    page = open_page(path, width=320)
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    page.evaluate(UNFOLD)
    for link in page.locator("main a[rel]").all():
        assert str(link.get_attribute("href")).startswith("http")
    assert page.evaluate("document.scripts.length + document.images.length + document.styleSheets.length") == 1
    assert page.evaluate(OVERFLOWING) == []
    assert violations(page, axe_source) == []


FAULTY = """<!DOCTYPE html><html><head><title>x</title></head><body>
<p style="width: 4000px">wide</p><p style="overflow: hidden; height: 9px">cut<br>off</p><img src="http://127.0.0.1:9/x.png">
<p style="color: #999; background: #fff">pale</p><script>undefined_name()</script></body></html>"""


def test_the_checks_see_what_is_wrong(open_page: Any, axe_source: str, complaints: list[str], tmp_path: Path) -> None:
    path = tmp_path / "faulty.html"
    path.write_text(FAULTY, encoding="utf-8")
    page = open_page(path)
    assert [line[:8] for line in page.evaluate(OVERFLOWING)] == ["the page", "<p style"]
    assert len(page.evaluate(CLIPPED)) == 1
    assert {line.split(":")[0] for line in violations(page, axe_source)} >= {"image-alt", "color-contrast", "html-has-lang"}
    assert {line.split()[0] for line in complaints} == {"asked", "error:", "console:"}
    complaints.clear()
