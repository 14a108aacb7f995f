"""Buckets for tests: moto's in every run, a real server's where one is named."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import skip_or_fail
from turnfold.testing.servers.s3 import CephServer, MotoServer


def in_prefix(url: str) -> str:
    """The same bucket with a prefix that nobody used."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{secrets.token_hex(6)}").geturl()


def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """A moto server; where it or obstore is not installed the test is skipped, in CI failed."""
    for library in ("obstore", "moto"):
        if find_spec(library) is None:
            skip_or_fail(f"{library} is not installed: pip install obstore 'moto[server]'")
    with MotoServer(tmp_path_factory.mktemp("moto")) as server:
        yield server


def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a bucket for every run: the one that TURNFOLD_TEST_S3 names, else one of a moto server."""
    named = os.environ.get("TURNFOLD_TEST_S3")
    if named:
        yield named
        return
    for server in moto(tmp_path_factory):
        yield server.url


def real_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a bucket on a real server: TURNFOLD_TEST_REAL_S3, or one that is started from the root TURNFOLD_CEPH_ROOT."""
    named = os.environ.get("TURNFOLD_TEST_REAL_S3")
    if named:
        yield named
        return
    root = os.environ.get("TURNFOLD_CEPH_ROOT")
    if not root:
        pytest.skip("name a bucket of a real server in TURNFOLD_TEST_REAL_S3, or a root with Ceph in TURNFOLD_CEPH_ROOT")
    with CephServer(tmp_path_factory.mktemp("ceph"), Path(root)) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server.url
