"""Artifacts as files of a directory: each written beside its place, synced, and moved there, so that it is there whole or not at all.

A file that a killed writer left beside its place (``*.tmp``) is no artifact; it goes with the next list that is old enough to know.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from turnfold.artifacts._layout import HEADER_BYTES_MAX, folder_of, name_of, pack, path_of, unpack
from turnfold.errors import NotFound, StoreClosed, StoreUnavailable, TurnfoldError
from turnfold.ids import now_us
from turnfold.model.artifact import Artifact, ArtifactName
from turnfold.model.session import SessionKey
from turnfold.ports.store import DURABLE, DURABLE_ON_ACK, MULTI_PROCESS

TEMPORARY_SUFFIX: Final = ".tmp"
TEMPORARY_AGE_S: Final = 3_600.0
"""A half-written file that is older belongs to nobody any more."""


class FolderArtifacts:
    """An artifact store in a directory. Thread-safe and safe for several processes: each file is replaced as a whole."""

    capabilities = frozenset({DURABLE, DURABLE_ON_ACK, MULTI_PROCESS})

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Open or make it.

        Raises:
            StoreUnavailable: It cannot be made.
        """
        self._root = Path(os.path.abspath(directory))  # noqa: PTH100 - resolve() would follow links, which messages should not
        self.url = f"files:///{quote(str(self._root))}"
        self._closed = False
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._error(error) from error

    def put(self, name: ArtifactName, content: bytes) -> None:
        """See ``ports.artifacts``."""
        path = self._path(name)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}{TEMPORARY_SUFFIX}")
        try:
            self._make(path.parent)
            with temporary.open("wb") as file:
                file.write(pack(name, content))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise self._error(error) from error

    def _make(self, folder: Path) -> None:
        """Make a folder durably, with the one above it."""
        for path in (folder.parent, folder):
            if not path.is_dir():
                path.mkdir(mode=0o700, exist_ok=True)
                _sync(path.parent)

    def get(self, name: ArtifactName) -> bytes:
        """See ``ports.artifacts``."""
        try:
            data = self._path(name).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"there is no artifact {name.ref} of session {name.session_id!r}", ref=name.ref) from error
        except OSError as error:
            raise self._error(error) from error
        return unpack(name, data)

    def has(self, name: ArtifactName) -> bool:
        """See ``ports.artifacts``."""
        return self._path(name).is_file()

    def delete(self, name: ArtifactName) -> None:
        """See ``ports.artifacts``."""
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                _sync(path.parent)
        except OSError as error:
            raise self._error(error) from error

    def list(self, key: SessionKey | None = None) -> Iterator[Artifact]:
        """See ``ports.artifacts``."""
        self._check_open()
        try:
            folders = [self._root / folder_of(key)] if key is not None else sorted(self._root.glob("??/*"))
            for folder in folders:
                for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                    found = self._look(path)
                    if found is not None:
                        yield found
        except OSError as error:
            raise self._error(error) from error

    def _look(self, path: Path) -> Artifact | None:
        """One file of a list; None for what is no artifact, or is gone."""
        try:
            stat = path.stat()
            if path.name.endswith(TEMPORARY_SUFFIX):
                if now_us() - stat.st_mtime_ns // 1_000 > TEMPORARY_AGE_S * 1_000_000:
                    path.unlink()
                return None
            with path.open("rb") as file:
                name = name_of(file.readline(HEADER_BYTES_MAX))
        except FileNotFoundError:
            return None
        if name is None or path != self._path(name):
            return None
        return Artifact(name, stat.st_size, stat.st_mtime_ns // 1_000)

    def close(self) -> None:
        """See ``ports.artifacts``."""
        self._closed = True

    def _path(self, name: ArtifactName) -> Path:
        self._check_open()
        return self._root / path_of(name)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed(f"the artifact store {self.url} is closed")

    def _error(self, error: OSError) -> TurnfoldError:
        where = error.filename or self._root
        return StoreUnavailable(
            f"cannot use the artifacts at {where}: {error.strerror or error}",
            hint="check that the directory is there, can be written to, and has space",
            path=str(where),
        )


def _sync(folder: Path) -> None:
    """Make what was created, moved or removed in a directory durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
