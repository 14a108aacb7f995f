"""The S3 servers that tests start."""

import http.client
from pathlib import Path

import pytest

from turnfold.errors import StoreUnavailable
from turnfold.testing.servers.s3 import MotoServer, make_bucket, remove_bucket


def _status(server: MotoServer, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_moto_makes_fresh_buckets(tmp_path: Path) -> None:
    with MotoServer(tmp_path) as server:
        first, second = server.new_bucket(), server.new_bucket()
        assert first != second
        assert _status(server, f"/{first}") == 200
        assert server.store_url(first, "p") == f"s3://{first}/p?endpoint={server.endpoint}&region=us-east-1&anonymous=true"
        assert server.url.startswith("s3://turnfold-")
        keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
        make_bucket(server.endpoint, "signed-bucket", keys)
        assert _status(server, "/signed-bucket") == 200
        remove_bucket(server.endpoint, "signed-bucket", keys)
        with pytest.raises(StoreUnavailable):
            remove_bucket(server.endpoint, "signed-bucket", keys)
