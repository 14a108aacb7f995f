"""What the formats of session libraries have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnfold.formats.base import DocumentFormat
from turnfold.formats.registry import SNIFF_BYTES, Formats
from turnfold.formats.weave import weave

NAMES = ["go-session", "lexigram", "session-linker", "strands", "strands-snapshot", "usf"]


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_document_format_that_knows_no_other_tools_files(shared_dir: Path, name: str) -> None:
    fmt = Formats().get(name)
    assert isinstance(fmt, DocumentFormat)
    for path in (shared_dir / "data").rglob("*.json*"):
        with path.open("rb") as file:
            head = file.read(SNIFF_BYTES)
        assert fmt.sniff(path, head) == 0.0, path
    for head in (b"", b"{", b"[]", b"{}", b"null", b"\xff\xfe", b"SQLite format 3\x00", b'{"session_id": "x"}', b"[" * 10_000):
        assert fmt.sniff(Path("session.json"), head) == 0.0


@pytest.mark.parametrize(
    ("newest", "older", "history", "window_start", "placed"),
    [
        ("abcd", ["ab"], "abcd", 0, [(2, "")]),
        ("abcd", ["abcd"], "abcd", 0, [(4, "")]),
        ("cdef", ["abcd"], "abcdef", 2, [(4, "")]),
        ("efgh", ["abcd", "cdef"], "abcdefgh", 4, [(4, ""), (6, "")]),
        ("abxy", ["abcd"], "abxy", 0, [(2, "cd")]),
        ("ab", ["abcd"], "ab", 0, [(2, "cd")]),
        ("cdxy", ["abcde"], "abcdxy", 2, [(4, "e")]),
        ("ef", ["ab"], "abef", 2, [(2, "")]),
        ("ab", [""], "ab", 0, [(0, "")]),
        ("", ["ab"], "ab", 2, [(2, "")]),
        ("bc", ["xb"], "xbc", 1, [(2, "")]),
        ("abc", ["xcb"], "abc", 0, [(0, "xcb")]),
        ("", [], "", 0, []),
    ],
)
def test_copies_are_woven_into_one_history(
    newest: str, older: list[str], history: str, window_start: int, placed: list[tuple[int, str]]
) -> None:
    woven = weave(list(newest), [list(copy) for copy in older], str)
    assert "".join(woven.messages) == history
    assert woven.window_start == window_start
    assert [(one.through, "".join(one.rest)) for one in woven.placed] == placed
    assert not any(one.changed for one in woven.placed)


def test_a_message_that_was_changed_since_keeps_its_old_content() -> None:
    woven = weave([("a", "new"), ("b", "x")], [[("a", "old"), ("b", "x")]], lambda message: str(message[0]))
    assert woven.messages == [("a", "new"), ("b", "x")]
    assert woven.placed[0].changed == {0: ("a", "old")}
