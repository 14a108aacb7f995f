"""The PostgreSQL server that tests use, and databases of their own on it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from functools import cache
from urllib.parse import urlsplit, urlunsplit

from tests.support import skip_or_fail

USUAL = ("postgresql://root@127.0.0.1:5432/postgres", "postgresql://postgres@127.0.0.1:5432/postgres")
"""Where a server usually is; a role that may create databases and roles."""
SUFFIX = uuid.uuid4().hex[:10]
"""Of this process: databases of two test runs, or of two workers of one, are different ones."""


@cache
def server_url() -> str | None:
    """Return the URL of a server that answers, or None."""
    import psycopg

    named = os.environ.get("TURNFOLD_TEST_POSTGRES")
    for url in (named,) if named else USUAL:
        try:
            psycopg.connect(url, connect_timeout=3).close()
        except psycopg.OperationalError:
            continue
        return url
    return None


def need_server() -> str:
    """Return the server's URL; skip where there is none (a failure with CI=true)."""
    url = server_url()
    if url is None:
        skip_or_fail("no PostgreSQL server answers: set TURNFOLD_TEST_POSTGRES to the URL of one")
    assert url is not None
    return url


def with_database(url: str, database: str, *, user: str | None = None) -> str:
    """Return the URL with another database, and perhaps another user."""
    parts = urlsplit(url)
    netloc = parts.netloc if user is None else f"{user}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit((parts.scheme, netloc, f"/{database}", parts.query, ""))


def execute(url: str, *statements: str) -> None:
    """Run SQL."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def fresh_database(what: str) -> Iterator[str]:
    """Make a database that does not wait for the disk, give its URL, and drop it with all that is in it."""
    server = need_server()
    database = f"turnfold_{what}_{SUFFIX}_{uuid.uuid4().hex[:6]}"
    execute(server, f"CREATE DATABASE {database} ENCODING 'UTF8' TEMPLATE template0")
    try:
        execute(server, f"ALTER DATABASE {database} SET synchronous_commit = off")
        yield with_database(server, database)
    finally:
        execute(server, f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def application_role(database: str, schema: str = "turnfold") -> Iterator[str]:
    """Make the schema, and a role that is neither its owner nor a superuser; give the URL with that role, and drop it with the database."""
    from turnfold.stores.postgres import PostgresStore

    role = f"turnfold_app_{SUFFIX}_{uuid.uuid4().hex[:6]}"
    server = need_server()
    PostgresStore(f"{database}?schema={schema}").close()
    execute(server, f"CREATE ROLE {role} LOGIN")
    try:
        execute(database, f"SET search_path = {schema}; SELECT grant_to('{role}')")
        yield with_database(f"{database}?schema={schema}", urlsplit(database).path[1:], user=role)
    finally:
        execute(database, f"DROP OWNED BY {role}")
        execute(server, f"DROP ROLE {role}")


TABLES = (
    "session, counter, event, event_source, block, entry, usage_by_model, run, part, range_tombstone, pruned_id, seal, follower, follower_seq, "
    "changed, purge, search_row"
)


def empty(url: str, schema: str = "turnfold") -> None:
    """Delete everything that a store holds; quicker than a new schema, and than TRUNCATE, which makes 50 new files."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET search_path = {schema}".encode())
        connection.execute("; ".join(f"DELETE FROM {table}" for table in TABLES.split(", ")).encode())


__all__ = ["empty", "execute", "fresh_database", "need_server", "server_url", "with_database"]
