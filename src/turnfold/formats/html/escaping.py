"""The one way of text into a page."""

from __future__ import annotations

import html

from turnfold.model.visible import visible


def esc(text: str) -> str:
    """Return text as HTML that shows it, in an element or in a quoted attribute: no tag, no entity, nothing that cannot be seen."""
    return html.escape(visible(text))
