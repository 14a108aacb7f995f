"""Store URLs: ``redis://[[user]:password@]host[:port][/db][?options]``, ``rediss://…``, ``redis+cluster://host:port,host:port``."""

from __future__ import annotations

import math
import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from turnfold.errors import InvalidInput
from turnfold.limits import REDIS_ANSWER_S_MAX, REDIS_WAIT_S_MAX

PORT: Final = 6379
PREFIX: Final = "turnfold"
SCHEMES: Final = ("redis", "rediss", "redis+cluster", "rediss+cluster")
DURABILITIES: Final = ("full", "normal", "none")
OPTIONS: Final = ("prefix", "durability", "wait_s", "answer_s", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")
_PREFIX_BYTES_MAX: Final = 64
_prefix = re.compile(r"[A-Za-z0-9_.:-]+\Z")

Node = tuple[str, int]


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a store is.

    Attributes:
        nodes: Host and port of the server, or of some nodes of a cluster.
        prefix: What all keys begin with.
        wait_s: How long an operation waits for a server that does not answer, before it fails.
        answer_s: How long a server may take to answer one request.
        durability: What the caller expects of the server: ``full`` (an acknowledged commit survives a power loss), ``normal`` (it survives a
            restart; a power loss may take the last second) or ``none`` (a cache). Less than that is warned of.
    """

    nodes: tuple[Node, ...]
    is_cluster: bool = False
    is_tls: bool = False
    db: int = 0
    username: str | None = None
    password: str | None = None
    prefix: str = PREFIX
    durability: str = "full"
    wait_s: float = REDIS_WAIT_S_MAX
    answer_s: float = REDIS_ANSWER_S_MAX
    tls: dict[str, str] = {}

    @property
    def name(self) -> str:
        """What messages call it: no user, no password."""
        hosts = ",".join(f"{_bracketed(host)}:{port}" for host, port in self.nodes)
        scheme = ("rediss" if self.is_tls else "redis") + ("+cluster" if self.is_cluster else "")
        return f"{scheme}://{hosts}" + ("" if self.is_cluster else f"/{self.db}")


def parse_address(url: str) -> Address:
    """Read a store URL.

    Raises:
        InvalidInput: It is none, or has an unknown option; the message has no user information.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidInput(f"this is no Redis URL: {error}", hint="for example redis://127.0.0.1:6379/0") from None
    scheme = parts.scheme
    if scheme not in SCHEMES:
        raise InvalidInput(f"{scheme!r} is no scheme of the Redis store", hint=f"one of {', '.join(SCHEMES)}")
    is_cluster = scheme.endswith("+cluster")
    user, at, hosts = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    nodes = tuple(_node(host) for host in hosts.split(",") if host)
    if not nodes or (len(nodes) > 1 and not is_cluster):
        raise InvalidInput(f"{scheme}://{hosts} does not name one server", hint="redis+cluster://host:port,host:port names a cluster")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = options.keys() - set(OPTIONS)
    if unknown:
        raise InvalidInput(f"{scheme}://{hosts} has an unknown option: {', '.join(sorted(unknown))}", hint=f"options: {', '.join(OPTIONS)}")
    return Address(
        nodes=nodes,
        is_cluster=is_cluster,
        is_tls=scheme.startswith("rediss"),
        db=_db(parts.path, is_cluster=is_cluster),
        username=unquote(name) if at and name else None,
        password=unquote(password) if password else None,
        prefix=_checked_prefix(options.get("prefix", PREFIX)),
        durability=_durability(options.get("durability", "full")),
        wait_s=_seconds(options, "wait_s", REDIS_WAIT_S_MAX),
        answer_s=_seconds(options, "answer_s", REDIS_ANSWER_S_MAX),
        tls={key: value for key, value in options.items() if key.startswith("ssl_")},
    )


def _node(text: str) -> Node:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(PORT)
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise InvalidInput(f"{text!r} names no port", hint="for example 127.0.0.1:6379")
    return host.strip("[]") or "127.0.0.1", int(port)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _db(path: str, *, is_cluster: bool) -> int:
    text = path.strip("/")
    if not text:
        return 0
    if not text.isdecimal() or (is_cluster and int(text)):
        raise InvalidInput(f"{text!r} is no database", hint="a number after the port: redis://127.0.0.1:6379/2; a cluster has only 0")
    return int(text)


def _checked_prefix(prefix: str) -> str:
    if not _prefix.match(prefix) or len(prefix) > _PREFIX_BYTES_MAX:
        raise InvalidInput(f"{prefix!r} is no prefix of keys", hint=f"1 to {_PREFIX_BYTES_MAX} of A-Z a-z 0-9 _ . : -")
    return prefix


def _durability(text: str) -> str:
    if text not in DURABILITIES:
        raise InvalidInput(f"durability {text!r} is none of {', '.join(DURABILITIES)}")
    return text


def _seconds(options: dict[str, str], name: str, default: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise InvalidInput(f"{name}={text} is no number of seconds")
    return value
