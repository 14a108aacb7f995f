"""What a term is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnfold.core.tokens import REPLACED_MAX, normalise, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t.,;!?", []),
        ("Hello, World", ["hello", "world"]),
        ("foo_bar-baz.qux/42", ["foo_bar", "baz", "qux", "42"]),
        ("don't", ["don", "t"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("ＡＢＣ １２", ["abc", "12"]),
        ("e\u0301te\u0301 été", ["été", "été"]),
        ("検索エンジン", ["検", "索", "エ", "ン", "ジ", "ン"]),
        ("abc検索def", ["abc", "検", "索", "def"]),
        ("か\u3099", ["が"]),
        ("한국어", ["한", "국", "어"]),
        ("นี้", ["นี้"]),
        ("हिन्दी", ["हिन्दी"]),
        ("שָׁלוֹם", [unicodedata.normalize("NFKC", "שָׁלוֹם")]),
        ("ﬁn ½", ["fin", "1", "2"]),
        ("a\x00b", ["a", "b"]),
        ("🧵 thread", ["thread"]),
        ("\u202eabc", ["abc"]),
        ("x²", ["x2"]),
        ("a½b", ["a1", "2b"]),
        ("done ✅ – see “notes”…", ["done", "see", "notes"]),
        ("⚠\ufe0f careful", ["\ufe0f", "careful"]),
        ("検\ufe0f", ["検\ufe0f"]),
        ("ㄱㅏ", ["가"]),
        ("lone \ud800 surrogate", ["lone", "surrogate"]),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@given(st.text())
def test_terms_hold_no_separators_and_are_stable(text: str) -> None:
    found = terms(text)
    assert all(term and not term.isspace() and " " not in term for term in found)
    assert terms(" ".join(found)) == found


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_short_way_for_ascii_is_the_long_way(text: str) -> None:
    assert terms(text) == terms(text + " ü")[:-1]


@given(st.text())
def test_normalising_twice_changes_nothing_that_is_searched(text: str) -> None:
    assert terms(normalise(text)) == terms(text)


@pytest.mark.parametrize("text", ["ΌΣΟΣ", "Ǆ", "ÅNGSTRÖM", "Ⅷ", "ᾳ", "ŒUVRE", "ﬃ"])
def test_case_does_not_matter(text: str) -> None:
    assert terms(text.lower()) == terms(text.upper()) == terms(text)


MANY = "".join(map(chr, range(0x400, 0x400 + 2 * REPLACED_MAX)))


@given(st.text(st.sampled_from("aZ9_ -.é²½…–✅検がㄱ가กｱﾞ\u0301\ufe0f\u3099İßΣ")))
def test_a_text_is_split_alike_whatever_else_stands_in_it(text: str) -> None:
    """Many different characters elsewhere send it the long way."""
    assert terms(f"{text} | {MANY}") == terms(text) + terms(MANY)
