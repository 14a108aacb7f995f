"""The URL of a PostgreSQL store: where the server is, and what the store is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import msgspec

from turnfold.errors import InvalidInput
from turnfold.limits import POSTGRES_CONNECT_S, POSTGRES_CONNECTIONS_MAX, POSTGRES_RECONNECT_S, POSTGRES_STATEMENT_S
from turnfold.stores.sql.migrations import MANUAL, MIGRATE_MODES

SCHEMA_DEFAULT: Final = "turnfold"
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,46}")
"""Lower case, and short enough that the channel's name, which begins with ``turnfold_``, is an identifier too."""
_OWN: Final = frozenset(
    {"schema", "pgbouncer", "listen", "statement_timeout_s", "connect_timeout_s", "connections_max", "reconnect_s", "migrate"}
)
_LIBPQ: Final = frozenset(
    {"host", "port", "user", "password", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "target_session_attrs"}
    | {"application_name", "gssencmode", "channel_binding", "load_balance_hosts", "require_auth", "service"}
)
"""What goes on to the driver as it is. ``options`` and timeouts are the store's own."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says.

    Attributes:
        server: The URL for the driver, with a password if there is one.
        public_url: The store's URL without it.
        schema: Where the tables are.
        pgbouncer: Nothing outlives a transaction on a connection: no prepared statements, no settings, no LISTEN.
        listen: With ``pgbouncer``, the URL of a direct connection for LISTEN; None polls instead.
        statement_timeout_s: How long the server works on one statement at most.
        connect_timeout_s: How long a connection may take to be made.
        reconnect_s: How long a commit waits for a server that is coming back.
        connections_max: Connections beside the writer's and the listener's.
        migrate: ``auto`` or ``manual``, as in ``stores.sql.migrations``.
    """

    server: str
    public_url: str
    schema: str = SCHEMA_DEFAULT
    pgbouncer: bool = False
    listen: str | None = None
    statement_timeout_s: float = POSTGRES_STATEMENT_S
    connect_timeout_s: int = POSTGRES_CONNECT_S
    reconnect_s: float = POSTGRES_RECONNECT_S
    connections_max: int = POSTGRES_CONNECTIONS_MAX
    migrate: str = MANUAL


def parse(url: str) -> Options:
    """Read a store URL.

    Raises:
        InvalidInput: An option is unknown or has no such value; the message never holds the password.
    """
    parts = urlsplit(url)
    if "@" in parts.path or parts.fragment:  # what stands before it is a piece of the password, so nothing of the URL is shown
        raise InvalidInput("the URL's password has a character that cuts the URL", hint="percent-encode it: / is %2F, # is %23, ? is %3F")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = given.keys() - _OWN - _LIBPQ
    if unknown:
        raise InvalidInput(
            f"{public(url)!r} has an unknown option: {', '.join(sorted(unknown))}", hint=f"options: {', '.join(sorted(_OWN | _LIBPQ))}"
        )
    own = {name: value for name, value in given.items() if name in _OWN}
    passed = {name: value for name, value in given.items() if name in _LIBPQ}
    server = f"postgresql://{_whole(parts.netloc)}{parts.path}?{urlencode(passed, quote_via=quote)}"
    schema = own.get("schema", SCHEMA_DEFAULT)
    if _SCHEMA.fullmatch(schema) is None:
        raise InvalidInput(f"schema {schema!r} is no name", hint="lower-case letters, digits and underscores, at most 47")
    migrate = own.get("migrate", MANUAL)
    if migrate not in MIGRATE_MODES:
        raise InvalidInput(f"migrate {migrate!r} is none of {', '.join(MIGRATE_MODES)}")
    return Options(
        server=server,
        public_url=public(url),
        schema=schema,
        pgbouncer=_truth(own, "pgbouncer"),
        listen=own.get("listen"),
        statement_timeout_s=_number(own, "statement_timeout_s", POSTGRES_STATEMENT_S),
        connect_timeout_s=max(2, int(_number(own, "connect_timeout_s", POSTGRES_CONNECT_S))),
        reconnect_s=_number(own, "reconnect_s", POSTGRES_RECONNECT_S),
        connections_max=int(_number(own, "connections_max", POSTGRES_CONNECTIONS_MAX)),
        migrate=migrate,
    )


def public(url: str) -> str:
    """Return the URL without passwords."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    pairs = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "password"]
    query = urlencode([(name, public(value) if name == "listen" else value) for name, value in pairs], quote_via=quote)
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}" + (f"?{query}" if query else "")


def _whole(netloc: str) -> str:
    """Return user, password and hosts with what the driver would take for a separator encoded: it would show the rest in an error."""
    who, at, hosts = netloc.rpartition("@")
    user, colon, password = who.partition(":")
    return f"{quote(unquote(user), safe='')}{colon}{quote(unquote(password), safe='')}{at}{hosts}"


def _truth(own: Mapping[str, str], option: str) -> bool:
    value = own.get(option, "0")
    if value not in {"0", "1"}:
        raise InvalidInput(f"{option} is 0 or 1, not {value!r}")
    return value == "1"


def _number(own: Mapping[str, str], option: str, default: float) -> float:
    value = own.get(option)
    try:
        number = default if value is None else float(value)
    except ValueError as error:
        raise InvalidInput(f"{option} is a number, not {value!r}") from error
    if not 0 < number < 1_000_000:
        raise InvalidInput(f"{option} is above 0, not {value!r}")
    return number
