"""A TCP proxy on loopback that fails on command: between a client and a server that know nothing of it.

Theory of operation. Two threads per connection, one for each direction, move what they read. ``arm`` sets one fault for the next chunk of a client
that holds ``needle``; the chunk is where a driver sends its request in one write, which is what they do with small commits. A fault before the
server drops the chunk; one after it forwards the chunk, waits for the first bytes of the answer, and keeps them.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
import time
from types import TracebackType
from typing import Final, Self

_CHUNK_BYTES: Final = 65_536
_CONNECT_S: Final = 5.0
_HOST: Final = "127.0.0.1"


class Fault(enum.Enum):
    """What happens to a request."""

    CUT_BEFORE = "cut before the server has it"
    CUT_AFTER = "cut after the server has answered"
    SILENCE_BEFORE = "neither the server nor the client hears anything more"
    SILENCE_AFTER = "the server has answered, and the answer never comes"


class _Link:
    """One client's connection and its twin to the server."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.answer_fault: Fault | None = None
        self.silent = False
        self._proxy = proxy
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._move, args=(source, sink), name="turnfold-proxy", daemon=True).start()

    def _move(self, source: socket.socket, sink: socket.socket) -> None:
        take = self._request if source is self.client else self._answer
        try:
            while chunk := source.recv(_CHUNK_BYTES):
                self._proxy.slow_down(len(chunk))
                if take(chunk) and not self.silent:
                    sink.sendall(chunk)
        except OSError:
            pass  # one side is gone; so is the other, below
        finally:
            if not self.silent:
                self.cut()

    def _request(self, chunk: bytes) -> bool:
        """Whether a chunk of the client goes on to the server."""
        fault = self._proxy.fault_for(chunk)
        if fault is None:
            return True
        if fault in {Fault.CUT_AFTER, Fault.SILENCE_AFTER}:
            self.answer_fault = fault
            return True
        self._proxy.struck.set()
        if fault is Fault.CUT_BEFORE:
            self.cut()
        else:
            self.silent = True
        return False

    def _answer(self, _chunk: bytes) -> bool:
        """Whether a chunk of the server goes on to the client."""
        if self.answer_fault is None:
            return True
        self._proxy.struck.set()
        if self.answer_fault is Fault.CUT_AFTER:
            self.cut()
        else:
            self.silent = True
        return False

    def cut(self) -> None:
        """End both connections now, without a farewell."""
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for end in (self.client, self.server):
            end.close()
        self._proxy.forget(self)


class Proxy:
    """Listens on a loopback port and hands everything on to ``target``."""

    def __init__(self, target_port: int, *, target_host: str = _HOST) -> None:
        """Listen. ``target`` may be changed later (a failover): new connections go to the new one."""
        self.target = (target_host, target_port)
        self.delay_s = 0.0
        """Wait so long before each chunk, in both directions."""
        self.bytes_per_s: float | None = None
        """Let no more through than this, in each direction of each connection; None is unlimited."""
        self.request_count = 0
        """How many chunks came from clients."""
        self.struck = threading.Event()
        """Set when an armed fault has struck."""
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._armed: tuple[Fault, bytes] | None = None
        self._listener: socket.socket | None = None
        self.port = 0
        self.accept()

    def arm(self, fault: Fault, needle: bytes = b"") -> None:
        """Let a fault strike once: the next request that holds ``needle``."""
        self.struck.clear()
        with self._lock:
            self._armed = (fault, needle)

    def fault_for(self, chunk: bytes) -> Fault | None:
        """Take the armed fault if this chunk is the one."""
        with self._lock:
            self.request_count += 1
            if self._armed is None or self._armed[1] not in chunk:
                return None
            fault, self._armed = self._armed[0], None
            return fault

    def slow_down(self, byte_count: int) -> None:
        """Wait as the settings say."""
        wait_s = self.delay_s + (byte_count / self.bytes_per_s if self.bytes_per_s else 0.0)
        if wait_s:
            time.sleep(wait_s)

    def accept(self) -> None:
        """Listen (again), on the same port."""
        if self._listener is not None:
            return
        listener = socket.create_server((_HOST, self.port), backlog=64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._listen, args=(listener,), name="turnfold-proxy", daemon=True).start()

    def refuse(self) -> None:
        """Refuse connections, and end those that are there."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts; closing alone would not
            listener.close()
        self.cut()

    def cut(self) -> None:
        """End every connection now; new ones are taken."""
        with self._lock:
            links = tuple(self._links)
        for link in links:
            link.silent = False
            link.cut()

    def forget(self, link: _Link) -> None:
        """Take a link off the list; called by the link."""
        with self._lock:
            self._links.discard(link)

    def close(self) -> None:
        """Stop for good."""
        self.refuse()

    def _listen(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, timeout=_CONNECT_S)
            except OSError:
                client.close()  # as a load balancer does whose server is down
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                refused = self._listener is not listener
                link = None if refused else _Link(self, client, server)
                if link is not None:
                    self._links.add(link)
            if link is None:
                client.close()
                server.close()

    def __enter__(self) -> Self:
        """It listens already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self.close()
