"""A browser, and the pages of ten sessions of the corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.formats.pages import corpus_conversation, session_path, written
from tests.web.chromium import ARGUMENTS, chromium_path
from turnfold.core.conversation import Conversation

Load = Callable[[str], tuple[Conversation, Path]]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start Chromium once."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = chromium_path()
    if path is None:
        pytest.skip("there is no Chromium; TURNFOLD_CHROMIUM names one")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def axe_source() -> str:
    """Give the script that checks accessibility."""
    package = pytest.importorskip("axe_playwright_python")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def load_page(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Give what writes the page of a session once: by its name, the conversation and the page's file."""
    folder = tmp_path_factory.mktemp("pages")
    made: dict[str, tuple[Conversation, Path]] = {}

    def load(name: str) -> tuple[Conversation, Path]:
        if name not in made:
            one = corpus_conversation(session_path(shared_dir, name))
            path = folder / f"{name.replace('/', '_')}.html"
            path.write_text(written("html", one), encoding="utf-8")
            made[name] = one, path
        return made[name]

    return load


@pytest.fixture
def complaints() -> list[str]:
    """Give the list of what pages asked for and complained of."""
    return []


@pytest.fixture
def open_page(browser: Any, complaints: list[str]) -> Iterator[Callable[..., Any]]:
    """Give what opens a file in a context of its own; at the end the page must have asked for nothing and complained of nothing."""
    contexts: list[Any] = []

    def open_in(path: Path, *, width: int = 1280, fragment: str = "", **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        context.set_default_timeout(50_000)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("request", lambda asked: _note(complaints, asked.url, path))
        page.goto(path.as_uri() + fragment)
        return page

    yield open_in
    for context in contexts:
        context.close()
    assert complaints == []


def _note(complaints: list[str], url: str, path: Path) -> None:
    if url.split("#", maxsplit=1)[0] != path.as_uri() and not url.startswith("data:image/"):
        complaints.append(f"asked for {url[:100]}")
