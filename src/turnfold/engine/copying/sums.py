"""The head change of a piece of a log, and the one that makes a copy's head equal to its source's at the end."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from turnfold.core.fold import change_of
from turnfold.model.commit import HeadChange
from turnfold.model.event import Event
from turnfold.model.session import Head
from turnfold.model.usage import NO_USAGE, Usage

_replace = msgspec.structs.replace
COUNTS = ("message_count", "turn_count", "token_count")


class Sums:
    """The sums of a head while pieces of its log are added. What a pruned event counted may still be in the source's sums."""

    def __init__(self, head: Head | None) -> None:
        """Begin with a head, or with nothing."""
        self._counts = {name: 0 if head is None else int(getattr(head.info, name)) for name in COUNTS}
        self._usage = NO_USAGE if head is None else head.info.usage
        self._by_model = {} if head is None else dict(head.usage_by_model)

    def change(self, events: Sequence[Event], upto: Head | None) -> HeadChange:
        """Return the head change of further events, and count it.

        Args:
            events: The next of the log.
            upto: Where they are the last: the head to arrive at.
        """
        change = change_of(events)
        for name in COUNTS:
            self._counts[name] += getattr(change, name)
        self._usage += change.usage
        for usage in change.usage_by_model:
            self._by_model[usage.model] = self._by_model.get(usage.model, Usage(model=usage.model)) + usage
        return change if upto is None else self._corrected(change, upto)

    def _corrected(self, change: HeadChange, upto: Head) -> HeadChange:
        counts = {name: getattr(change, name) + getattr(upto.info, name) - self._counts[name] for name in COUNTS}
        usage = change.usage + (upto.info.usage - self._usage)
        by_model = {item.model: item for item in change.usage_by_model}
        for model, wanted in upto.usage_by_model.items():
            missing = wanted - self._by_model.get(model, Usage(model=model))
            if missing:
                by_model[model] = by_model[model] + missing if model in by_model else missing
        return _replace(change, **counts, usage=usage or NO_USAGE, usage_by_model=tuple(by_model.values()))
