"""Usage of API messages whose lines repeat and revise it, as deltas; and which line is a message's first."""

from __future__ import annotations

from typing import Any

import msgspec

from turnfold.formats.fields import cost_of, count_of
from turnfold.model.usage import NO_USAGE, Usage

MESSAGES_OPEN_MAX = 32
"""API messages whose last usage is remembered; lines of one message stand a handful of messages apart at most."""


def normalise(native: Any, model: str | None, cost_usd: Any = None) -> Usage:
    """Return Anthropic's usage in OTel terms: their ``input_tokens`` leaves cached tokens out, ours holds them."""
    if type(native) is not dict:
        native = {}
    read, created = count_of(native.get("cache_read_input_tokens")), count_of(native.get("cache_creation_input_tokens"))
    details = native.get("output_tokens_details")
    return Usage(
        input_tokens=count_of(native.get("input_tokens")) + read + created,
        output_tokens=count_of(native.get("output_tokens")),
        cache_read_input_tokens=read,
        cache_creation_input_tokens=created,
        reasoning_output_tokens=count_of(details.get("thinking_tokens")) if type(details) is dict else 0,
        cost_microusd=cost_of(cost_usd),
        model=model or "",
    )


class Step(msgspec.Struct, frozen=True):
    """What one line adds to its message: its place in it and what its usage has grown by."""

    first: bool
    block_index: int
    delta: Usage


class Ledger:
    """The API messages of late: number of blocks so far and last usage."""

    def __init__(self, rows: list[list[Any]]) -> None:
        self._open: dict[str, tuple[int, Usage]] = {}
        for message_id, blocks, numbers, model in rows:
            self._open[message_id] = (blocks, msgspec.structs.replace(Usage(*numbers), model=model))

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._open

    def add(self, message_id: str | None, blocks: int, usage: Usage) -> Step:
        """Take in a line of a message; the last usage of an id wins, so a line adds the difference to the one before."""
        if message_id is None:
            return Step(first=True, block_index=0, delta=usage)
        before, last = self._open.pop(message_id, (0, None))
        if last is not None and not usage:
            usage = last  # a line without usage takes nothing back
        self._open[message_id] = (before + blocks, usage)
        if len(self._open) > MESSAGES_OPEN_MAX:
            del self._open[next(iter(self._open))]
        if last is None:
            return Step(first=True, block_index=0, delta=usage)
        return Step(first=False, block_index=before, delta=NO_USAGE if usage == last else usage - last)

    def state(self) -> list[list[Any]]:
        """Plain rows to begin with another time."""
        return [[name, blocks, list(usage.numbers()), usage.model] for name, (blocks, usage) in self._open.items()]
