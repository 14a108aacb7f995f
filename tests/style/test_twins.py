"""The sync and the async side have the same names with the same arguments."""

from __future__ import annotations

import inspect

import pytest

import turnfold as tf

pytestmark = pytest.mark.xdist_group("style")  # the tree is parsed once in a process


def public(kind: type) -> dict[str, object]:
    return {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(("sync", "asynchronous"), [(tf.Client, tf.AsyncClient), (tf.Session, tf.AsyncSession)])
def test_same_names_and_arguments(sync: type, asynchronous: type) -> None:
    ours, theirs = public(sync), public(asynchronous)
    assert ours.keys() == theirs.keys()
    for name, method in ours.items():
        if callable(method):
            mine, other = inspect.signature(method), inspect.signature(theirs[name])  # type: ignore[arg-type]
            assert list(mine.parameters) == list(other.parameters), name
            assert not inspect.iscoroutinefunction(method), name


def test_connect_and_connect_async_take_the_same() -> None:
    assert inspect.signature(tf.connect).parameters == inspect.signature(tf.connect_async).parameters
