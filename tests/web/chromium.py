"""Where the browser is, how it is started, and what is asked of a page in it."""

from __future__ import annotations

import os
import shutil
from typing import Final

ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium_path() -> str | None:
    """The installed Chromium: what TURNFOLD_CHROMIUM names, else the first of the usual names; None where there is none."""
    named = os.environ.get("TURNFOLD_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    return next((found for name in names if (found := shutil.which(name))), None)


UNFOLD: Final = "document.querySelectorAll('details').forEach(one => one.open = true)"

OVERFLOWING: Final = """() => {
  const width = document.documentElement.clientWidth;
  const scrolls = one => one && (['auto', 'scroll'].includes(getComputedStyle(one).overflowX) || scrolls(one.parentElement));
  const found = [];
  if (document.documentElement.scrollWidth > width) found.push('the page: ' + document.documentElement.scrollWidth + ' > ' + width);
  for (const one of document.body.querySelectorAll('*')) {
    const box = one.getBoundingClientRect();
    if (box.width && (box.right > width + 1 || box.left < -1) && !one.matches('.skip') && !scrolls(one.parentElement))
      found.push(one.outerHTML.slice(0, 100) + ' ' + box.left + '..' + box.right);
  }
  return found.slice(0, 5);
}"""
"""Elements that reach beyond the viewport, but for those in a box that scrolls by itself."""

CLIPPED: Final = """() => [...document.body.querySelectorAll('*:not(.unseen)')].filter(one => {
  const style = getComputedStyle(one);
  return (['hidden', 'clip'].includes(style.overflowX) && one.scrollWidth > one.clientWidth + 1) ||
         (['hidden', 'clip'].includes(style.overflowY) && one.scrollHeight > one.clientHeight + 1 && one.clientHeight);
}).map(one => one.outerHTML.slice(0, 100)).slice(0, 5)"""
"""Elements that cut their content off; ``unseen`` is text for screen readers alone, which stands on the page a second time."""

ARTICLE_TEXTS: Final = """() => Object.fromEntries([...document.querySelectorAll('article')].map(one => {
  const addresses = [...one.querySelectorAll('a')].map(link => link.getAttribute('href'));
  return [one.getAttribute('aria-label').split(' ').pop(), one.innerText + ' ' + addresses.join(' ')];
}))"""
"""Seq of a message → the text that a reader sees, and the addresses of its links."""
