"""Imported text is hostile: what is printed cannot act on a terminal, hide or pretend."""

import json
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnfold.cli.safe import safe, safe_json, safe_line, shorten

NASTY = {
    "osc 8 hidden link": ("see \x1b]8;;https://evil.example/\x1b\\the docs\x1b]8;;\x1b\\ now", "evil.example"),
    "osc 52 clipboard": ("\x1b]52;c;cm0gLXJmIC8=\x07done", "done"),
    "osc 0 title": ("\x1b]0;pwned\x07", "pwned"),
    "c1 osc": ("\x9d52;c;AAAA\x9c", "52;c;AAAA"),
    "csi colour": ("a\x1b[31;1mred\x1b[0mb", "aredb"),
    "csi cursor up and erase": ("ok\x1b[1A\x1b[2Kfake", "okfake"),
    "c1 csi": ("a\x9b31mred\x9b0m", "ared"),
    "device status report": ("\x1b[6n\x1b[c", ""),
    "dcs": ('\x1bP$q"p\x1b\\x', "x"),
    "lone esc at the end": ("text\x1b", "text"),
    "reset": ("\x1bcgone", "gone"),
    "bell, backspace, vertical tab": ("a\x07b\x08\x08c\x0bd\x0ce", "a"),
    "carriage return over a line": ("rm -rf ~\rls       ", "rm -rf ~"),
    "del": ("a\x7fb", "a"),
    "right-to-left override": ("photo_\u202egnp.exe", "photo_"),
    "isolates": ("\u2066a\u2069\u2067b\u2068", "a"),
    "zero width space": ("pass\u200bword", "pass"),
    "bom inside": ("a\ufeffb", "a"),
    "tag characters": ("hello\U000e0041\U000e0042", "hello"),
    "line separator": ("a\u2028b", "a"),
    "hangul filler": ("\u3164\u115f", ""),
    "soft hyphen": ("a\u00adb", "a"),
    "lone surrogate": ("a\ud83db", "a"),
    "nested csi": ("\x1b\x1b[31m[31mx", "x"),
    "csi that never ends": ("\x1b[" + "1;" * 200, "1;"),
    "nul": ("a\x00b", "a"),
}
VISIBLE_CONTROLS = {"\n", "\t"}


def acts(char: str) -> bool:
    """Whether a character is one that must never reach a terminal."""
    return char not in VISIBLE_CONTROLS and (
        unicodedata.category(char) in {"Cc", "Cs"} or char in "\u2028\u2029\u202e\u202d\u2066\u2067\u2069"
    )


@pytest.mark.parametrize(("text", "kept"), NASTY.values(), ids=NASTY.keys())
def test_nothing_of_a_nasty_text_acts_and_what_it_says_stays(text: str, kept: str) -> None:
    out = safe(text)
    assert not [char for char in out if acts(char)]
    assert kept in out
    out.encode("utf-8")


def test_what_hides_is_shown_by_name() -> None:
    assert safe("a\x1b]52;c;AA\x07") == "a␛]52;c;AA␇"
    assert safe("x\u202ey\u200bz\x85\x7f\r") == "x⟨U+202E⟩y⟨U+200B⟩z⟨U+0085⟩␡␍"


def test_ordinary_text_is_left_alone() -> None:
    text = "Ünï 漢字 🎉 été – „quotes“ → ✓ [bold]not markup[/bold] :smile:\n\tindented"
    assert safe(text) == text


def test_joiners_stay_where_writing_needs_them_and_nowhere_else() -> None:
    assert safe("👩\u200d💻 می\u200cخواهم") == "👩\u200d💻 می\u200cخواهم"
    assert safe("pay\u200dpal") == "pay⟨U+200D⟩pal"
    assert "\u200d" not in safe("é\u200d\u200d\u200dé")


def test_windows_line_ends_become_newlines() -> None:
    assert safe("a\r\nb") == "a\nb"


@given(st.text())
def test_no_text_at_all_gets_a_control_through(text: str) -> None:
    for made in (safe(text), safe_line(text), shorten(text, 20)):
        assert not [char for char in made if acts(char)]


@given(st.text())
def test_safe_is_settled_after_one_pass(text: str) -> None:
    once = safe(text)
    assert safe(once) == once


@given(
    st.recursive(st.none() | st.text() | st.integers(-(2**53), 2**53), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_json_keeps_the_value_and_shows_no_control(value: object) -> None:
    text = safe_json(msgspec.json.encode(value))
    assert json.loads(text) == value
    assert not [char for char in text if acts(char)]


def test_json_of_nasty_texts_keeps_each_character() -> None:
    values = [text for text, _ in NASTY.values() if "\ud83d" not in text]
    text = safe_json(msgspec.json.encode(values))
    assert json.loads(text) == values
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\u202e" not in text


def test_one_line_and_short() -> None:
    assert safe_line("  a\n\n   b\tc ") == "a b c"
    assert shorten("a" * 30, 10) == "aaaaaaaaa…"
    assert shorten("\x1b[31m" * 5_000 + "x", 10) == ""
    assert len(shorten("\u202e" * 50, 20)) == 20
