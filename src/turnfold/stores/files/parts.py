"""Out-of-line payloads of one session: files named by the digits of their references."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from turnfold.codec.residual import is_part, part_digits
from turnfold.errors import NotFound, StoreCorrupt
from turnfold.stores._disk import sync_directory, write_atomically


class PartFolder:
    """The parts of one session. Writing needs the session's OS lock."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        """Name the folder; it is made with the first part."""
        self._folder = folder
        self._durable = durable

    def put(self, ref: str, content: bytes) -> None:
        """Keep a part, once; durable when this returns."""
        path = self._path(ref)
        if path.exists():
            return
        if not self._folder.exists():
            self._folder.mkdir()
            if self._durable:
                sync_directory(self._folder.parent)
        write_atomically(path, content, durable=self._durable)

    def get(self, ref: str) -> bytes:
        """Return a part.

        Raises:
            NotFound: There is none of that name.
            StoreCorrupt: Its content is not what its name says.
        """
        path = self._path(ref)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"there is no part {ref}", ref=ref) from error
        if not is_part(ref, content):
            raise StoreCorrupt(f"{path} is damaged: its content has another hash", path=str(path), ref=ref)
        return content

    def keep(self, refs: Collection[str]) -> None:
        """Erase all other parts: redacted ones, and what interrupted writers left."""
        if not self._folder.exists():
            return
        names = {self._path(ref).name for ref in refs}
        for path in self._folder.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)
        if self._durable:
            sync_directory(self._folder)

    def remove_all(self) -> None:
        """Erase all parts."""
        if self._folder.exists():
            shutil.rmtree(self._folder)

    def _path(self, ref: str) -> Path:
        return self._folder / part_digits(ref)
