"""``session.state["step"] = 3``: the mapping face of the sync twin. The async twin has the methods alone, since an item access cannot wait."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, MutableMapping
from typing import Any


class AsyncStateMapping:
    """Nothing: ``await state.get(…)`` and its sisters are all there is."""


class StateMapping(MutableMapping[str, Any]):
    """A mutable mapping over the methods of the state."""

    @abstractmethod
    def all(self) -> dict[str, Any]:
        """Return every key and value."""

    @abstractmethod
    def set(self, values: dict[str, Any], *, removed: tuple[str, ...] = ()) -> None:
        """Set and remove keys in one commit."""

    def __getitem__(self, key: str) -> Any:
        return self.all()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.set({key: value})

    def __delitem__(self, key: str) -> None:
        if key not in self.all():
            raise KeyError(key)
        self.set({}, removed=(key,))

    def __iter__(self) -> Iterator[str]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self.all())
