"""Numbers, ages and short ids as people read them."""

import pytest

from turnfold.cli.resolve import short_ids
from turnfold.cli.words import age, count, moment, money, public_url, short_number, size

NOON_US = 1_772_452_800_000_000
MINUTE_US = 60_000_000


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, ""), (950, "950"), (1_000, "1.0k"), (12_345, "12.3k"), (123_456, "123k"), (4_100_000, "4.1M"), (2_000_000_000, "2.0G")],
)
def test_short_numbers(number: int, text: str) -> None:
    assert short_number(number) == text


@pytest.mark.parametrize(("cost", "text"), [(0, ""), (1_234, "$0.0012"), (1_500_000, "$1.50"), (1_234_567_890, "$1,234.57")])
def test_money(cost: int, text: str) -> None:
    assert money(cost) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 1024**4, "5.0 TiB")])
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(0, "just now"), (1, "1 min ago"), (59, "59 min ago"), (60, "1 h ago"), (1440, "1 d ago"), (14_400, "2026-02-20"), (-5, "2026-03-02")],
)
def test_ages(minutes: int, text: str) -> None:
    assert age(NOON_US - minutes * MINUTE_US, NOON_US) == text


def test_moments_and_counts() -> None:
    assert moment(NOON_US) == "2026-03-02 12:00:00"
    assert (count(1, "session"), count(1_200, "session"), count(2, "entry", "entries")) == ("1 session", "1,200 sessions", "2 entries")


def test_short_ids_tell_sessions_apart() -> None:
    ids = [
        "aaaaaaaa-1111",
        "aaaaaaaa-1122",
        "bbbbbbbb-1111",
        "cc",
        "bbbbbbbb-1111/subagents/agent-0123456789",
        "bbbbbbbb-1111/subagents/agent-012345xyz",
    ]
    short = short_ids(ids)
    assert list(short.values()) == ["aaaaaaaa-111", "aaaaaaaa-112", "bbbbbbbb", "cc", "bbbbbbbb/agent-0123456", "bbbbbbbb/agent-012345x"]


def test_public_urls_hold_no_credentials() -> None:
    assert (
        public_url("postgresql://me:pw@db:5432/x?sslmode=require&password=pw") == "postgresql://***@db:5432/x?sslmode=require&password=***"
    )
    assert public_url("s3://bucket/p?endpoint=https://h&secret_access_key=abc") == "s3://bucket/p?endpoint=https://h&secret_access_key=***"
    assert public_url("sqlite:////a/b.db?durability=full") == "sqlite:////a/b.db?durability=full"
    assert public_url("memory://") == "memory://"
    for scheme in ("composite:", "encrypted+composite:"):
        inner = "sessions=postgresql%3A%2F%2Fme%3Apw%40db%2Fx&artifacts=s3%3A%2F%2Fb%3Fsecret_access_key%3Dpw"
        shown = public_url(f"{scheme}?{inner}")
        assert "pw" not in shown
        assert shown == f"{scheme}?sessions=postgresql%3A%2F%2F***%40db%2Fx&artifacts=s3%3A%2F%2Fb%3Fsecret_access_key%3D***"
