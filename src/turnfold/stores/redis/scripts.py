"""The scripts, read from the files beside this module when the first store is opened."""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

from turnfold.limits import REDIS_CLAIM_S, REDIS_LIST_GRAIN_S, REDIS_MARK_GRAIN_S
from turnfold.stores.redis.links import Script

SECOND_US = 1_000_000
LIST_GRAIN_US = REDIS_LIST_GRAIN_S * SECOND_US
MARK_GRAIN_US = REDIS_MARK_GRAIN_S * SECOND_US
CLAIM_US = REDIS_CLAIM_S * SECOND_US
STALE_US = 2 * CLAIM_US
"""A claim as old as this is no commit's any more: whoever wrote it, its commit would be refused by now."""


class Scripts(NamedTuple):
    """All of them."""

    append: Script
    apply: Script
    read: Script
    page: Script
    hold: Script
    reserve: Script
    mark: Script
    unmark: Script


def load_scripts() -> Scripts:
    """Read the scripts and put the limits in."""
    return Scripts(*(_load(name) for name in Scripts._fields))


def _load(name: str) -> Script:
    text = files("turnfold.stores.redis").joinpath("lua", f"{name}.lua").read_bytes()
    for place, value in ((b"@LIST_GRAIN_US@", LIST_GRAIN_US), (b"@MARK_GRAIN_US@", MARK_GRAIN_US), (b"@CLAIM_US@", CLAIM_US)):
        text = text.replace(place, b"%d" % value)
    return Script(text)
