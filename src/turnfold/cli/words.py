"""Numbers and times as people say them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote

_UNITS: Final = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))
_AGES: Final = ((3_600, 60, "min"), (86_400, 3_600, "h"), (7 * 86_400, 86_400, "d"))


def count(number: int, one: str, many: str | None = None) -> str:
    """Return ``1 session``, ``2 sessions``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short_number(number: int) -> str:
    """Return a number in at most four figures: ``950``, ``12.3k``, ``4.1M``; empty for 0."""
    if number == 0:
        return ""
    for size, unit in _UNITS:
        if abs(number) >= size:
            value = number / size
            return f"{value:.0f}{unit}" if abs(value) >= 100 else f"{value:.1f}{unit}"
    return str(number)


def money(cost_microusd: int) -> str:
    """Return dollars: cents from one dollar on, finer below; empty for 0."""
    if cost_microusd == 0:
        return ""
    dollars = cost_microusd / 1_000_000
    return f"${dollars:,.2f}" if abs(dollars) >= 1 else f"${dollars:.4f}"


def size(bytes_count: float) -> str:
    """Return bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(bytes_count) < 1024:
            return f"{bytes_count:.0f} {unit}" if unit == "B" else f"{bytes_count:.1f} {unit}"
        bytes_count /= 1024
    return f"{bytes_count:.1f} TiB"


def age(at_us: int, now_us: int) -> str:
    """Return how long ago a time was, or its date when that is more than a week."""
    seconds = (now_us - at_us) / 1_000_000
    if seconds < 0:
        return moment(at_us)[:10]
    if seconds < 60:
        return "just now"
    for below, unit_s, unit in _AGES:
        if seconds < below:
            return f"{seconds // unit_s:.0f} {unit} ago"
    return moment(at_us)[:10]


def moment(at_us: int) -> str:
    """Return date and time to the second, UTC."""
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


_SECRET = re.compile(r"(?i)(pass|secret|token|key|credential|signature)")


def public_url(url: str) -> str:
    """Return a store's URL without credentials: user information and secret options become ``***``, also those of URLs inside it."""
    scheme, separator, rest = url.partition("://")
    whole, inside, halves = url.partition("composite:?")
    if inside and "/" not in whole:
        options = (option.partition("=") for option in halves.split("&"))
        return whole + inside + "&".join(name + equals + quote(public_url(unquote(value)), safe="*") for name, equals, value in options)
    if not separator:
        return url
    place, mark, query = rest.partition("?")
    authority, slash, path = place.partition("/")
    if "@" in authority:
        authority = "***@" + authority.rpartition("@")[2]
    options = (option.partition("=") for option in query.split("&") if option)
    shown = "&".join(name + equals + ("***" if value and _SECRET.search(name) else value) for name, equals, value in options)
    return f"{scheme}://{authority}{slash}{path}{mark}{shown}"
