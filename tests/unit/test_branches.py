"""Views of branches against a definition by recursion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnfold.core.branches import Segment, in_view, owner_of, segments
from turnfold.errors import NotFound
from turnfold.model.session import Branch

TABLE = {
    "a": Branch("a", "main", 3),
    "b": Branch("b", "a", 6),
    "early": Branch("early", "b", 2),
    "zero": Branch("zero", "main", 0),
}


def sees(branches: dict[str, Branch], name: str, branch: str, seq: int) -> bool:
    """The definition: a branch sees its own events after the fork, and what its parent sees up to the fork."""
    if name == "main":
        return branch == "main"
    own = branches[name]
    if seq > own.fork_seq:
        return branch == name
    return sees(branches, own.parent or "main", branch, seq)


def test_segments() -> None:
    assert segments(TABLE, "main") == (Segment("main", 0, None),)
    assert segments(TABLE, "a") == (Segment("main", 0, 3), Segment("a", 3, None))
    assert segments(TABLE, "b") == (Segment("main", 0, 3), Segment("a", 3, 6), Segment("b", 6, None))


def test_fork_before_the_parents_start_skips_the_parent() -> None:
    assert segments(TABLE, "early") == (Segment("main", 0, 2), Segment("early", 2, None))
    assert segments(TABLE, "zero") == (Segment("zero", 0, None),)


def test_owner_of() -> None:
    assert [owner_of(TABLE, "b", seq) for seq in (1, 3, 4, 6, 7, 99)] == ["main", "main", "a", "a", "b", "b"]


def test_unknown() -> None:
    with pytest.raises(NotFound):
        segments(TABLE, "nowhere")


@given(st.data())
def test_view_is_the_definition(data: st.DataObject) -> None:
    branches: dict[str, Branch] = {}
    for index in range(data.draw(st.integers(0, 6))):
        parent = data.draw(st.sampled_from(["main", *branches]))
        branches[f"b{index}"] = Branch(f"b{index}", parent, data.draw(st.integers(0, 12)))
    name = data.draw(st.sampled_from(["main", *branches]))
    view = segments(branches, name)
    for branch in ("main", *branches):
        for seq in range(1, 15):
            assert in_view(view, branch, seq) == sees(branches, name, branch, seq)
    assert [part.after for part in view] == sorted(part.after for part in view)
