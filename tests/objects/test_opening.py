"""Opening a store on object storage: what is wrong is said by name, and never with a secret."""

from __future__ import annotations

import http.client
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from turnfold.errors import (
    InvalidInput,
    MissingExtra,
    NotFound,
    NotSupported,
    SchemaTooNew,
    SessionNotFound,
    StoreCorrupt,
    StoreUnavailable,
)
from turnfold.model.session import SessionKey
from turnfold.objectstorage import Bucket, parse_location
from turnfold.stores.registry import open_store
from turnfold.stores.s3 import S3Store
from turnfold.testing.contract import build
from turnfold.testing.servers.base import free_port
from turnfold.testing.servers.s3 import MotoServer

KEY = SessionKey("default", "s")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://key:hunter2@bucket/p", "holds no credentials"),
        ("s3://bucket/p?secret_access_key=hunter2", "unknown option: secret_access_key"),
        ("s3://bucket/a//b", "is no prefix"),
        ("s3://bucket/a/../b", "is no prefix"),
        ("gs://bucket/p?region=x", "unknown option: region"),
        ("az://container/p", "names no storage account"),
    ],
)
def test_urls_that_name_no_store(url: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        open_store(url)
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.details}"


def test_prefix_and_options_are_in_the_url_that_is_shown(moto: MotoServer) -> None:
    url = moto.store_url(moto.new_bucket(), "team a/b")
    with_spaces = S3Store(url)
    assert with_spaces.url == url.replace("team a", "team%20a")
    with_spaces.commit(build.commit(KEY, "x", genesis=build.genesis()))
    again = open_store(with_spaces.url)
    assert again.get_session(KEY).info.last_seq == 2
    with_spaces.close()
    again.close()


def test_two_prefixes_of_a_bucket_are_two_stores(moto: MotoServer) -> None:
    bucket = moto.new_bucket()
    outer, inner = S3Store(moto.store_url(bucket)), S3Store(moto.store_url(bucket, "team"))
    inner.commit(build.commit(KEY, "x", genesis=build.genesis()))
    with pytest.raises(SessionNotFound):
        outer.get_session(KEY)
    assert outer.check().problems == ()
    outer.close()
    inner.close()


def test_bucket_that_is_not_there(moto: MotoServer) -> None:
    with pytest.raises(StoreUnavailable, match="there is no bucket s3://no-such-bucket at http://127"):
        S3Store(moto.store_url("no-such-bucket"))


def test_endpoint_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnfold.objectstorage.OBJECT_ATTEMPTS_MAX", 2)
    with pytest.raises(StoreUnavailable, match="cannot be reached, 2 times over"):
        S3Store(f"s3://bucket?endpoint=http://127.0.0.1:{free_port()}&anonymous=true")


def test_no_permission(moto: MotoServer) -> None:
    bucket = moto.new_bucket()
    _policy(moto, bucket, "Deny")
    with pytest.raises(StoreUnavailable, match="does not allow it"):
        S3Store(moto.store_url(bucket))


def _policy(moto: MotoServer, bucket: str, effect: str) -> None:
    body = f'{{"Statement":[{{"Effect":"{effect}","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::*"}}]}}'
    connection = http.client.HTTPConnection("127.0.0.1", moto.port, timeout=10)
    connection.request("PUT", f"/{bucket}?policy", body)
    assert connection.getresponse().status < 300
    connection.close()


def test_no_credentials(moto: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr("turnfold.objectstorage.OBJECT_ATTEMPTS_MAX", 2)
    with pytest.raises(StoreUnavailable, match="no credentials") as caught:
        S3Store(moto.store_url(moto.new_bucket()).replace("&anonymous=true", ""))
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_credentials_come_from_the_environment_and_show_nowhere(moto: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    store = S3Store(moto.store_url(moto.new_bucket()).replace("&anonymous=true", ""))
    assert store.check().problems == ()
    shown = f"{store.url} {store!r} {store.check().facts}"
    assert "hunter2" not in shown
    assert "AKIAEXAMPLE" not in shown
    store.close()


def test_profile_without_boto3_is_named(moto: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setitem(sys.modules, "obstore.auth.boto3", None)
    with pytest.raises(InvalidInput, match="reading profiles needs boto3"):
        S3Store(moto.store_url("any").replace("&anonymous=true", ""))


def test_without_the_library(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another client, so that none is shared")
    with pytest.raises(MissingExtra) as caught:
        S3Store(url)
    assert "turnfold[s3]" in caught.value.hint


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_is_told(url: str) -> None:
    store = S3Store(url)
    child = os.fork()
    if child == 0:
        told = 0
        for work in (lambda: store.get_session(KEY), lambda: S3Store(url)):
            try:
                work()
            except NotSupported:
                told += 1
        os._exit(told)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    store.close()


class _Careless(BaseHTTPRequestHandler):
    """An object store that keeps no conditions."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"")

    def do_GET(self) -> None:
        body = self.objects.get(self.path)
        self._answer(200 if body is not None else 404, body or b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("ETag", '"etag"')
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def careless_url() -> Iterator[str]:
    handler = type("Handler", (_Careless,), {"objects": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"s3://bucket/p?endpoint=http://127.0.0.1:{server.server_address[1]}&anonymous=true"
        server.shutdown()


def test_server_that_ignores_conditions_is_refused_by_name(careless_url: str) -> None:
    for _ in range(2):
        with pytest.raises(NotSupported, match="ignores If-None-Match and would lose updates"):
            S3Store(careless_url)


@pytest.mark.parametrize(
    ("body", "error"),
    [(b"hello", StoreCorrupt), (b'{"turnfold_store":99,"token":"","conditions_kept_by":[]}', SchemaTooNew)],
)
def test_mark_of_something_else(url: str, body: bytes, error: type[Exception]) -> None:
    Bucket(parse_location(url)).put("turnfold.json", body)
    with pytest.raises(error):
        S3Store(url)


def test_what_is_not_there_is_not_found(url: str) -> None:
    """Scenario: object storage without the object; every read of it says so, none passes an error of the library on."""
    store = S3Store(url)
    for read in (lambda: store.get_session(KEY), lambda: store.read_seals(KEY), lambda: store.list_runs(KEY)):
        with pytest.raises(SessionNotFound):
            read()
    store.commit(build.commit(KEY, "x", genesis=build.genesis()))
    for inner in (lambda: store.get_run(KEY, "r"), lambda: store.read_part(KEY, "sha256:" + "0" * 64)):
        with pytest.raises(NotFound):
            inner()
    store.close()


def test_an_object_that_is_gone_is_damage(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnfold.stores.s3.segments.OBJECT_TAIL_BYTES_MAX", 100)
    store = S3Store(url)
    store.commit(build.commit(KEY, "x" * 200, genesis=build.genesis()))
    bucket = Bucket(parse_location(url))
    segments = [item.key for item in bucket.objects("d/") if "/s-" in item.key]
    bucket.delete(segments)
    problems = store.check().problems
    assert len(problems) == 1
    assert segments[0] in problems[0]
    other = S3Store(url)
    with pytest.raises(StoreCorrupt, match="names an object that is not there"):
        list(other.read_events(build_query()).events)
    other.close()
    store.close()


def build_query() -> Any:
    from turnfold.model.query import EventQuery

    return EventQuery(key=KEY)


def test_damaged_objects_are_named(url: str) -> None:
    store = S3Store(url)
    store.commit(build.commit(KEY, "x", genesis=build.genesis()))
    Bucket(parse_location(url)).put("m/default/s", b"\x00 not a manifest")
    with pytest.raises(StoreCorrupt, match="m/default/s is no manifest"):
        store.get_session(KEY)
    assert "m/default/s is no manifest" in store.check().problems[0]
    store.close()
