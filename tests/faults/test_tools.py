"""The tools of the fault suite do what they say: a fault that strikes nobody would let every store pass."""

from __future__ import annotations

import http.client
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

import turnfold as tf
from turnfold.model.session import SessionKey
from turnfold.testing.faults import Answer, Fault, HttpProxy, Ledger, Offer, Proxy, SmallDisk, Writer
from turnfold.testing.faults.servers import PostgresPlace, RedisPlace


class Echo(socketserver.ThreadingTCPServer):
    """Answers each line with itself, and remembers it."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    server.heard.append(line)
                    self.wfile.write(line)

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.server_address[1]) as proxy:
        yield proxy


def ask(link: socket.socket, line: bytes) -> bytes:
    link.sendall(line)
    return link.recv(100)


def test_proxy_hands_everything_on(proxy: Proxy, echo: Echo) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as link:
        assert [ask(link, line) for line in (b"one\n", b"two\n")] == [b"one\n", b"two\n"]
    assert echo.heard == [b"one\n", b"two\n"]


@pytest.mark.parametrize(("fault", "heard"), [(Fault.CUT_BEFORE, 1), (Fault.CUT_AFTER, 2)])
def test_proxy_cuts_before_or_after_the_server(proxy: Proxy, echo: Echo, fault: Fault, heard: int) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as link:
        ask(link, b"one\n")
        proxy.arm(fault, b"two")
        assert _ends(link, b"two\n")
    assert proxy.struck.is_set()
    assert len(echo.heard) == heard
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as link:
        assert ask(link, b"two\n") == b"two\n", "a fault strikes once"


def _ends(link: socket.socket, line: bytes) -> bool:
    try:
        return ask(link, line) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(("fault", "heard"), [(Fault.SILENCE_BEFORE, 1), (Fault.SILENCE_AFTER, 2)])
def test_proxy_keeps_an_answer(proxy: Proxy, echo: Echo, fault: Fault, heard: int) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as link:
        ask(link, b"one\n")
        proxy.arm(fault, b"two")
        link.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ask(link, b"two\n")
        assert len(echo.heard) == heard
        proxy.cut()
        assert _ends(link, b"three\n")


def test_proxy_refuses_and_takes_again(proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", proxy.port), 5)
    proxy.accept()
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as link:
        assert ask(link, b"one\n") == b"one\n"


def test_proxy_is_as_slow_as_it_is_told(proxy: Proxy) -> None:
    proxy.delay_s = 0.05
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as link:
        begin = time.monotonic()
        ask(link, b"one\n")
        assert time.monotonic() - begin >= 0.1


class _Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    heard: list[str] = []  # noqa: RUF012  # of the one test that runs it at a time

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append(body.decode())
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.send_header("ETag", '"x"')
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def shop() -> Iterator[HttpProxy]:
    _Shop.heard.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Shop) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with HttpProxy(server.server_address[1]) as proxy:
            yield proxy
        server.shutdown()


def _put(proxy: HttpProxy, body: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    try:
        connection.request("PUT", "/a", body)
        response = connection.getresponse()
        return response.status, response.read(), response.headers.get("ETag")
    finally:
        connection.close()


def test_http_proxy_answers_before_and_after(shop: HttpProxy) -> None:
    assert _put(shop, "one") == (200, b"ok", '"x"')
    shop.fail_next(Answer(412, after=False))
    assert _put(shop, "two")[0] == 412
    assert _Shop.heard == ["one"]
    shop.fail_next(Answer(500, after=True))
    assert b"InternalError" in _put(shop, "three")[1]
    assert _Shop.heard == ["one", "three"]
    shop.fail_next(Answer(0, after=True))
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        _put(shop, "four")
    assert _put(shop, "five")[0] == 200
    assert _Shop.heard == ["one", "three", "four", "five"]
    assert shop.requests["PUT"] == 5


def test_small_disk_is_full_and_read_only(tmp_path: Path) -> None:
    try:
        disk = SmallDisk(tmp_path / "disk", 1_000_000)
    except OSError as error:
        pytest.skip(str(error))
    with disk:
        filler = disk.fill()
        with pytest.raises(OSError, match="No space"):
            (disk.folder / "more").write_bytes(b"x" * 5_000)
        filler.unlink()
        (disk.folder / "more").write_bytes(b"x" * 5_000)
        disk.make_read_only()
        with pytest.raises(OSError, match="Read-only"):
            (disk.folder / "again").touch()
        disk.make_writable()
        (disk.folder / "again").touch()


@pytest.fixture
def written() -> Iterator[tuple[tf.Client, Ledger]]:
    ledger = Ledger()
    with tf.connect("memory://") as client:
        for number in range(8):
            ledger.write(client.store, Offer("s", "w", number))
        yield client, ledger


def test_ledger_is_content_with_what_is_right(written: tuple[tf.Client, Ledger]) -> None:
    client, ledger = written
    ledger.offer(Offer("s", "w", 8))
    client.store.commit(Offer("s", "w", 8).commit())
    ledger.offer(Offer("s", "w", 9))
    found = ledger.check(client.store)
    assert (found.acknowledged_count, found.unknown_there_count, found.unknown_absent_count) == (8, 1, 1)
    assert ledger.check(client.store).acknowledged_count == 10


def test_ledger_misses_what_was_acknowledged(written: tuple[tf.Client, Ledger]) -> None:
    client, ledger = written
    ledger.offer(Offer("s", "w", 8))
    ledger.acknowledge(Offer("s", "w", 8), 20, 20)
    with pytest.raises(AssertionError, match="was acknowledged at"):
        ledger.check(client.store)


def test_ledger_finds_a_session_that_is_gone(written: tuple[tf.Client, Ledger]) -> None:
    client, ledger = written
    client.delete("s")
    with pytest.raises(AssertionError, match="is gone"):
        ledger.check(client.store)


def test_ledger_finds_what_nobody_sent(written: tuple[tf.Client, Ledger]) -> None:
    client, ledger = written
    client.open("s").append(tf.user("intruder"))
    with pytest.raises(AssertionError, match="nobody sent"):
        ledger.check(client.store)


def test_ledger_finds_half_a_commit(written: tuple[tf.Client, Ledger]) -> None:
    client, ledger = written
    whole = ledger.offer(Offer("s", "w", 9))
    assert len(whole.events) > 1
    client.store.commit(msgspec.structs.replace(whole, events=whole.events[:1]))
    with pytest.raises(AssertionError, match="by half"):
        ledger.check(client.store)


def test_ledger_finds_a_moved_commit(written: tuple[tf.Client, Ledger]) -> None:
    _, ledger = written
    with pytest.raises(AssertionError, match="then at"):
        ledger.acknowledge(Offer("s", "w", 3), 1, 1)


def test_writer_says_what_was_acknowledged(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    writer = Writer(url, "s", "w", count=5)
    try:
        writer.finish(30)
        ledger = Ledger()
        assert writer.report(ledger) == 5
        assert ledger.acknowledged_count == 5
        with tf.connect(url) as client:
            assert ledger.check(client.store).acknowledged_count == 5
            assert client.store.get_session(SessionKey("default", "s")).info.last_seq == 1 + sum(
                len(offer.commit().events) for offer in ledger.offers
            )
    finally:
        writer.close()


@pytest.mark.parametrize("kind", [RedisPlace, PostgresPlace])
def test_server_places_become_read_only_and_die(kind: type[RedisPlace | PostgresPlace], tmp_path: Path) -> None:
    place = kind(tmp_path)
    try:
        place.start()
    except Exception as error:  # noqa: BLE001  # no such server on this machine
        pytest.skip(str(error))
    try:
        assert f":{place.port}" in place.through(place.port)
        with place.read_only():
            pass
        place.server.kill()
        place.server.start()
    finally:
        place.stop()
