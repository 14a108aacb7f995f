"""Ranks and texts of hits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnfold.core.search import bucket_of, index_rows, searchable_text
from turnfold.model.event import NewEvent
from turnfold.model.message import assistant, user
from turnfold.testing.contract import build


@pytest.mark.parametrize(
    ("wanted", "text", "bucket"),
    [
        ("", "a b", None),
        ("a", "a b", 0),
        ("a b", "x a b y", 0),
        ("b a", "a b", 1),
        ("a b", "a x b", 1),
        ("a c", "a b", None),
        ("a a", "a b a", 1),
        ("a a", "a a", 0),
        ("a b", "", None),
    ],
)
def test_buckets(wanted: str, text: str, bucket: int | None) -> None:
    assert bucket_of(wanted.split(), text.split()) == bucket


@given(st.lists(st.sampled_from("abc"), max_size=8), st.integers(0, 8), st.integers(1, 4))
def test_every_stretch_of_a_text_is_a_phrase_of_it(text: list[str], at: int, size: int) -> None:
    wanted = text[at : at + size]
    assert bucket_of(wanted, text) == (0 if wanted else None)


def test_an_unknown_part_type_is_searched_and_structure_is_not() -> None:
    raw = b'{"role":"user","parts":[{"type":"hologram","caption":"floating","depth":{"metres":3}}]}'
    text = searchable_text(build.event(NewEvent(type="message", data=raw)))
    assert text.split() == ["floating", "3"]


def test_redacted_events_have_no_row() -> None:
    event = build.event("word")
    assert index_rows([event])
    assert not index_rows([build.replace(event, redacted=True)])


def test_rows_only_of_what_can_be_found() -> None:
    events = [build.event(user("one two")), build.event(assistant("!")), build.event(NewEvent(type="note", data={"text": "x"}))]
    assert [(row.seq, row.terms) for row in index_rows(events)] == [(0, "one two")]
