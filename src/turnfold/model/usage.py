"""Tokens and cost, in the vocabulary of the OpenTelemetry GenAI conventions."""

from __future__ import annotations

from typing import Any

import msgspec


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What one message, run or session used.

    ``input_tokens`` includes cached tokens and ``output_tokens`` includes reasoning (OTel); importers normalise the native numbers.
    An event carries a **delta**: a source that repeats or revises a message's usage gives the difference.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    reasoning_output_tokens: int = 0
    cost_microusd: int = 0
    model: str = ""

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        """Sum; the model name stays only where both agree."""
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_input_tokens + other.cache_read_input_tokens,
            self.cache_creation_input_tokens + other.cache_creation_input_tokens,
            self.reasoning_output_tokens + other.reasoning_output_tokens,
            self.cost_microusd + other.cost_microusd,
            self.model if self.model == other.model else "",
        )

    def __sub__(self, other: Usage) -> Usage:
        """Difference, keeping this one's model: the delta from an earlier report to this one."""
        return Usage(
            self.input_tokens - other.input_tokens,
            self.output_tokens - other.output_tokens,
            self.cache_read_input_tokens - other.cache_read_input_tokens,
            self.cache_creation_input_tokens - other.cache_creation_input_tokens,
            self.reasoning_output_tokens - other.reasoning_output_tokens,
            self.cost_microusd - other.cost_microusd,
            self.model,
        )

    def __bool__(self) -> bool:
        """Whether any number is not zero."""
        return any(self.numbers())

    def numbers(self) -> tuple[int, int, int, int, int, int]:
        """The six counters in field order: what stores keep as columns."""
        return (
            self.input_tokens,
            self.output_tokens,
            self.cache_read_input_tokens,
            self.cache_creation_input_tokens,
            self.reasoning_output_tokens,
            self.cost_microusd,
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields that are set, and the total."""
        return {**msgspec.to_builtins(self), "total_tokens": self.total_tokens}


NO_USAGE = Usage()
