"""One execution of a provider inside a session."""

from __future__ import annotations

from typing import Any

import msgspec

from turnfold.model.usage import NO_USAGE, Usage


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run row: committed with its events, replaced whole by the next commit that carries the same id."""

    id: str
    session_id: str
    status: str = "pending"
    provider: str | None = None
    model: str | None = None
    started_at_us: int | None = None
    ended_at_us: int | None = None
    usage: Usage = NO_USAGE
    data: dict[str, Any] = {}
