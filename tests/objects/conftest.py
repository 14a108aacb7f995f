"""A moto server for each test process, and a bucket for each test."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from turnfold.testing.faults.http_proxy import HttpProxy
from turnfold.testing.servers.s3 import MotoServer


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    with MotoServer(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def url(moto: MotoServer) -> str:
    """The URL of a store in a new bucket."""
    return moto.url


@pytest.fixture
def proxy(moto: MotoServer) -> Iterator[HttpProxy]:
    """A proxy before the server, which counts and fails on command."""
    with HttpProxy(moto.port) as found:
        yield found


@pytest.fixture
def proxied_url(url: str, proxy: HttpProxy) -> str:
    """The same bucket through the proxy."""
    port = urlsplit(url.partition("endpoint=")[2].partition("&")[0]).port
    return url.replace(f":{port}", f":{proxy.port}")
