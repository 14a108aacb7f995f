"""An HTTP proxy that answers with errors of its own, before the server has a request or after it has done what was asked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, NamedTuple, Self

_UPSTREAM_S_MAX: Final = 60.0
_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"})
S3_ERRORS: Final = {
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    429: "TooManyRequests",
    500: "InternalError",
    503: "SlowDown",
}


class Answer(NamedTuple):
    """What a client gets instead of the server's answer.

    Attributes:
        status: An HTTP status; 0 closes the connection without an answer.
        after: Whether the server has done what was asked.
    """

    status: int
    after: bool


class HttpProxy:
    """Listens on a loopback port. ``choose`` decides for each request whether it fails."""

    def __init__(self, target_port: int) -> None:
        """Listen, and hand everything on."""
        self.choose: Callable[[str, str], Answer | None] = _never
        """Called with method and path of each request, from any thread."""
        self.requests: Counter[str] = Counter()
        """How many requests of each method came."""
        self.struck_count = 0
        """How many of them failed on purpose."""
        self._target_port = target_port
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="turnfold-http-proxy", daemon=True).start()

    def fail_next(self, answer: Answer, method: str = "PUT", *, count: int = 1) -> None:
        """Let the next requests of a method fail."""
        left = [count]

        def choose(called: str, _path: str) -> Answer | None:
            with self._lock:
                if called != method or not left[0]:
                    return None
                left[0] -= 1
                return answer

        self.struck_count = 0
        self.choose = choose

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the server."""
        connection = HTTPConnection("127.0.0.1", self._target_port, timeout=_UPSTREAM_S_MAX)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def decide(self, method: str, path: str) -> Answer | None:
        """Count a request and say whether it fails."""
        answer = self.choose(method, path)
        with self._lock:
            self.requests[method] += 1
            self.struck_count += answer is not None
        return answer

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        """It listens already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self.close()


def _never(_method: str, _path: str) -> Answer | None:
    return None


def _handler(proxy: HttpProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = proxy.decide(self.command, self.path)
            status, headers, content = 0, list[tuple[str, str]](), b""
            if answer is None or answer.after:
                try:
                    status, headers, content = proxy.forward(self.command, self.path, dict(self.headers.items()), body)
                except (OSError, HTTPException):
                    status = 502
            if answer is not None:
                status, headers, content = answer.status, [("Content-Type", "application/xml")], _error(answer.status)
            self._send(status, headers, content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815  # the names that http.server looks for

        def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            if not status:
                self.close_connection = True
                return
            self.send_response_only(status)
            length = str(len(content))
            for name, value in headers:
                if name.lower() == "content-length" and self.command == "HEAD":
                    length = value
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True  # the client is gone

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def _error(status: int) -> bytes:
    code = S3_ERRORS.get(status, "InternalError")
    return f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>made by a test</Message></Error>'.encode()
