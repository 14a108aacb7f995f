"""What a word is, for every search: the terms of a text, the same on each store.

Text is normalised (case-folded, NFKC), then split into runs of letters, digits, marks and underscores. Scripts that are written without
spaces (Han, kana, Hangul, Thai, Lao, Khmer, Myanmar) give one term per character with its marks, so that any part of a sentence can be
found; terms that stand side by side in the query must only be found side by side to rank first. No stemming, no stop words: a
search for an identifier finds it.

Theory of operation. Nearly every long text is ASCII, or ASCII with a few other characters (dashes, ticks, arrows) that mean the same whatever
stands beside them. Such a text is split by one pass over its bytes with a table, after each of those characters was replaced by what it comes
to alone: 1 to 3 ns per character, where normalising and matching the whole text costs 140 (measured on 10 MB of real sessions). Only text
with marks, or with many different characters, goes that long way.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

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
_unspaced = re.compile(f"[{_UNSPACED}]")
_jamo = re.compile("[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]")
_syllable = re.compile("[\uac00-\ud7a3]")
_SELECTORS: Final = frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Variation selectors: marks, as Unicode has it, but they compose with nothing."""
_ASCII: Final = bytes(range(128))
_SPLIT: Final = bytes(byte if byte > 127 or chr(byte).isalnum() or byte == ord("_") else ord(" ") for byte in range(256)).lower()
"""For each byte of a text in UTF-8 the byte of its terms: letters folded, digits and what is beyond ASCII as they are, the rest a space."""
_SPLIT_AT_OTHERS: Final = _SPLIT[:128].ljust(256)
"""The same, and a space for what is beyond ASCII."""
REPLACED_MAX: Final = 64
"""Different characters beyond ASCII up to which each is replaced by itself."""


def normalise(text: str) -> str:
    """Fold case and compatibility forms, so that what looks the same is found (Unicode 3.13, D146, composed)."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", text).casefold()).casefold()
    return unicodedata.normalize("NFKC", folded)


def terms(text: str) -> list[str]:
    """Return the terms of a text in order, with repetitions."""
    return term_text(text).split()


def term_text(text: str) -> str:
    """Return the terms of a text in order, with spaces between them (one or more)."""
    data = text.encode(errors="replace")
    if len(data) != len(text):
        others = set(data.translate(None, _ASCII).decode())
        plain = {char: _alone(char) for char in others} if len(others) <= REPLACED_MAX else {}
        if not plain or None in plain.values() or (others & _SELECTORS and _unspaced.search("".join(map(str, plain.values())))):
            return " ".join(_long_way(text))
        if "".join(map(str, plain.values())).isspace():  # dashes, ticks, arrows: most texts have nothing else
            return data.translate(_SPLIT_AT_OTHERS).decode()
        for char, alone in plain.items():
            if alone != char:
                text = text.replace(char, alone or "")
        data = text.encode(errors="replace")
    return data.translate(_SPLIT).decode()


@lru_cache(maxsize=4096)
def _alone(char: str) -> str | None:
    """Return what a character beyond ASCII comes to in a text's terms; None where that depends on the characters beside it."""
    if char in _SELECTORS:
        return char
    apart = unicodedata.normalize("NFKD", char)
    if _is_mark(apart[0]) or (_jamo.search(apart) and not _syllable.match(char)):
        return None
    out = "".join(found if _unspaced.match(found) is None else f" {found} " for found in _split(normalise(char), " "))
    return out or " "


def _split(text: str, between: str) -> list[str]:
    """Return the terms of a normalised text, and ``between`` for whatever lies between two of them."""
    found: list[str] = []
    end = 0
    for match in _pattern("".join(sorted(filter(_is_mark, set(text))))).finditer(text):
        found += ([between] if match.start() > end else []) + [match[0]]
        end = match.end()
    return found + ([between] if end < len(text) else [])


def _long_way(text: str) -> list[str]:
    text = normalise(text)
    return _pattern("".join(sorted(filter(_is_mark, set(text))))).findall(text)


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M"


@lru_cache(maxsize=64)
def _pattern(marks: str) -> re.Pattern[str]:
    """Return the word pattern for texts with those marks: all that Unicode has would take 60 ms to find out."""
    kept = "".join(f"\\U{ord(mark):08x}" for mark in marks)
    one = f"(?:(?=[{_UNSPACED}])\\w{f'[{kept}]*' if kept else ''})"
    word = f"(?:(?![{_UNSPACED}])[\\w{kept}])+"
    return re.compile(f"{one}|{word}")
