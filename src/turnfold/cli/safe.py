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

from turnfold.model.visible import INVISIBLE, visible

_JSON_SUSPECT = re.compile(f"[\x7f-\x9f\ud800-\udfff{INVISIBLE}]")
_FOLD = re.compile(r"[ \t]*[\n\t]\s*")


def safe(text: object) -> str:
    """Return text that a terminal can only show. Newlines and tabs stay; a CR LF becomes a newline.

    Args:
        text: Any text; other objects are taken by their ``str``.
    """
    return visible(str(text))


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


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 | code >> 10:04x}\\u{0xDC00 | code & 0x3FF:04x}"
