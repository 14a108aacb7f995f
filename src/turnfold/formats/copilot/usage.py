"""What each model used: told by messages as they come, and once more when a process of the CLI ends."""

from __future__ import annotations

from itertools import islice
from typing import Any

from turnfold.formats.fields import count_of, name_of, object_of
from turnfold.model.usage import NO_USAGE, Usage

MODELS_MAX = 50
"""Models of one process."""


class Meter:
    """What each model used: messages tell their output as it comes, the end of a process tells all of it once more."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._told: dict[str, int] = dict(state.get("told", {}))
        self._totals: dict[str, list[int]] = dict(state.get("totals", {}))

    def state(self) -> dict[str, Any]:
        """Plain JSON types to begin with another time."""
        return {"told": self._told, "totals": self._totals}

    def message(self, model: str, output: int) -> Usage:
        """Return what a message adds."""
        if not output:
            return NO_USAGE
        self._told[model] = self._told.get(model, 0) + output
        return Usage(output_tokens=output, model=model)

    def shutdown(self, metrics: dict[str, Any]) -> list[Usage]:
        """Return what is new in the totals of a process that ended, by model.

        A resumed session's totals may begin anew or go on; those that go on hold the last totals and everything told since.
        """
        out: list[Usage] = []
        for name, numbers in islice(metrics.items(), MODELS_MAX):
            model = name_of(name) or ""
            total = _numbers(object_of(object_of(numbers).get("usage")))
            before, told_since = self._totals.get(model, [0] * 5), self._told.get(model, 0)
            step = [now - then for now, then in zip(total, before, strict=True)]
            if min(step) < 0 or step[1] < told_since:
                step = [*total]
            self._totals[model], self._told[model] = total, 0
            step[1] = max(step[1] - told_since, 0)
            usage = Usage(step[0], step[1], step[2], step[3], step[4], model=model)
            if usage:
                out.append(usage)
        return out


def _numbers(native_usage: dict[str, Any]) -> list[int]:
    """Return input, output, cache read, cache written and reasoning; input holds the cached tokens, whoever the provider is."""
    read, written = count_of(native_usage.get("cacheReadTokens")), count_of(native_usage.get("cacheWriteTokens"))
    total = count_of(native_usage.get("inputTokens"))
    if total < read + written:
        total += read + written
    return [total, count_of(native_usage.get("outputTokens")), read, written, count_of(native_usage.get("reasoningTokens"))]
