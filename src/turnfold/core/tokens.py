"""What a word is, for every search: the terms of a text, the same on each store.

Text is normalised (case-folded, NFKC), then split into runs of letters, digits, marks and underscores. Scripts that are written without
spaces (Han, kana, Hangul, Thai, Lao, Khmer, Myanmar) give one term per character with its marks, so that any part of a sentence can be
found; terms that stand side by side in the query must only be found side by side to rank first. No stemming, no stop words: a
search for an identifier finds it.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

_ascii_word = re.compile(r"[a-z0-9_]+")
_UNSPACED = (
    "\u0e00-\u0e7f"  # Thai
    "\u0e80-\u0eff"  # Lao
    "\u1000-\u109f"  # Myanmar
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # iteration marks, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\uac00-\ud7af"  # Hangul syllables
    "\U00020000-\U0003ffff"  # Han extensions
)


@cache
def _pattern() -> re.Pattern[str]:
    """Build the word pattern on first use: finding the marks costs some 20 ms, and ASCII text does without."""
    marks = _ranges([point for point in range(0x300, min(0xE0200, sys.maxunicode)) if unicodedata.category(chr(point))[0] == "M"])
    one = f"(?:(?=[{_UNSPACED}])\\w[{marks}]*)"
    word = f"(?:(?![{_UNSPACED}])[\\w{marks}])+"
    return re.compile(f"{one}|{word}")


def _ranges(points: list[int]) -> str:
    """Write code points as the inside of a character class."""
    out: list[str] = []
    start = last = points[0]
    for point in [*points[1:], -1]:
        if point != last + 1:
            out.append(f"\\U{start:08x}-\\U{last:08x}")
            start = point
        last = point
    return "".join(out)


def normalise(text: str) -> str:
    """Fold case and compatibility forms, so that what looks the same is found (Unicode 3.13, D146, composed)."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", text).casefold()).casefold()
    return unicodedata.normalize("NFKC", folded)


def terms(text: str) -> list[str]:
    """Return the terms of a text in order, with repetitions."""
    if text.isascii():
        return _ascii_word.findall(text.lower())
    return _pattern().findall(normalise(text))
