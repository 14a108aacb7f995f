"""Looking for other tools' files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path


def oldest_first(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files among the paths by the time of their last change, those of the same moment by name."""
    found: list[tuple[float, str, Path]] = []
    for path in paths:
        try:
            if path.is_file():
                found.append((path.stat().st_mtime, str(path), path))
        except OSError:
            continue  # gone between the listing and the look
    yield from (path for _, _, path in sorted(found))
