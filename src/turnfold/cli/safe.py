r"""Make imported text harmless before it is printed. Everything that a command writes passes here.

Theory of operation. Session files hold what web pages, tools and models wrote, so they may hold terminal commands: an escape sequence can
set the clipboard (OSC 52), hide a link's target (OSC 8), move the cursor over what was printed or answer on the user's behalf; a bidi
override or a zero-width character makes text look like what it is not. Two rules:

- Nothing that a terminal could obey goes out. Pure styling (CSI sequences, e.g. colours) has no content and is dropped; of every other
  sequence the introducer is made visible and its body stays, so that nothing can hide in it.
- What cannot be seen is shown by its name: ``␛`` for ESC, ``⟨U+202E⟩`` for a right-to-left override. Joiners stay only between the
  non-ASCII characters that need them (emoji, Persian).

JSON output keeps every character, written as ``\uXXXX`` where printing it would be unsafe.
Rich markup is never interpreted: text goes to rich as ``Text`` objects only.
"""

from __future__ import annotations

import re
from typing import Final

_CSI = re.compile("(?:\x1b\\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]")

_INVISIBLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Format characters, fillers, tag characters and variation selectors that have no glyph (U+FE0E/F, text and emoji style, do no harm)."""
_SUSPECT = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{_INVISIBLE}]")
_JSON_SUSPECT = re.compile(f"[\x7f-\x9f\ud800-\udfff{_INVISIBLE}]")
_JOINERS: Final = "\u200c\u200d"
_FOLD = re.compile(r"[ \t]*[\n\t]\s*")


def safe(text: object) -> str:
    """Return text that a terminal can only show. Newlines and tabs stay; a CR LF becomes a newline.

    Args:
        text: Any text; other objects are taken by their ``str``.
    """
    text = str(text)
    if _SUSPECT.search(text) is None:
        return text
    text = _CSI.sub("", text.replace("\r\n", "\n"))
    return _SUSPECT.sub(_visible, text)


def safe_line(text: object) -> str:
    """Return ``safe`` text on one line: line breaks and tabs become a space."""
    return _FOLD.sub(" ", safe(text)).strip()


def shorten(text: object, width: int) -> str:
    """Return ``safe_line`` of the text, cut to ``width`` characters with an ellipsis."""
    # A title may be megabytes long; what is cut away need not be cleaned (CSI sequences are the only ones that shrink).
    line = safe_line(str(text)[: width * 80])
    return line if len(line) <= width else line[: max(width - 1, 0)].rstrip() + "…"


def safe_json(encoded: bytes) -> str:
    """Return JSON text of the same value in which no character can act on a terminal or hide.

    Args:
        encoded: JSON as UTF-8. Such characters occur in its strings only, where an escape means the same; C0 is escaped already.
    """
    return _JSON_SUSPECT.sub(_escaped, encoded.decode("utf-8", "surrogatepass"))


def _visible(match: re.Match[str]) -> str:
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


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 | code >> 10:04x}\\u{0xDC00 | code & 0x3FF:04x}"
