"""A moto server for each test process, and a prefix for each test."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from tests import s3
from turnfold.testing.faults.http_proxy import HttpProxy
from turnfold.testing.servers.s3 import MotoServer


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    yield from s3.moto(tmp_path_factory)


@pytest.fixture(scope="session")
def bucket_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from s3.bucket(tmp_path_factory)


@pytest.fixture(scope="session")
def real_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from s3.real_bucket(tmp_path_factory)


@pytest.fixture(params=["bucket_url", pytest.param("real_url", marks=pytest.mark.real_s3)])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a new store."""
    return s3.in_prefix(request.getfixturevalue(request.param))


@pytest.fixture
def proxy(url: str) -> Iterator[HttpProxy]:
    """A proxy before the server, which counts and fails on command."""
    with HttpProxy(endpoint_port(url)) as found:
        yield found


@pytest.fixture
def proxied_url(url: str, proxy: HttpProxy) -> str:
    """The same store through the proxy."""
    return url.replace(f":{endpoint_port(url)}", f":{proxy.port}")


def endpoint_port(url: str) -> int:
    return urlsplit(parse_qs(urlsplit(url).query)["endpoint"][0]).port or 80
