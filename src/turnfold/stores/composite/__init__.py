"""Sessions in one store, their large parts in another."""

from turnfold.stores.composite.store import CompositeStore

__all__ = ["CompositeStore"]
