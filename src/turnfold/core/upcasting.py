"""Versions of payloads: how an old one is lifted to what the code of today reads.

A type's payload has a version; a change that old readers could misunderstand raises it and adds a function from the version before. Reading lifts
a payload step by step; nothing stored is ever rewritten. A version newer than any known one is left as it is: it can be read raw, copied and
exported by older code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from turnfold.errors import InvalidInput

Upcaster: TypeAlias = Callable[[Any], Any]


class Upcasters:
    """Chains of functions, one per type and version."""

    def __init__(self) -> None:
        """Begin without any."""
        self._steps: dict[str, dict[int, Upcaster]] = {}

    def __contains__(self, event_type: object) -> bool:
        """Whether a type has any."""
        return event_type in self._steps

    def add(self, event_type: str, from_version: int, step: Upcaster) -> None:
        """Register the step from a version to the next.

        Raises:
            InvalidInput: There is one already, or the version is not 1 or higher.
        """
        if from_version < 1:
            raise InvalidInput(f"versions begin at 1, not {from_version}")
        steps = self._steps.setdefault(event_type, {})
        if from_version in steps:
            raise InvalidInput(f"{event_type} has an upcaster from version {from_version} already")
        steps[from_version] = step

    def lift(self, event_type: str, version: int, data: Any) -> tuple[int, Any]:
        """Return the newest version that the chain reaches, and the payload at it."""
        steps = self._steps.get(event_type, {})
        while version in steps:
            data = steps[version](data)
            version += 1
        return version, data


UPCASTERS = Upcasters()
"""Those of the built-in types (none yet: all are at version 1) and those that applications add for their own."""


def upcaster(event_type: str, *, from_version: int) -> Callable[[Upcaster], Upcaster]:
    """Register the decorated function as the step from ``from_version`` of a type's payload to the next version.

    The function takes the payload as plain JSON types and returns the payload of the next version.
    """

    def register(step: Upcaster) -> Upcaster:
        UPCASTERS.add(event_type, from_version, step)
        return step

    return register
