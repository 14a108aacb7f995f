"""Object storage through obstore (S3, Google Cloud Storage, Azure): a bucket with conditional writes, and one way to say what went wrong.

Theory of operation. Whatever can be repeated without harm (reads, lists, deletions, writes that replace) is repeated here, with jitter, up to
``OBJECT_ATTEMPTS_MAX``. A write on condition (``replace``) cannot: its answer may be lost after it took effect, and a repetition then meets a
conflict with itself. So each such object holds a token of its writer, the client library's own retries are off, and after any answer but a
clear one the object is read back: a write reports a conflict only where another writer's token stands.

Credentials come from the environment or from the machine's role, never from a URL.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeVar, cast

from turnfold.errors import InvalidInput, NotSupported, StoreUnavailable, TurnfoldError, missing_extra
from turnfold.limits import OBJECT_ATTEMPTS_MAX, OBJECT_BACKOFF_S_MAX, OBJECT_CONNECT_S_MAX, OBJECT_REQUEST_S_MAX, OBJECT_RETRY_S_MAX

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")
Mode = str | dict[str, str]
SCHEMES: Final = ("s3", "gs", "az")
_LIST_CHUNK: Final = 1_000
_DELETE_CHUNK: Final = 1_000
_BACKOFF_S: Final = 0.05
_OPTIONS: Final = {
    "s3": frozenset({"endpoint", "region", "anonymous", "virtual_hosted"}),
    "gs": frozenset({"endpoint", "anonymous"}),
    "az": frozenset({"endpoint", "account", "anonymous"}),
}
_ENDPOINT_VARIABLES: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_ACCOUNT_VARIABLES: Final = ("AZURE_STORAGE_ACCOUNT_NAME",)
_status = re.compile(r"status code: (\d{3})")
_code = re.compile(r"<Code>(\w+)</Code>")
_TRANSIENT_STATUSES: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class Tag(NamedTuple):
    """Which version of an object was read or written."""

    e_tag: str | None
    version: str | None = None


class Found(NamedTuple):
    """An object as it was read."""

    body: bytes
    tag: Tag


class Listed(NamedTuple):
    """An object in a list; its key without the bucket's prefix."""

    key: str
    e_tag: str | None
    size_bytes: int
    modified_us: int


class Location(NamedTuple):
    """What a URL names."""

    scheme: str
    bucket: str
    prefix: str
    options: dict[str, str]
    url: str


class UnansweredError(Exception):
    """A request of which nobody knows whether it took effect, or that was refused for now; may be tried again."""


class ConditionError(Exception):
    """A write on condition found another version of its object."""


def parse_location(url: str) -> Location:
    """Take ``s3://bucket/prefix?endpoint=…&region=…`` apart (``gs://`` and ``az://`` alike).

    Raises:
        InvalidInput: It names no bucket, holds credentials, or has an unknown option; the message never repeats a value.
    """
    from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

    parts = urlsplit(url)
    scheme, bucket = parts.scheme, parts.netloc
    if "@" in bucket:
        raise InvalidInput(f"a {scheme} URL holds no credentials", hint=_CREDENTIALS_HINT)
    if not bucket:
        raise InvalidInput(f"the {scheme} URL names no bucket", hint=f"for example {scheme}://bucket/prefix")
    options = dict(parse_qsl(parts.query))
    unknown = sorted(options.keys() - _OPTIONS[scheme])
    if unknown:
        known = ", ".join(sorted(_OPTIONS[scheme]))
        raise InvalidInput(
            f"{scheme}://{bucket} has an unknown option: {', '.join(unknown)}", hint=f"options: {known}; {_CREDENTIALS_HINT}"
        )
    prefix = unquote(parts.path).strip("/")
    if any(part in {"", ".", ".."} for part in prefix.split("/")) and prefix:
        raise InvalidInput(f"{prefix!r} is no prefix of an object store", hint="words between single slashes")
    query = urlencode(options, safe=":/")
    shown = f"{scheme}://{bucket}/{quote(prefix)}" + (f"?{query}" if query else "")
    return Location(scheme, bucket, prefix, options, shown)


_CREDENTIALS_HINT: Final = "credentials come from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY on S3) or the machine's role"


class Bucket:
    """A prefix in a bucket. Thread-safe; no request is made before the first call."""

    def __init__(self, location: Location) -> None:
        """Name the place.

        Raises:
            MissingExtra: obstore is not installed.
            InvalidInput: obstore refuses the options.
        """
        self.location = location
        self._base = f"{location.prefix}/" if location.prefix else ""
        _check_process()
        self._client = _client(location.scheme, location.bucket, tuple(sorted(location.options.items())), _identity())

    @property
    def name(self) -> str:
        """How messages call it: bucket and endpoint."""
        return f"{self.location.scheme}://{self.location.bucket}" + (f" at {self.endpoint}" if self.endpoint else "")

    @property
    def endpoint(self) -> str:
        """The server, empty where it is the provider's own."""
        return self.location.options.get("endpoint") or (_environment_endpoint() if self.location.scheme == "s3" else "")

    # ---- requests --------------------------------------------------------------------------------------------------------------------
    def get(self, key: str, *, unless: Tag | None = None) -> Found | None:
        """Return an object, None where there is none.

        Args:
            key: Without the prefix.
            unless: Raise NotModified where the object still is this version.
        """
        return self._repeated(lambda: self._get(key, unless))

    def _get(self, key: str, unless: Tag | None) -> Found | None:
        options: Any = {"if_none_match": unless.e_tag} if unless is not None and unless.e_tag is not None else None
        try:
            answer = self._client.get(self._base + key, options=options)
            body = bytes(answer.bytes())
        except FileNotFoundError as error:
            self._check_bucket(error)
            return None
        except Exception as error:
            if unless is not None and type(error).__name__ == "NotModifiedError":
                raise NotModified from error
            self._raise(error, key)
        return Found(body, Tag(answer.meta["e_tag"], answer.meta["version"]))

    def get_start(self, key: str, bytes_max: int) -> bytes | None:
        """Return the first bytes of an object that is not empty, None where there is none."""
        return self._repeated(lambda: self._get_start(key, bytes_max))

    def _get_start(self, key: str, bytes_max: int) -> bytes | None:
        try:
            return bytes(self._client.get(self._base + key, options={"range": (0, bytes_max)}).bytes())
        except FileNotFoundError as error:
            self._check_bucket(error)
            return None
        except Exception as error:  # noqa: BLE001 - as above
            self._raise(error, key)

    def put(self, key: str, body: bytes) -> Tag:
        """Write an object, whatever stands there."""
        return self._repeated(lambda: self._put(key, body, "overwrite"))

    def replace(self, key: str, body: bytes, *, expected: Tag | None, is_mine: Callable[[bytes], bool]) -> Tag | Found | None:
        """Write an object if it still is the expected version (None: if it is not there).

        Args:
            key: Without the prefix.
            body: Content that holds a token of this write.
            expected: The version that this write goes on from.
            is_mine: Whether a content holds that token.

        Returns:
            The tag of what was written; or, where another write came first, the object as it is now (None: it is gone).
        """
        mode: Mode = "create" if expected is None else {name: value for name, value in expected._asdict().items() if value is not None}
        return self._repeated(lambda: self._replace(key, body, mode, expected, is_mine))

    def _replace(self, key: str, body: bytes, mode: Mode, expected: Tag | None, is_mine: Callable[[bytes], bool]) -> Tag | Found | None:
        unanswered: UnansweredError | None = None
        try:
            return self._put(key, body, mode)
        except ConditionError:
            pass
        except UnansweredError as error:
            unanswered = error
        found = self.get(key)
        if found is not None and is_mine(found.body):
            return found.tag
        current = None if found is None else found.tag.e_tag
        if current != (None if expected is None else expected.e_tag):
            return found
        raise unanswered or UnansweredError(f"{self.name} refuses a condition that holds")  # try again: nothing has changed

    def refuses(self, key: str, body: bytes, *, expected: Tag | None) -> bool:
        """Whether the server refuses a write whose condition does not hold; if it does not, the body stands there now."""
        mode: Mode = "create" if expected is None else {"e_tag": expected.e_tag or ""}

        def attempt() -> bool:
            try:
                self._put(key, body, mode)
            except ConditionError:
                return True
            return False

        return self._repeated(attempt)

    def _put(self, key: str, body: bytes, mode: Mode) -> Tag:
        try:
            answer = self._client.put(self._base + key, body, mode=cast(Any, mode), use_multipart=False)
        except FileNotFoundError as error:
            self._check_bucket(error)
            raise ConditionError from error
        except Exception as error:
            if type(error).__name__ in {"AlreadyExistsError", "PreconditionError"}:
                raise ConditionError from error
            self._raise(error, key)
        return Tag(answer["e_tag"], answer["version"])

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; missing ones are no error."""
        for start in range(0, len(keys), _DELETE_CHUNK):
            chunk = [self._base + key for key in keys[start : start + _DELETE_CHUNK]]
            self._repeated(lambda chunk=chunk: self._delete(chunk))  # type: ignore[misc]

    def _delete(self, paths: list[str]) -> None:
        try:
            self._client.delete(paths[0] if len(paths) == 1 else paths)
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001 - as above
            self._raise(error, paths[0])

    def objects(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects below a folder (a prefix that ends at a slash), in the order of their keys."""
        skip = len(self._base)
        after: str | None = None
        while True:
            start = after
            chunk = self._repeated(lambda: self._page(prefix, start))  # noqa: B023 - called at once
            for meta in chunk:
                yield Listed(meta["path"][skip:], meta["e_tag"], meta["size"], int(meta["last_modified"].timestamp() * 1_000_000))
            if len(chunk) < _LIST_CHUNK:
                return
            after = chunk[-1]["path"]

    def _page(self, prefix: str, after: str | None) -> Sequence[Any]:
        try:
            found = self._client.list((self._base + prefix).rstrip("/"), offset=after, chunk_size=_LIST_CHUNK)
            return next(iter(found), [])
        except FileNotFoundError as error:
            self._check_bucket(error)
            return []
        except Exception as error:  # noqa: BLE001 - as above
            self._raise(error, prefix)

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders in a folder."""
        return self._repeated(lambda: self._folders(prefix))

    def _folders(self, prefix: str) -> list[str]:
        try:
            found = self._client.list_with_delimiter((self._base + prefix).rstrip("/") or None)
        except FileNotFoundError as error:
            self._check_bucket(error)
            return []
        except Exception as error:  # noqa: BLE001 - as above
            self._raise(error, prefix)
        return [path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]

    # ---- what goes wrong -------------------------------------------------------------------------------------------------------------
    def _repeated(self, request: Callable[[], T]) -> T:
        """Make a request until it is answered."""
        _check_process()
        begun_s = time.monotonic()
        for attempt in range(1, OBJECT_ATTEMPTS_MAX + 1):
            try:
                return request()
            except UnansweredError as error:
                if attempt == OBJECT_ATTEMPTS_MAX or time.monotonic() - begun_s > OBJECT_RETRY_S_MAX:
                    message = f"{error}, {attempt} times over"
                    raise StoreUnavailable(message, hint="is the endpoint right, and the server up?") from error
                pause(attempt, OBJECT_BACKOFF_S_MAX)
        raise AssertionError("unreachable")

    def _check_bucket(self, error: Exception) -> None:
        """Tell a missing bucket from a missing object."""
        if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error) or "specified bucket does not exist" in str(error):
            raise StoreUnavailable(f"there is no bucket {self.name}", hint="create it first; Turnfold never does") from error

    def _raise(self, error: Exception, key: str) -> NoReturn:
        """Raise what an error of the client library means. Its text is never passed on whole: it may hold what a server echoes."""
        if isinstance(error, TurnfoldError | UnansweredError | ConditionError | NotModified):
            raise error
        self._check_bucket(error)
        text = str(error)
        status = _status.search(text)
        code = _code.search(text)
        said = " ".join(part for part in (status and status[1], code and code[1]) if part)
        kind = type(error).__name__
        if kind in {"PermissionDeniedError", "UnauthenticatedError"} or (status and status[1] in {"401", "403"}):
            raise StoreUnavailable(f"{self.name} does not allow it ({said or kind})", hint=_CREDENTIALS_HINT, key=key) from error
        if "credential" in text.lower() or "/latest/api/token" in text or "/latest/meta-data" in text:  # it asked the machine's role
            raise StoreUnavailable(f"there are no credentials for {self.name}", hint=_CREDENTIALS_HINT) from error
        if status is None or int(status[1]) in _TRANSIENT_STATUSES:
            raise UnansweredError(f"{self.name} {'answers ' + said if said else 'cannot be reached'}") from error
        hint = "is it the bucket's region?" if status[1].startswith("3") else None
        raise StoreUnavailable(f"{self.name} answers {said}", hint=hint, key=key) from error


class NotModified(Exception):
    """The object is the version that the caller has."""


def pause(attempt: int, longest_s: float, first_s: float = _BACKOFF_S) -> None:
    """Sleep for a random time that grows with the number of attempts made."""
    time.sleep(random.uniform(0, min(longest_s, first_s * 2**attempt)))  # noqa: S311 - spreads retries, guards nothing


_process: list[int] = []
"""The process that first made a client here. obstore's threads do not survive a fork, and a request in the child would wait for ever."""


def _check_process() -> None:
    if not _process:
        _process.append(os.getpid())
    elif _process[0] != os.getpid():
        raise NotSupported(
            "object storage was used before this process was forked, and cannot be used in it",
            hint='start worker processes with multiprocessing\'s "spawn" method',
        )


def _identity() -> str:
    """What the environment says of credentials and regions, unreadably: a change of it takes a new client."""
    said = sorted((name, value) for name, value in os.environ.items() if name.startswith(("AWS_", "GOOGLE_", "AZURE_")))
    return hashlib.sha256(repr((os.getpid(), said)).encode()).hexdigest()


@lru_cache(maxsize=16)
def _client(scheme: str, bucket: str, given: tuple[tuple[str, str], ...], _who: str) -> ObjectStore:
    """Make a client of a bucket, which all who name it alike share: making one takes 20 ms, and each has connections of its own."""
    try:
        from obstore import store as stores
    except ImportError as error:
        raise missing_extra("s3", "obstore") from error
    options = dict(given)
    anonymous = options.get("anonymous", "").lower() in {"true", "1", "yes"}
    common: dict[str, Any] = {
        "client_options": {
            "allow_http": (options.get("endpoint") or _environment_endpoint()).startswith("http://"),
            "timeout": f"{OBJECT_REQUEST_S_MAX}s",
            "connect_timeout": f"{OBJECT_CONNECT_S_MAX}s",
        },
        "retry_config": {"max_retries": 0},
    }
    if anonymous:
        common["skip_signature"] = True
    endpoint = options.get("endpoint")
    try:
        if scheme == "s3":
            if endpoint:
                common["endpoint"] = endpoint
            region = options.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
            virtual = options.get("virtual_hosted", "").lower() in {"true", "1", "yes"}
            return stores.S3Store(bucket, region=region, virtual_hosted_style_request=virtual, **common, **_profile(options))
        if scheme == "gs":
            if endpoint:
                common["base_url"] = endpoint
            return stores.GCSStore(bucket, **common)
        if endpoint:
            common["endpoint"] = endpoint
        if "account" in options:
            common["account_name"] = options["account"]
        elif not any(os.environ.get(name) for name in _ACCOUNT_VARIABLES):
            raise InvalidInput(
                f"az://{bucket} names no storage account", hint=f"az://{bucket}/prefix?account=…, or AZURE_STORAGE_ACCOUNT_NAME"
            )
        return stores.AzureStore(bucket, **common)
    except TurnfoldError:
        raise
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{scheme}://{bucket} cannot be opened: {error}") from error
    except Exception as error:
        raise InvalidInput(f"{scheme}://{bucket} cannot be opened ({type(error).__name__})", hint=_CREDENTIALS_HINT) from error


def _environment_endpoint() -> str:
    """The S3 server that the environment names."""
    return next((found for name in _ENDPOINT_VARIABLES if (found := os.environ.get(name))), "")


def _profile(options: dict[str, str]) -> dict[str, Any]:
    """Credentials of a named AWS profile (AWS_PROFILE), which need boto3; everything else obstore finds by itself."""
    if "AWS_PROFILE" not in os.environ or "AWS_ACCESS_KEY_ID" in os.environ or "anonymous" in options:
        return {}
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        raise InvalidInput("AWS_PROFILE is set, and reading profiles needs boto3", hint="pip install boto3, or set the keys") from error
    return {"credential_provider": Boto3CredentialProvider()}
