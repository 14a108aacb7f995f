"""The small Markdown reader: what it knows, that it loses nothing, and that its time is linear."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.pages import letters
from turnfold.formats.prose import CodeBlock, Heading, ListBlock, Paragraph, Quote, Rule, Table, parse
from turnfold.formats.spans import Break, Code, Emphasis, Link, Strong, inlines


def words(tree: Any) -> str:
    """Every text in a tree; an address that is its own text once."""
    if isinstance(tree, Link):
        return words(tree.content) + (tree.href if list(tree.content) != [tree.href] else "")
    if isinstance(tree, msgspec.Struct):
        return "".join(words(getattr(tree, name)) for name in tree.__struct_fields__)
    if isinstance(tree, str):
        return tree
    return "".join(words(one) for one in tree) if isinstance(tree, Iterable) else ""


def test_blocks() -> None:
    text = "# Top #\n\npara\nmore\n- a\n- b\n  - c\n\n> q\n\n```py\nx\n```\n***\n| h | i |\n|---|:-:|\n| 1 | `|` |\n"
    assert parse(text) == [
        Heading(1, ["Top"]),
        Paragraph(["para", Break(), "more"]),
        ListBlock([[Paragraph(["a"])], [Paragraph(["b"]), ListBlock([[Paragraph(["c"])]])]]),
        Quote([Paragraph(["q"])]),
        CodeBlock("x", "py"),
        Rule(),
        Table([["h"], ["i"]], [[["1"], [Code("|")]]]),
    ]


def test_a_table() -> None:
    assert parse("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 |\nafter") == [
        Table([["a"], ["b"]], [[["1"], ["2"]], [["3"], []]]),
        Paragraph(["after"]),
    ]


def test_an_ordered_list_keeps_its_first_number_and_code_inside_an_item() -> None:
    assert parse("3. a\n\n   ```\n   x\n   ```\n4. b") == [
        ListBlock([[Paragraph(["a"]), CodeBlock("x")], [Paragraph(["b"])]], 3),
    ]


def test_an_open_fence_goes_on_to_the_end() -> None:
    assert parse("~~~\n```\n# x") == [CodeBlock("```\n# x")]


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a `b` c", ["a ", Code("b"), " c"]),
        ("`` ` ``", [Code("`")]),
        ("**a** *b* __c__ _d_", [Strong(["a"]), " ", Emphasis(["b"]), " ", Strong(["c"]), " ", Emphasis(["d"])]),
        ("snake_case_name 2 * 3 * 4", ["snake_case_name 2 * 3 * 4"]),
        ("**a `*` b**", [Strong(["a ", Code("*"), " b"])]),
        ("\\*no\\*", ["*", "no", "*"]),
        ("[x](https://a.example/b_(c)).", [Link(["x"], "https://a.example/b_(c)"), "."]),
        ("[x](javascript:alert(1))", ["x", " (javascript:alert(1))"]),
        ("[x](src/a.py:3)", ["x", " (src/a.py:3)"]),
        ("![x](https://a.example/p.png)", [Link(["x"], "https://a.example/p.png")]),
        ("see https://a.example/x_y, (https://b.example)", ["see ", *[Link([u], u) for u in ["https://a.example/x_y"]], ", (",
         Link(["https://b.example"], "https://b.example"), ")"]),
        ("`open", ["`open"]),
        ("**open", ["**open"]),
        ("[open](", ["[open]("]),
    ],
)  # fmt: skip
def test_inlines(text: str, tree: list[Any]) -> None:
    assert inlines(text) == tree


@given(st.text(alphabet="ab\n `~*_[]()#>-+|:/\\!.=h", max_size=80))
def test_no_letter_is_lost(text: str) -> None:
    assert sorted(letters(words(parse(text)))) == sorted(letters(text))


@given(st.lists(st.sampled_from(["https://", "a.b", "[", "](", ")", "**", "_", "`", " ", "\n", "|", "|-|\n", "- ", "> ", "```"])))
def test_no_letter_is_lost_around_links_and_tables(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert sorted(letters(words(parse(text)))) == sorted(letters(text))


@pytest.mark.parametrize(
    "unit", ["*a ", "`", "[", "[a](", "**", "_a", "> ", "- ", "|", "|-", "\\", "https://", "![", "``` ", "1. ", "~", "a\n>", "`a``"]
)
def test_the_time_is_linear_in_any_text(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    begun = time.perf_counter()
    parse(text)
    assert time.perf_counter() - begun < 5  # the slowest takes half a second; quadratic time would take minutes
