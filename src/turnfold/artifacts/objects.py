"""Artifacts as objects of a bucket: S3 and what speaks like it, Google Cloud Storage, Azure; through ``obstore``.

An object is written whole or not at all, so an artifact is one PUT. Options of the URL: ``endpoint``, ``region``, ``anonymous=true``;
everything else (credentials above all) comes from the environment, as the provider's own tools read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from turnfold.artifacts._layout import HEADER_BYTES_MAX, folder_of, name_of, pack, path_of, unpack
from turnfold.errors import InvalidInput, MissingExtra, NotFound, StoreClosed, StoreUnavailable
from turnfold.limits import OBJECT_RETRY_S_MAX
from turnfold.model.artifact import Artifact, ArtifactName
from turnfold.model.event import to_us
from turnfold.model.session import SessionKey
from turnfold.ports.store import DURABLE, DURABLE_ON_ACK, MULTI_PROCESS

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES: Final = ("s3", "gs", "az")
OPTIONS: Final = frozenset({"endpoint", "region", "anonymous"})


class ObjectArtifacts:
    """An artifact store in a bucket. Thread-safe and safe for several processes."""

    capabilities = frozenset({DURABLE, DURABLE_ON_ACK, MULTI_PROCESS})

    def __init__(self, url: str, *, retry_s: float = OBJECT_RETRY_S_MAX) -> None:
        """Bind a bucket and a prefix; nothing is asked of the server yet.

        Args:
            url: ``s3://bucket/prefix?endpoint=…&region=…``, ``gs://bucket/prefix``, ``az://container/prefix``.
            retry_s: How long a request is tried again before that is an error.

        Raises:
            InvalidInput: The URL names no bucket or has an unknown option.
            MissingExtra: ``obstore`` is not installed.
        """
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        unknown = sorted(options.keys() - OPTIONS)
        if unknown or not parts.netloc or parts.scheme not in SCHEMES:
            problem = f"has an unknown option: {', '.join(unknown)}" if unknown else "names no bucket"
            raise InvalidInput(f"the artifact URL {parts.scheme}://{parts.netloc} {problem}", hint=f"options: {', '.join(sorted(OPTIONS))}")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._store: ObjectStore | None = _open(f"{parts.scheme}://{parts.netloc}{parts.path}", options, retry_s)

    def put(self, name: ArtifactName, content: bytes) -> None:
        """See ``ports.artifacts``."""
        import obstore

        path = path_of(name)
        with self._errors():
            obstore.put(self._bucket, path, pack(name, content))

    def get(self, name: ArtifactName) -> bytes:
        """See ``ports.artifacts``."""
        import obstore

        path = path_of(name)
        with self._errors(lambda: NotFound(f"there is no artifact {name.ref} of session {name.session_id!r}", ref=name.ref)):
            data = obstore.get(self._bucket, path).bytes().to_bytes()
        return unpack(name, data)

    def has(self, name: ArtifactName) -> bool:
        """See ``ports.artifacts``."""
        import obstore

        path = path_of(name)
        try:
            with self._errors(lambda: NotFound("none")):
                obstore.head(self._bucket, path)
        except NotFound:
            return False
        return True

    def delete(self, name: ArtifactName) -> None:
        """See ``ports.artifacts``."""
        import obstore

        path = path_of(name)
        try:
            with self._errors(lambda: NotFound("none")):
                obstore.delete(self._bucket, path)
        except NotFound:
            return

    def list(self, key: SessionKey | None = None) -> Iterator[Artifact]:
        """See ``ports.artifacts``; one request per thousand, and one per artifact for its first line."""
        import obstore

        bucket = self._bucket
        with self._errors():
            for page in obstore.list(bucket, None if key is None else folder_of(key)):
                for found in page:
                    artifact = self._look(found["path"], found["size"], to_us(found["last_modified"]))
                    if artifact is not None:
                        yield artifact

    def _look(self, path: str, size_bytes: int, modified_us: int) -> Artifact | None:
        import obstore

        try:
            with self._errors(lambda: NotFound("gone")):
                head = obstore.get_range(self._bucket, path, start=0, end=min(size_bytes, HEADER_BYTES_MAX)) if size_bytes else b""
        except NotFound:
            return None
        name = name_of(bytes(head))
        return Artifact(name, size_bytes, modified_us) if name is not None and path_of(name) == path else None

    def close(self) -> None:
        """See ``ports.artifacts``."""
        self._store = None

    @property
    def _bucket(self) -> ObjectStore:
        if self._store is None:
            raise StoreClosed(f"the artifact store {self.url} is closed")
        return self._store

    @contextmanager
    def _errors(self, missing: Callable[[], Exception] | None = None) -> Iterator[None]:
        """Turn the client's errors into ours; ``missing`` makes the one for an object that is not there."""
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            if missing is None:
                raise self._unavailable(error) from error
            raise missing() from error
        except (BaseError, OSError, ValueError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        reason = str(error).partition("\n")[0][:300]
        return StoreUnavailable(
            f"the artifact store {self.url} does not answer: {reason}",
            hint="check the bucket's name, endpoint and region, and the credentials in the environment",
        )


def _open(url: str, options: dict[str, str], retry_s: float) -> ObjectStore:
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise MissingExtra("artifacts in object storage need obstore", hint="pip install turnfold[s3]") from error
    config: dict[str, Any] = {name: options[name] for name in ("endpoint", "region") if name in options}
    if options.get("anonymous") == "true":
        config["skip_signature"] = True
    insecure = options.get("endpoint", "").startswith("http://")
    try:
        retries: Any = {"retry_timeout": timedelta(seconds=retry_s)}
        return from_url(url, client_options={"allow_http": True} if insecure else None, retry_config=retries, **config)
    except Exception as error:
        if type(error).__module__.startswith("obstore"):
            raise InvalidInput(f"object storage refuses the options of {url.partition('?')[0]}: {type(error).__name__}") from error
        raise
