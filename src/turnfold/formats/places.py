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


SMALL_FILE_BYTES_MAX = 64 * 1024
"""A larger file beside a session's is not kept with it."""


def small_text(path: Path) -> str | None:
    """Return the text of a small file, or None where there is none that could be kept."""
    try:
        with path.open("rb") as file:
            data = file.read(SMALL_FILE_BYTES_MAX + 1)
        return data.decode() if len(data) <= SMALL_FILE_BYTES_MAX else None
    except (OSError, UnicodeDecodeError):
        return None
