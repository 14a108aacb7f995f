"""Which store a URL means. Third parties add theirs through the entry points ``turnfold.stores``: scheme → ``open(url, *, integrity_key)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from turnfold.errors import InvalidInput
from turnfold.ports.store import Store

Options = dict[str, str]


def open_store(url: str, *, integrity_key: bytes | None = None) -> Store:
    """Open the store that a URL names.

    Raises:
        InvalidInput: No store has that scheme, or it does not take an option.
    """
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
    artifacts = open_artifacts(options["artifacts"][0])
    try:
        return CompositeStore(open_store(options["sessions"][0], integrity_key=integrity_key), artifacts)
    except BaseException:
        artifacts.close()
        raise


_BUILT_IN: dict[str, Callable[..., Store]] = {
    "composite": _composite,
    "memory": _memory,
    "sqlite": _sqlite,
    "files": _files,
    **dict.fromkeys(("s3", "gs", "az"), _objects),
}


def _entry_point(scheme: str) -> Callable[..., Store] | None:
    from importlib.metadata import entry_points

    for point in entry_points(group="turnfold.stores", name=scheme):
        opener: Any = point.load()
        return opener  # type: ignore[no-any-return]
    return None
