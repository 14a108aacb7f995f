"""A small sample to try things with: one session as Claude Code writes it and one as Codex does. Nobody's real work is in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

__all__ = ["folders"]


@contextmanager
def folders() -> Iterator[list[Path]]:
    """Yield the sample's folders, one per tool; copied out first where the package is not plain files (a zip)."""
    root = resources.files(__name__)
    tools = sorted((item for item in root.iterdir() if item.is_dir() and not item.name.startswith("_")), key=lambda item: item.name)
    if isinstance(root, Path):
        yield [root / item.name for item in tools]
        return
    with tempfile.TemporaryDirectory(prefix="turnfold-sample-") as place:
        yield [_copy(item, Path(place) / item.name) for item in tools]


def _copy(source: Traversable, target: Path) -> Path:
    if source.is_dir():
        target.mkdir()
        for item in source.iterdir():
            _copy(item, target / item.name)
    else:
        target.write_bytes(source.read_bytes())
    return target
