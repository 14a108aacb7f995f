"""Store pictures of the exported pages of ten corpus sessions, to be looked at: ``nox -s screenshots``, then ``build/screenshots``.

Each page four times: light, dark, narrow, and unfolded from the middle on. Needs Chromium and Playwright.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

from tests.formats.pages import TEN_SESSIONS, corpus_conversation, session_path, written
from tests.support import ROOT
from tests.web.chromium import ARGUMENTS, UNFOLD, chromium_path

TARGET: Final = ROOT / "build" / "screenshots"
HEIGHT_MAX: Final = 3_000
"""Pixels of a picture; a page may have a hundred times as many."""
VIEWS: Final = {
    "light": {"width": 1280, "scheme": "light"},
    "dark": {"width": 1280, "scheme": "dark"},
    "narrow": {"width": 320, "scheme": "light"},
    "unfolded": {"width": 1280, "scheme": "dark"},
}


def main() -> int:
    """Write the pictures; arguments name sessions, none means all ten."""
    shared = Path(os.environ.get("TURNFOLD_SHARED_DIR") or ROOT.parent / "shared")
    path = chromium_path()
    if path is None or not shared.is_dir():
        print("needs Chromium (TURNFOLD_CHROMIUM) and the shared test data (TURNFOLD_SHARED_DIR)", file=sys.stderr)
        return 1
    TARGET.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        for name in sys.argv[1:] or TEN_SESSIONS:
            file = TARGET / f"{name.replace('/', '_')}.html"
            file.write_text(written("html", corpus_conversation(session_path(shared, name))), encoding="utf-8")
            for view in VIEWS:
                _shoot(browser, file, view)
            print(f"{file.name}  {file.stat().st_size:,} bytes")
        browser.close()
    return 0


def _shoot(browser: Browser, file: Path, view: str) -> None:
    """Take one picture."""
    width, scheme = VIEWS[view]["width"], VIEWS[view]["scheme"]
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(file.as_uri())
    top = 0
    if view == "unfolded":
        page.evaluate(UNFOLD)
        top = max(page.evaluate("document.documentElement.scrollHeight") // 2 - HEIGHT_MAX // 2, 0)
    height = min(page.evaluate("document.documentElement.scrollHeight") - top, HEIGHT_MAX)
    clip = {"x": 0, "y": top, "width": width, "height": height}
    page.screenshot(path=file.with_name(f"{file.stem}-{view}.png"), clip=clip, full_page=True)
    context.close()


if __name__ == "__main__":
    sys.exit(main())
