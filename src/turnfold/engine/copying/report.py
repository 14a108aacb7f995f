"""What a copy did, and what it could not do."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class CopyProblem(msgspec.Struct, frozen=True):
    """A session that is not in the target as it is in the source, and why."""

    tenant: str
    session_id: str
    code: str
    message: str
    hint: str = ""


class CopyReport(msgspec.Struct, kw_only=True):
    """What a copy did. Sessions include the logs of shared state scopes.

    Attributes:
        session_count: Sessions that were looked at.
        copied_count: Those that were not in the target.
        extended_count: Those of which the target had the beginning.
        replaced_count: Those written anew, because earlier events were redacted or pruned in the source since.
        unchanged_count: Those that were equal; with ``verify_only`` all that were found equal.
        gone_count: Those deleted in the source while the copy ran.
        event_count, part_count, byte_count: What was written to the target and read back; with ``verify_only`` what was compared.
        problem_count: Sessions that are not in the target as they are in the source.
        problems: The first ``COPY_PROBLEMS_MAX`` of them.
    """

    session_count: int = 0
    copied_count: int = 0
    extended_count: int = 0
    replaced_count: int = 0
    unchanged_count: int = 0
    gone_count: int = 0
    event_count: int = 0
    part_count: int = 0
    byte_count: int = 0
    problem_count: int = 0
    problems: list[CopyProblem] = []


class CopyProgress(NamedTuple):
    """How far a copy is: sessions done of all, and what was written so far; ``session_id`` is the one at hand."""

    done: int
    total: int
    session_id: str
    event_count: int
    byte_count: int
