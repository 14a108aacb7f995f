"""Pages and cursors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Page(Generic[T]):
    """Some items and where to go on. ``cursor`` is what ``after=``/``cursor=`` takes next, None at the end of a list.

    A page of events always has a cursor: the last seq that it has seen, so that reading on from it never misses and never repeats.
    """

    __slots__ = ("cursor", "indexed_through", "items")

    def __init__(self, items: list[T], cursor: Any = None, *, indexed_through: int | None = None) -> None:
        """Keep items, cursor, and for searches the number of sessions whose index still lags (0: all there)."""
        self.items = items
        self.cursor = cursor
        self.indexed_through = indexed_through

    def __iter__(self) -> Iterator[T]:
        """Iterate over the items of this page."""
        return iter(self.items)

    def __len__(self) -> int:
        """The number of items on this page."""
        return len(self.items)

    def __getitem__(self, index: int) -> T:
        """The item at that place of the page."""
        return self.items[index]

    def __repr__(self) -> str:
        """Short, without the items' content."""
        return f"Page({len(self.items)} items, cursor={self.cursor!r})"
