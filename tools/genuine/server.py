"""The scripted model as an HTTP server on loopback. It keeps every request, and answers by script.

It is the programs' HTTP proxy too: what they try to reach beyond loopback is refused and kept in ``refused``.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from tools.genuine import dialects
from tools.genuine.script import Script
from tools.genuine.sent import sent_of

TOKEN_COUNT = 1_000


class Asked(NamedTuple):
    """A request that a program made of the model."""

    path: str
    body: dict[str, Any]


class ScriptedModel:
    """The server; ``with ScriptedModel(script) as model`` runs it on a free port of 127.0.0.1."""

    def __init__(self, script: Script | None = None) -> None:
        """Set up, without listening yet."""
        self.script = script or Script()
        self.asked: list[Asked] = []
        self.refused: list[str] = []
        self.failures: list[str] = []
        """Requests that could not be read: a test looks that there are none."""
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def conversations(self) -> list[dict[str, Any]]:
        """Bodies of the requests that went to the model with tools, in order: the turns, without the program's side business."""
        return [asked.body for asked in self.asked if asked.path.endswith(("/messages", "/responses")) and asked.body.get("tools")]


class _Server(ThreadingHTTPServer):
    """A program that is done hangs up in the middle of things; that is no news."""

    def __init__(self, model: ScriptedModel) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what is not a connection that ended."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what was asked is kept."""

    def do_CONNECT(self) -> None:
        """Refuse to be a way out."""
        self._refuse()

    def do_GET(self) -> None:
        """Answer lists of models and probes with nothing."""
        if self.path.startswith("http"):
            self._refuse()
        elif self.headers.get("Upgrade"):
            self._send_json({}, 426)  # no web socket here: the program goes on with plain requests
        else:
            self._send_json({"object": "list", "data": [], "models": []})

    def do_HEAD(self) -> None:
        """Answer as to GET, without the body."""
        self.do_GET()

    def do_POST(self) -> None:
        """Answer by script."""
        raw = self._read()
        if self.path.startswith("http"):
            self._refuse()
            return
        path = self.path.partition("?")[0]
        try:
            body = json.loads(raw or b"{}")
        except ValueError as error:
            self.server.model.failures.append(f"{path}: {error}")
            self._send_json({"error": {"type": "invalid_request_error", "message": str(error)}}, 400)
            return
        self._answer(path, body)

    def _answer(self, path: str, body: dict[str, Any]) -> None:
        if path.endswith("/count_tokens"):
            self._send_json({"input_tokens": TOKEN_COUNT})
            return
        if not path.endswith(("/messages", "/responses")):
            self._send_json({})
            return
        self.server.model.asked.append(Asked(path, body))
        prompts = [text for role, text in sent_of(body).texts if role == "user"]
        answer = self.server.model.script.answer(prompts, has_tools=bool(body.get("tools")))
        if path.endswith("/messages"):
            whole = dialects.message_object(body, answer)
            events = dialects.message_events(whole)
        else:
            whole = dialects.response_object(body, answer)
            events = dialects.response_events(whole)
        if body.get("stream"):
            self._send_events(events)
        else:
            self._send_json(whole)

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _refuse(self) -> None:
        self.server.model.refused.append(self.path)
        self._send_json({"error": "only loopback"}, 403)

    def _send_json(self, value: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _send_events(self, events: Iterable[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()
        self.close_connection = True
