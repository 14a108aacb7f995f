"""What a URL says, and that a password never shows."""

from __future__ import annotations

import pytest

from turnfold.errors import InvalidInput
from turnfold.limits import LIST_GRAIN_S
from turnfold.stores.postgres import schema
from turnfold.stores.postgres.migrating import load_all
from turnfold.stores.postgres.options import parse, public
from turnfold.stores.postgres.reads import FREQUENT_TYPES
from turnfold.stores.postgres.values import name, original

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@h/d",
        f"postgres://u:{SECRET}@h:5433/d?schema=x",
        f"postgresql:///d?host=h&user=u&password={SECRET}",
        f"postgresql://u:a@{SECRET}@h/d",
        f"postgresql://u:a:{SECRET}@h1:1,h2:2/d?target_session_attrs=read-write",
        f"postgresql://u@h/d?pgbouncer=1&listen=postgresql%3A%2F%2Fu%3A{SECRET}%40h%2Fd",
    ],
)
def test_the_password_is_for_the_driver_alone(url: str) -> None:
    options = parse(url)
    assert SECRET not in options.public_url
    assert SECRET in options.server + (options.listen or "")
    assert public(options.public_url) == options.public_url


@pytest.mark.parametrize("url", [f"postgresql://u:a/{SECRET}@h/d", f"postgresql://u:a#{SECRET}@h/d", f"postgresql://u:{SECRET}@h/d?typo=1"])
def test_a_url_that_is_refused_does_not_show_it(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(url)
    assert SECRET not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    "query",
    ["schema=A", "schema=a-b", "schema=", "pgbouncer=yes", "connections_max=0", "statement_timeout_s=x", "migrate=never", "options=-c"],
)
def test_values_that_are_none(query: str) -> None:
    with pytest.raises(InvalidInput):
        parse(f"postgresql://h/d?{query}")


def test_options() -> None:
    options = parse("postgresql://u@h/d?schema=team&statement_timeout_s=5&connections_max=3&sslmode=require")
    assert (options.schema, options.statement_timeout_s, options.connections_max) == ("team", 5.0, 3)
    assert options.server == "postgresql://u@h/d?sslmode=require"


def test_names_keep_their_order_and_their_prefixes() -> None:
    texts = [
        "",
        "\0",
        "\0\0",
        "\0\1",
        "\0a",
        "\1",
        "\1\0",
        "\1\1",
        "\1\2",
        "\2",
        "a",
        "a\0",
        "a\0b",
        "a\1",
        "a\1\1",
        "a\2",
        "ab",
        "é",
        "\U0001f9f5",
    ]
    kept = [name(text) for text in texts]
    assert [original(raw.decode()) for raw in kept] == texts
    assert sorted(kept) == [name(text) for text in sorted(texts)]
    assert not any(b"\0" in raw for raw in kept)
    for text in texts:
        for prefix in texts:
            assert text.startswith(prefix) == name(text).startswith(name(prefix))


def test_the_frequent_types_are_the_same_in_sql() -> None:
    _, _, listed = load_all()[0].sql.partition("p_type IN (")
    assert tuple(part.strip(" '") for part in listed.partition(")")[0].split(",")) == FREQUENT_TYPES


def test_the_grain_of_lists_is_the_same_in_sql() -> None:
    initial = load_all()[0].sql
    assert initial.count(f"+ {LIST_GRAIN_S * 1_000_000}") == initial.count("listed_at_us + ") == 4
    assert len(schema.MIGRATIONS) == schema.SCHEMA_VERSION
