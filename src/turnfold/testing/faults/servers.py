"""Places of the stores that have a server: each starts its own, so that killing it hurts nobody."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from turnfold.errors import StoreUnavailable
from turnfold.testing.faults.place import CannotBreak, Killable, Place
from turnfold.testing.faults.proxy import Proxy
from turnfold.testing.servers.base import Server, free_port
from turnfold.testing.servers.postgres import PostgresServer, binaries
from turnfold.testing.servers.redis import RedisCluster, RedisServer, executable
from turnfold.testing.servers.s3 import MotoServer

_RELOAD_S: Final = 0.3
"""By then every connection of PostgreSQL has read its settings again; it does so between two commands."""


class ServerPlace(Place):
    """A place with one server."""

    _server: Server | None = None

    def make_server(self) -> Server:
        """Return the server, not started; CannotBreak where its program is not installed."""
        raise NotImplementedError(type(self).__name__)

    def start(self) -> None:
        """See ``Place``."""
        self._server = self.make_server()
        self._server.start()

    def stop(self) -> None:
        """See ``Place``."""
        if self._server is not None:
            self._server.kill()

    @property
    def server(self) -> Server:
        """See ``Place``."""
        assert self._server is not None, "the place is not started"
        return self._server

    options = ""
    """What follows the server's URL: a store that gives up early keeps the suite short."""

    @property
    def url(self) -> str:
        """See ``Place``."""
        return self.server.url + self.options

    @property
    def port(self) -> int:
        """See ``Place``."""
        return self.server.port


class RedisPlace(ServerPlace):
    """A Redis that writes every commit to its disk before it answers."""

    name = "redis"
    options = "?wait_s=3&answer_s=3"

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        """Bind the folder, and settings over the durable ones."""
        super().__init__(folder)
        self._settings = settings

    def make_server(self) -> Server:
        """See ``ServerPlace``."""
        if executable() is None:
            raise CannotBreak("no redis-server is installed")
        return RedisServer(self.folder / "redis", self._settings)

    def empty_url(self) -> str:
        """See ``Place``: other names of keys."""
        return f"{self.url}&prefix=t{secrets.token_hex(6)}"

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Make it a replica of nobody: replicas take no writes."""
        server = self.server
        assert isinstance(server, RedisServer)
        server.ask(f"REPLICAOF 127.0.0.1 {free_port()}")
        try:
            yield
        finally:
            server.ask("REPLICAOF NO ONE")


class RedisClusterPlace(Place):
    """Three masters, killed and started together."""

    name = "redis cluster"

    def start(self) -> None:
        """See ``Place``."""
        if executable() is None:
            raise CannotBreak("no redis-server is installed")
        self._cluster = RedisCluster(self.folder / "cluster")
        self._cluster.start()

    def stop(self) -> None:
        """See ``Place``."""
        self._cluster.kill()

    @property
    def server(self) -> Killable:
        """See ``Place``."""
        return self._cluster

    @property
    def url(self) -> str:
        """See ``Place``."""
        return f"{self._cluster.url}?wait_s=3&answer_s=3"

    def empty_url(self) -> str:
        """See ``Place``: other names of keys."""
        return f"{self.url}&prefix=t{secrets.token_hex(6)}"


class PostgresPlace(ServerPlace):
    """A PostgreSQL of its own."""

    name = "postgres"
    options = "?reconnect_s=2&statement_timeout_s=5"

    def make_server(self) -> Server:
        """See ``ServerPlace``."""
        _need_postgres()
        return PostgresServer(self.folder / "postgres")

    def empty_url(self) -> str:
        """See ``Place``: another schema."""
        return f"{self.url}&schema=t{secrets.token_hex(6)}"

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Let every new transaction be a read-only one, as on a standby."""
        server = self.server
        assert isinstance(server, PostgresServer)
        server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        server.execute("SELECT pg_reload_conf()")
        time.sleep(_RELOAD_S)
        try:
            yield
        finally:
            server.execute("ALTER SYSTEM RESET default_transaction_read_only")
            server.execute("SELECT pg_reload_conf()")


class StandbyPlace(Place):
    """A PostgreSQL whose commits are acknowledged when its standby has them; behind an address that follows the primary, as a load balancer."""

    name = "postgres with a standby"
    has_standby = True

    def start(self) -> None:
        """See ``Place``."""
        _need_postgres()
        self._primary = PostgresServer(self.folder / "primary", settings={"synchronous_standby_names": "*"})
        self._primary.start()
        self._standby = self._primary.standby(self.folder / "standby")
        self._standby.start()
        self._proxy = Proxy(self._primary.port)

    def stop(self) -> None:
        """See ``Place``."""
        self._proxy.close()
        self._standby.kill()
        self._primary.kill()

    @property
    def url(self) -> str:
        """The address that follows the primary."""
        return self._primary.url.replace(f":{self._primary.port}", f":{self._proxy.port}")

    def fail_over(self) -> None:
        """Kill the primary; let the standby take its place."""
        self._primary.kill()
        self._standby.promote()
        self._proxy.target = ("127.0.0.1", self._standby.port)
        self._proxy.cut()


class S3Place(ServerPlace):
    """Object storage. Moto keeps nothing when it ends, so it is never killed; network and answers can fail."""

    name = "s3"
    answer_s_max = 90.0  # OBJECT_REQUEST_S_MAX, and one more request
    http = True
    needle = b"PUT /"

    def make_server(self) -> Server:
        """See ``ServerPlace``."""
        return MotoServer(self.folder / "moto")

    def start(self) -> None:
        """See ``Place``; a fresh bucket each time."""
        try:
            super().start()
        except StoreUnavailable as error:
            raise CannotBreak(f"no moto server: {error.message}") from error
        moto = self._server
        assert isinstance(moto, MotoServer)
        self._moto = moto
        self._url = moto.store_url(moto.new_bucket(), "faults")

    def empty_url(self) -> str:
        """See ``Place``: another prefix."""
        return self._url.replace("/faults?", f"/{secrets.token_hex(6)}?")

    @property
    def server(self) -> Server:
        """Nothing to be killed."""
        raise CannotBreak("moto keeps nothing when it is killed")

    @property
    def url(self) -> str:
        """See ``Place``."""
        return self._url

    @property
    def port(self) -> int:
        """See ``Place``."""
        return self._moto.port


def _need_postgres() -> None:
    if binaries() is None or shutil.which("ps") is None:
        raise CannotBreak("no PostgreSQL server is installed")
