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
    """What two branches have after ``base_seq``, the last seq that both share.

    ``ours`` and ``theirs`` are the messages of the first and of the second branch, and ``rows`` the two aligned. ``state`` has the keys with
    different values now: ``key``, ``base``, ``ours``, ``theirs``, and which of these are ``missing``. ``usage`` is what each side has used.
    """

    base_seq: int
    ours: list[Message]
    theirs: list[Message]
    rows: list[DiffRow] = []  # noqa: RUF012  # the default of a named tuple; never changed
    state: list[dict[str, Any]] = []  # noqa: RUF012  # the same
    usage: tuple[Usage, Usage] = (NO_USAGE, NO_USAGE)


class Merged(NamedTuple):
    """What a merge of ``source`` ``into`` another branch did, or would do; both share what is up to ``base_seq``.

    ``merged_seq`` is the ``branch.merged`` event's, None where nothing was written. ``brought`` are the seqs of the originals whose copies
    came; ``held`` those of calls at the source's end that wait for their results, and come with them by a later merge; ``left`` those of
    results that answer a call which the target has answered itself. ``state`` has the keys that were set in the target, ``removed`` those
    that were removed, ``choices`` what was chosen for keys that both sides had changed.
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
