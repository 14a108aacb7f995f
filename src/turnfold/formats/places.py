"""Where other tools' files are, and looking for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


class OneFile:
    """The part of ``formats.base.DocumentFormat`` that is the same where a file is all there is, and lies where its application says."""

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield nothing: there is no usual place."""
        return iter(())

    def companions(self, path: Path) -> list[Path]:
        """Return nothing: all of a session is in the file."""
        return []

    def covered(self, path: Path) -> Iterable[Path]:
        """Return nothing: no other file is read with it."""
        return ()


def root_of(environ: Mapping[str, str], variable: str, usual: Path) -> Path:
    """Return the folder that a variable of the environment names, the usual one where it is empty or not set."""
    return Path(environ[variable]) if environ.get(variable) else usual


def data_root(home: Path, environ: dict[str, str]) -> Path:
    """Return the folder of applications' data, as XDG has it."""
    return root_of(environ, "XDG_DATA_HOME", home / ".local" / "share")


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
