"""How the sync side of the engine reaches the blocking store: directly. The async side has ``bridge_async``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from turnfold.ports.store import Store

P = ParamSpec("P")
T = TypeVar("T")


class Bridge:
    """Calls the store in the caller's thread."""

    __slots__ = ("commit", "store")

    def __init__(self, store: Store) -> None:
        """Bind the store; ``commit`` is the store's own method, without a wrapper on the hot path."""
        self.store = store
        self.commit = store.commit

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function."""
        return function(*args, **kwargs)

    def close(self) -> None:
        """Nothing of its own to let go of."""
