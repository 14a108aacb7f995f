"""Artifacts as objects of a bucket: S3 and what speaks like it, Google Cloud Storage, Azure.

An object is written whole or not at all, so an artifact is one PUT; putting it again changes nothing but its age.
"""

from __future__ import annotations

from collections.abc import Iterator

from turnfold.artifacts._layout import HEADER_BYTES_MAX, folder_of, name_of, pack, path_of, unpack
from turnfold.errors import NotFound, StoreClosed
from turnfold.model.artifact import Artifact, ArtifactName
from turnfold.model.session import SessionKey
from turnfold.objectstorage import Bucket, parse_location
from turnfold.ports.store import DURABLE, DURABLE_ON_ACK, MULTI_PROCESS


class ObjectArtifacts:
    """An artifact store in a bucket. Thread-safe and safe for several processes."""

    capabilities = frozenset({DURABLE, DURABLE_ON_ACK, MULTI_PROCESS})

    def __init__(self, url: str) -> None:
        """Bind a bucket and a prefix; nothing is asked of the server yet.

        Args:
            url: ``s3://bucket/prefix?endpoint=…&region=…``, ``gs://bucket/prefix``, ``az://container/prefix``.

        Raises:
            InvalidInput: The URL names no bucket or has an unknown option.
            MissingExtra: ``obstore`` is not installed.
        """
        location = parse_location(url)
        self.url = location.url
        self._open: Bucket | None = Bucket(location)

    @property
    def _bucket(self) -> Bucket:
        if self._open is None:
            raise StoreClosed(f"the artifact store {self.url} is closed")
        return self._open

    def put(self, name: ArtifactName, content: bytes) -> None:
        """See ``ports.artifacts``."""
        self._bucket.put(path_of(name), pack(name, content))

    def get(self, name: ArtifactName) -> bytes:
        """See ``ports.artifacts``."""
        found = self._bucket.get(path_of(name))
        if found is None:
            raise NotFound(f"there is no artifact {name.ref} of session {name.session_id!r}", ref=name.ref)
        return unpack(name, found.body)

    def has(self, name: ArtifactName) -> bool:
        """See ``ports.artifacts``; one request for one byte."""
        return self._bucket.get_start(path_of(name), 1) is not None

    def delete(self, name: ArtifactName) -> None:
        """See ``ports.artifacts``."""
        self._bucket.delete([path_of(name)])

    def list(self, key: SessionKey | None = None) -> Iterator[Artifact]:
        """See ``ports.artifacts``; one request per thousand, and one per artifact for its first line."""
        bucket = self._bucket
        for found in bucket.objects("" if key is None else f"{folder_of(key)}/"):
            head = bucket.get_start(found.key, HEADER_BYTES_MAX) if found.size_bytes else None
            name = None if head is None else name_of(head)
            if name is not None and path_of(name) == found.key:
                yield Artifact(name, found.size_bytes, found.modified_us)

    def close(self) -> None:
        """See ``ports.artifacts``."""
        self._open = None
