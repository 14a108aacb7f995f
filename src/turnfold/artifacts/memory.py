"""Artifacts in this process's memory: for tests and short-lived processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnfold.artifacts._layout import hex_of, pack, unpack
from turnfold.errors import NotFound, StoreClosed
from turnfold.ids import now_us
from turnfold.model.artifact import Artifact, ArtifactName
from turnfold.model.session import SessionKey
from turnfold.ports.store import Clock

_NO_CAPABILITIES: Final[frozenset[str]] = frozenset()


class MemoryArtifacts:
    """An artifact store that is gone with the process. Thread-safe: each operation is one step of a dict."""

    capabilities = _NO_CAPABILITIES

    def __init__(self, url: str = "memory://", *, clock: Clock = now_us) -> None:
        """Make an empty one."""
        self.url = url
        self._clock = clock
        self._kept: dict[ArtifactName, tuple[bytes, int]] | None = {}

    @property
    def _open(self) -> dict[ArtifactName, tuple[bytes, int]]:
        if self._kept is None:
            raise StoreClosed(f"the artifact store {self.url} is closed")
        return self._kept

    def put(self, name: ArtifactName, content: bytes) -> None:
        """See ``ports.artifacts``."""
        hex_of(name.ref)
        self._open[name] = (pack(name, content), self._clock())

    def get(self, name: ArtifactName) -> bytes:
        """See ``ports.artifacts``."""
        kept = self._open.get(name)
        if kept is None:
            raise NotFound(f"there is no artifact {name.ref} of session {name.session_id!r}", ref=name.ref)
        return unpack(name, kept[0])

    def has(self, name: ArtifactName) -> bool:
        """See ``ports.artifacts``."""
        return name in self._open

    def delete(self, name: ArtifactName) -> None:
        """See ``ports.artifacts``."""
        self._open.pop(name, None)

    def list(self, key: SessionKey | None = None) -> Iterator[Artifact]:
        """See ``ports.artifacts``."""
        for name, (data, modified_us) in list(self._open.items()):
            if key is None or name.key == key:
                yield Artifact(name, len(data), modified_us)

    def close(self) -> None:
        """See ``ports.artifacts``."""
        self._kept = None
