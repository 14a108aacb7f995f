r"""Make text that others wrote safe to look at. See ``cli.safe`` for terminals; the pages of ``formats`` show the same.

Session files hold what web pages, tools and models wrote. Two rules:

- Pure styling (CSI sequences, e.g. colours) has no content and is dropped; of every other sequence the introducer is made visible and its
  body stays, so that nothing can hide in it.
- What cannot be seen is shown by its name: ``␛`` for ESC, ``⟨U+202E⟩`` for a right-to-left override. Joiners stay only between the
  non-ASCII characters that need them (emoji, Persian).
"""

from __future__ import annotations

import re
from typing import Final

_CSI = re.compile("(?:\x1b\\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]")

INVISIBLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Format characters, fillers, tag characters and variation selectors that have no glyph (U+FE0E/F, text and emoji style, do no harm)."""
_SUSPECT = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{INVISIBLE}]")
_JOINERS: Final = "\u200c\u200d"


def visible(text: str) -> str:
    """Return text in which every character can be seen. Newlines and tabs stay; a CR LF becomes a newline."""
    if _SUSPECT.search(text) is None:
        return text
    text = _CSI.sub("", text.replace("\r\n", "\n"))
    return _SUSPECT.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    char = match.group()
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if char in _JOINERS and _joins(match.string, match.start()):
        return char
    return f"⟨U+{code:04X}⟩"


def _joins(text: str, at: int) -> bool:
    """Whether a joiner stands between two visible non-ASCII characters, as it does in emoji and in the scripts that use it."""
    around = text[max(at - 1, 0) : at] + text[at + 1 : at + 2]
    return len(around) == 2 and not around.isascii() and all(ord(c) > 0x9F and _SUSPECT.match(c) is None for c in around)
