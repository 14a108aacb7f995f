"""Which artifact store a URL means."""

from __future__ import annotations

from turnfold.errors import InvalidInput
from turnfold.ports.artifacts import ArtifactStore

_OBJECTS = ("s3", "gs", "az")


def open_artifacts(url: str) -> ArtifactStore:
    """Open the artifact store that a URL names.

    Args:
        url: ``files:///relative`` or ``files:////absolute``, ``s3://bucket/prefix?…``, ``gs://…``, ``az://…``, ``memory://``.

    Raises:
        InvalidInput: No artifact store has that scheme.
        MissingExtra: Its driver is not installed.
    """
    scheme = url.partition(":")[0]
    if scheme == "files":
        return _folder(url)
    if scheme in _OBJECTS:
        from turnfold.artifacts.objects import ObjectArtifacts

        return ObjectArtifacts(url)
    if scheme == "memory":
        from turnfold.artifacts.memory import MemoryArtifacts

        return MemoryArtifacts(url)
    raise InvalidInput(f"no artifact store is called {scheme!r}", hint=f"built in: files, memory, {', '.join(_OBJECTS)}")


def _folder(url: str) -> ArtifactStore:
    from urllib.parse import unquote, urlsplit

    from turnfold.artifacts.folder import FolderArtifacts

    parts = urlsplit(url)
    path = unquote(parts.path).removeprefix("/")
    if parts.netloc or parts.query or not path:
        raise InvalidInput(f"{url!r} names no folder", hint="files:///relative or files:////absolute")
    return FolderArtifacts(path)
