"""What calls of a session answer, on the sync and the async side alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from turnfold.model.message import Message
from turnfold.model.usage import NO_USAGE, Usage


class Appended(NamedTuple):
    """Where appended events are; ``repeated`` if they were there already."""

    first_seq: int
    last_seq: int
    repeated: bool = False


class DiffRow(NamedTuple):
    """A message of one branch beside its counterpart on the other; None where one has nothing there. ``same``: they say the same."""

    ours: Message | None
    theirs: Message | None
    same: bool = False


class Diff(NamedTuple):
    """What two branches have after the place where they part.

    Attributes:
        base_seq: The last common seq.
        ours: Messages of the first branch after it.
        theirs: Messages of the second branch after it.
        rows: The two aligned.
        state: Keys with different values now: ``key``, ``base``, ``ours``, ``theirs``, and which of these are ``missing``.
        usage: What each side has used after the base.
    """

    base_seq: int
    ours: list[Message]
    theirs: list[Message]
    rows: list[DiffRow] = []  # noqa: RUF012  # the default of a named tuple; never changed
    state: list[dict[str, Any]] = []  # noqa: RUF012  # the same
    usage: tuple[Usage, Usage] = (NO_USAGE, NO_USAGE)


class Merged(NamedTuple):
    """What a merge did, or would do.

    Attributes:
        source: The branch that was merged.
        into: The branch that it was merged into.
        base_seq: The last seq that both share.
        merged_seq: Of the ``branch.merged`` event; None where nothing was written.
        brought: Seqs of the originals whose copies came.
        held: Seqs of calls at the source's end that wait for their results; a later merge brings both.
        left: Seqs of results that answer a call which the target has answered itself.
        state: Keys set in the target, with their values.
        removed: Keys removed from it.
        choices: What was chosen for keys that both sides had changed.
    """

    source: str
    into: str
    base_seq: int
    merged_seq: int | None = None
    brought: tuple[int, ...] = ()
    held: tuple[int, ...] = ()
    left: tuple[int, ...] = ()
    state: Mapping[str, Any] = {}
    removed: tuple[str, ...] = ()
    choices: Mapping[str, str] = {}
