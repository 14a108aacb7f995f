"""What calls of a session answer, on the sync and the async side alike."""

from __future__ import annotations

from typing import NamedTuple

from turnfold.model.message import Message


class Appended(NamedTuple):
    """Where appended events are; ``repeated`` if they were there already."""

    first_seq: int
    last_seq: int
    repeated: bool = False


class Diff(NamedTuple):
    """What two branches have after the place where they part: the last common seq, and the messages of each side."""

    base_seq: int
    ours: list[Message]
    theirs: list[Message]
