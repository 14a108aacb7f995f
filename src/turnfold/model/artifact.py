"""What an artifact store keeps: bytes of one session by their hash."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from turnfold.model.session import SessionKey


class ArtifactName(NamedTuple):
    """Whose bytes, and their hash: ``sha256:`` and 64 hexadecimal digits."""

    tenant: str
    session_id: str
    ref: str

    @property
    def key(self) -> SessionKey:
        """The session that they belong to."""
        return SessionKey(self.tenant, self.session_id)


class Artifact(msgspec.Struct, frozen=True):
    """One stored artifact as a list shows it; ``modified_us`` is when it was last put, by the store's clock."""

    name: ArtifactName
    size_bytes: int
    modified_us: int
