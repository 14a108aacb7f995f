"""The port of artifact stores: large bytes beside a session store, by tenant, session and hash. Small and blocking.

Theory of operation. An artifact is immutable and named by the SHA-256 of its content, inside its session: equal bytes of two sessions are two
artifacts, so that deleting one session never touches another. An artifact store knows nothing of events. Who refers to an artifact, and
which ones nobody refers to any more, is decided above it (``stores.composite``), by one rule: bytes are put before the commit that names
them and erased after the commit that forgets them, so a crash leaves bytes that nobody names, never a name without bytes.

Every artifact store passes ``turnfold.testing.contract.ArtifactContract``. Names of capabilities are those of ``ports.store``: ``durable``,
``durable_on_ack``, ``multi_process``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from turnfold.model.artifact import Artifact, ArtifactName
from turnfold.model.session import SessionKey


@runtime_checkable
class ArtifactStore(Protocol):
    """What every artifact store does. All methods block and may be called from any thread; errors are TurnfoldErrors, never a driver's.

    Attributes:
        url: What it is called in messages; never with credentials.
        capabilities: What an acknowledged ``put`` survives, and who may use the store at the same time.
    """

    url: str
    capabilities: frozenset[str]

    def put(self, name: ArtifactName, content: bytes) -> None:
        """Keep bytes, as durable as the store is when it returns; one that is there is as if put now.

        Raises:
            InvalidInput: The reference is none.
        """
        ...

    def get(self, name: ArtifactName) -> bytes:
        """Return the bytes, checked against their hash.

        Raises:
            NotFound: There are none of that name.
            StoreCorrupt: They are not what their name says.
        """
        ...

    def has(self, name: ArtifactName) -> bool:
        """Whether there are bytes of that name; reads none of them."""
        ...

    def delete(self, name: ArtifactName) -> None:
        """Erase the bytes; none there is no error."""
        ...

    def list(self, key: SessionKey | None = None) -> Iterator[Artifact]:
        """Yield the artifacts of one session, or all, in no order; those put or erased meanwhile may be there or not."""
        ...

    def close(self) -> None:
        """Let go of files and connections. Idempotent."""
        ...
