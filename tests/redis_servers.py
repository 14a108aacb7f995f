"""The Redis that tests use, and a key space of their own in it."""

import os
import socket
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from turnfold.errors import DurabilityWarning
from turnfold.ports.store import Clock
from turnfold.stores.redis import RedisStore
from turnfold.stores.redis.address import parse_address
from turnfold.stores.redis.links import Links

USUAL = "redis://127.0.0.1:6379/0"


def redis_url_or_stop() -> str:
    """Return the URL of a running Redis; skip where there is none, fail when CI=true."""
    named = os.environ.get("TURNFOLD_TEST_REDIS")
    url = named or USUAL
    host, port = parse_address(url).nodes[0]
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        line = f"no Redis at {host}:{port}; TURNFOLD_TEST_REDIS names another one"
        if named or os.environ.get("CI", "").lower() == "true":
            pytest.fail(line, pytrace=False)
        pytest.skip(line)
    return url


def new_prefix() -> str:
    """Return a prefix that nobody else has."""
    return f"turnfold-test-{uuid.uuid4().hex[:12]}"


def with_options(url: str, **options: str) -> str:
    """Return a URL with options."""
    return f"{url}{'&' if '?' in url else '?'}{'&'.join(f'{name}={value}' for name, value in options.items())}"


def open_redis(url: str, *, clock: Clock | None = None, **options: Any) -> RedisStore:
    """Open a store without its warning: the servers of most tests keep nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DurabilityWarning)
        return RedisStore(url, clock=clock, **options)


@contextmanager
def key_space(url: str) -> Iterator[str]:
    """Give a prefix, and remove its keys from all nodes at the end."""
    prefix = new_prefix()
    try:
        yield prefix
    finally:
        remove_keys(url, prefix)


def remove_keys(url: str, prefix: str) -> None:
    """Remove all keys that begin with a prefix."""
    links = Links(parse_address(url))
    try:
        for node in links.masters():
            cursor = b"0"
            while True:
                cursor, names = links.ask(node, b"SCAN", cursor, b"MATCH", f"{prefix}*".encode(), b"COUNT", b"1000")
                for name in names:
                    links.ask(node, b"UNLINK", name)
                if cursor == b"0":
                    break
    finally:
        links.close()
