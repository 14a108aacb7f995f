"""A line that was cut is joined again byte for byte, whatever it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnfold.codec import residual
from turnfold.codec.residual import CUT_LINE_BYTES_MIN, cut, join, part_ref, whole
from turnfold.errors import IntegrityError

LONG = 'a long enough text to be worth a reference, with "quotes", \\ and \u00e9'
HUGE = "x" * 20_000 + "\n" + "y" * 500


@pytest.fixture(scope="module", autouse=True)
def _short_lines_are_cut_too() -> Iterator[None]:
    """Generated lines are short: what is kept whole would prove nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residual, "CUT_LINE_BYTES_MIN", 0)
        yield


def round_trip(line: bytes, projection: object) -> bytes:
    source, parts = cut(line, projection)
    kept = dict(parts)
    assert all(part_ref(content) == ref for ref, content in parts)
    assert join(source, msgspec.json.decode(msgspec.json.encode(projection)), kept.__getitem__) == line
    return source


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.text(min_size=24, max_size=60),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=30), inner, max_size=4),
    max_leaves=12,
)


@given(value=json_values, ascii_only=st.booleans(), spaced=st.booleans(), end=st.sampled_from([b"", b"\n", b"\r\n"]))
def test_any_json_line(*, value: object, ascii_only: bool, spaced: bool, end: bytes) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, separators=None if spaced else (",", ":"))
    round_trip(text.encode() + end, value)


@given(st.lists(json_values, max_size=3), json_values)
def test_a_projection_of_part_of_the_line(values: list[object], other: object) -> None:
    line = json.dumps({"kept": values, "more": other}).encode() + b"\n"
    round_trip(line, {"projected": [*values, "a text that is in the projection alone"]})


@given(st.binary(max_size=200), json_values)
def test_any_bytes(line: bytes, projection: object) -> None:
    round_trip(line, projection)


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"\r\n", b"not json\r\n", b'{"a":1}', b'{"a":"\x01"}\n', b"\x010\x02\n", b'{"a": "\\u0001"}\r', b"\xff\xfe\n"],
)
def test_odd_lines(line: bytes) -> None:
    round_trip(line, {"a": LONG})
    assert join(whole(line), None, dict[str, bytes]().__getitem__) == line


def test_short_lines_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residual, "CUT_LINE_BYTES_MIN", CUT_LINE_BYTES_MIN)
    line = json.dumps({"text": LONG, "more": "x"}, ensure_ascii=False).encode() + b"\n"
    assert round_trip(line, {"text": LONG}) == whole(line)
    long_line = json.dumps({"text": LONG, "more": "x" * CUT_LINE_BYTES_MIN}, ensure_ascii=False).encode() + b"\n"
    assert round_trip(long_line, {"text": LONG}) != whole(long_line)


def test_strings_that_begin_alike_are_told_apart() -> None:
    texts = ["the same beginning of a long text, then " + end for end in ("this", "that", "this and more")]
    line = json.dumps({"a": texts[0] + "?", "b": texts}).encode() + b"\n"
    assert round_trip(line, texts).count(b"\x01") == 3


def test_long_strings_are_cut_out() -> None:
    line = json.dumps({"type": "user", "text": LONG, "again": LONG}, ensure_ascii=False).encode() + b"\n"
    source = round_trip(line, {"content": LONG})
    assert source.count(b"\x01") == 2
    assert len(source) < len(line) - len(LONG)


def test_differently_escaped_strings_stay() -> None:
    line = b'{"text":"\\u0061 long enough text to be worth a reference, plainly"}\n'
    assert b"\x01" not in round_trip(line, {"content": "a long enough text to be worth a reference, plainly"})


def test_one_string_within_another() -> None:
    inner = "the inner text, which is long enough to be cut"
    outer = f"before {inner} after"
    round_trip(json.dumps([outer, inner, outer]).encode(), [inner, outer])


def test_huge_strings_go_out_of_line_once() -> None:
    line = json.dumps({"image": HUGE, "twice": HUGE, "text": LONG}).encode() + b"\n"
    source, parts = cut(line, {"content": LONG})
    assert len(parts) == 1
    assert len(source) < 400
    assert join(source, {"content": LONG}, dict(parts).__getitem__) == line


def test_unknown_form() -> None:
    with pytest.raises(IntegrityError):
        join(b"?x", None, dict[str, bytes]().__getitem__)
