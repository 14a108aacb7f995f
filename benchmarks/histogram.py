"""Latencies in buckets that grow by a tenth: a few hundred numbers, whatever the count, that can be added up over processes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

_STEP = math.log(1.1)


class Histogram:
    """Counts latencies; percentiles are right to 5 %, the maximum exactly."""

    def __init__(self, buckets: Mapping[int, int] | None = None, max_us: float = 0.0) -> None:
        self.buckets: Counter[int] = Counter(buckets or {})
        self.max_us = max_us

    def add(self, us: float) -> None:
        self.buckets[int(math.log(max(us, 1.0)) / _STEP)] += 1
        self.max_us = max(self.max_us, us)

    def merge(self, other: Histogram) -> None:
        self.buckets.update(other.buckets)
        self.max_us = max(self.max_us, other.max_us)

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def percentile_us(self, percent: float) -> float:
        """The latency that so many per cent do not exceed; the middle of its bucket."""
        left = self.count * percent / 100
        for bucket in sorted(self.buckets):
            left -= self.buckets[bucket]
            if left <= 0:
                return float(min(math.exp((bucket + 0.5) * _STEP), self.max_us))
        return 0.0

    def to_json(self) -> dict[str, object]:
        return {"buckets": {str(bucket): count for bucket, count in self.buckets.items()}, "max_us": self.max_us}

    @classmethod
    def from_json(cls, raw: Mapping[str, object]) -> Histogram:
        buckets = raw["buckets"]
        assert isinstance(buckets, dict)
        return cls({int(bucket): count for bucket, count in buckets.items()}, float(str(raw["max_us"])))
