"""Which store a URL means. Third parties add theirs through the entry points ``turnfold.stores``: scheme → ``open(url, *, integrity_key)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from turnfold.errors import InvalidInput
from turnfold.ports.store import Store

if TYPE_CHECKING:
    from turnfold.ports.keyring import Keyring

Options = dict[str, str]
ENCRYPTED = "encrypted+"
_REDIS_SCHEMES = ("redis", "rediss", "redis+cluster", "rediss+cluster")


def open_store(url: str, *, integrity_key: bytes | None = None, keyring: Callable[[str | None], Keyring] | None = None) -> Store:
    """Open the store that a URL names.

    Args:
        url: ``encrypted+`` before any other one encrypts it.
        integrity_key: HMAC key of the digests that clients write.
        keyring: Gives the keyring of an encrypted store; its argument is what the URL's option ``keyring`` names.

    Raises:
        InvalidInput: No store has that scheme, or it does not take an option.
    """
    if url.startswith(ENCRYPTED):
        return _encrypted(url, integrity_key, keyring)
    scheme, separator, _ = url.partition(":")
    if not separator:
        raise InvalidInput(f"{url!r} is no store URL", hint="for example sqlite:///agent.db")
    opener = _BUILT_IN.get(scheme) or _entry_point(scheme)
    if opener is None:
        raise InvalidInput(f"no store is called {scheme!r}", hint=f"built in: {', '.join(sorted(_BUILT_IN))}")
    return opener(url, integrity_key=integrity_key)


def path_of(url: str) -> tuple[str, Options]:
    """Split ``scheme:///relative`` or ``scheme:////absolute`` into path and options."""
    _, separator, path = url.partition("://")
    if separator and path.startswith("/") and path.isprintable() and not set("%?#") & set(path):
        return path, {}  # nothing to take apart: the parser costs more to import than the store to open
    from urllib.parse import parse_qsl, unquote, urlsplit

    parts = urlsplit(url)
    if parts.netloc:
        raise InvalidInput(f"{url!r} names a host", hint=f"three slashes: {parts.scheme}:///{parts.netloc}{parts.path}")
    return unquote(parts.path), dict(parse_qsl(parts.query))


def _local(url: str) -> tuple[str, Options]:
    """The path of an embedded store: relative after three slashes, absolute after four."""
    path, options = path_of(url)
    path = path.removeprefix("/")
    if not path:
        raise InvalidInput(f"{url!r} names no path", hint="for example sqlite:///agent.db, or four slashes for an absolute path")
    return path, options


def _refuse_unknown(url: str, options: Options, known: frozenset[str]) -> None:
    unknown = options.keys() - known
    if unknown:
        raise InvalidInput(
            f"{url!r} has an unknown option: {', '.join(sorted(unknown))}", hint=f"options: {', '.join(sorted(known)) or 'none'}"
        )


def _memory(url: str, *, integrity_key: bytes | None) -> Store:
    from turnfold.stores.memory import MemoryStore

    return MemoryStore(url, integrity_key=integrity_key)


def _sqlite(url: str, *, integrity_key: bytes | None) -> Store:
    from turnfold.stores.sqlite import SqliteStore

    path, options = _local(url)
    _refuse_unknown(url, options, frozenset({"durability", "migrate"}))
    return SqliteStore(
        path, durability=options.get("durability", "full"), migrate=options.get("migrate", "auto"), integrity_key=integrity_key
    )


def _files(url: str, *, integrity_key: bytes | None) -> Store:
    from turnfold.stores.files import FilesStore

    path, options = _local(url)
    _refuse_unknown(url, options, frozenset({"durability"}))
    return FilesStore(path, durability=options.get("durability", "full"), integrity_key=integrity_key)


def _objects(url: str, *, integrity_key: bytes | None) -> Store:
    from turnfold.stores.s3 import S3Store

    return S3Store(url, integrity_key=integrity_key)


def _postgres(url: str, *, integrity_key: bytes | None) -> Store:
    from turnfold.stores.postgres import PostgresStore

    return PostgresStore(url, integrity_key=integrity_key)


def _redis(url: str, *, integrity_key: bytes | None) -> Store:
    from turnfold.stores.redis import RedisStore

    return RedisStore(url, integrity_key=integrity_key)


def _composite(url: str, *, integrity_key: bytes | None) -> Store:
    from urllib.parse import parse_qs, urlsplit

    from turnfold.artifacts.registry import open_artifacts
    from turnfold.stores.composite import CompositeStore

    options = parse_qs(urlsplit(url).query)
    if options.keys() != {"sessions", "artifacts"} or any(len(values) != 1 for values in options.values()):
        raise InvalidInput(
            "a composite store takes sessions=URL and artifacts=URL, each percent-encoded",
            hint="composite:?sessions=sqlite%3A%2F%2F%2Fagent.db&artifacts=files%3A%2F%2F%2Fartifacts",
        )
    if options["sessions"][0].startswith(ENCRYPTED):
        raise InvalidInput("the artifacts of this composite store would not be encrypted", hint="encrypted+composite:?sessions=…")
    artifacts = open_artifacts(options["artifacts"][0])
    try:
        return CompositeStore(open_store(options["sessions"][0], integrity_key=integrity_key), artifacts)
    except BaseException:
        artifacts.close()
        raise


def _encrypted(url: str, integrity_key: bytes | None, keyring: Callable[[str | None], Keyring] | None) -> Store:
    from turnfold.stores.encrypted import EncryptedStore

    inner, own = _own_options(url.removeprefix(ENCRYPTED), ("search", "keyring"))
    if keyring is None:
        raise InvalidInput(f"{ENCRYPTED} needs a keyring", hint="connect(…, keyring=…) or TURNFOLD_KEYRING; turnfold keys new makes one")
    keys = keyring(own.get("keyring"))
    try:
        store = open_store(inner, integrity_key=integrity_key)
    except BaseException:
        keys.close()
        raise
    try:
        return EncryptedStore(store, keys, search=own.get("search", "off"))
    except BaseException:
        store.close()
        keys.close()
        raise


def _own_options(url: str, names: tuple[str, ...]) -> tuple[str, Options]:
    """Take options out of a URL; the rest stays as it was written."""
    base, mark, query = url.partition("?")
    if not mark:
        return url, {}
    from urllib.parse import unquote_plus

    parts = [part.partition("=") for part in query.split("&")]
    own = {name: unquote_plus(value) for name, _, value in parts if name in names}
    rest = "&".join(name + equals + value for name, equals, value in parts if name not in names)
    return (f"{base}?{rest}" if rest else base), own


_BUILT_IN: dict[str, Callable[..., Store]] = {
    "composite": _composite,
    "memory": _memory,
    "sqlite": _sqlite,
    "files": _files,
    **dict.fromkeys(("s3", "gs", "az"), _objects),
    "postgresql": _postgres,
    "postgres": _postgres,
    **dict.fromkeys(_REDIS_SCHEMES, _redis),
}


def built_in_schemes() -> frozenset[str]:
    """Return the schemes of Turnfold's own stores."""
    return frozenset(_BUILT_IN)


def _entry_point(scheme: str) -> Callable[..., Store] | None:
    from importlib.metadata import entry_points

    for point in entry_points(group="turnfold.stores", name=scheme):
        opener: Any = point.load()
        return opener  # type: ignore[no-any-return]
    return None
