"""Buckets for tests: moto's in every run, a real server's where one is named."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from turnfold.testing.servers.s3 import CephServer


def in_prefix(url: str) -> str:
    """The same bucket with a prefix that nobody used."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{secrets.token_hex(6)}").geturl()


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
