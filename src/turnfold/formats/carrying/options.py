"""What a caller may choose, and what is derived where nothing is chosen."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any, Literal

import msgspec

from turnfold.core.conversation import Conversation, ConversationEntry
from turnfold.ids import uuid7
from turnfold.limits import NAME_BYTES_MAX, SESSION_ID_BYTES_MAX
from turnfold.model.event import from_us

MARK = "turnfold"
"""Name of our own fields in other tools' lines."""
RELATION = "continuation"
"""How a session that was carried over stands to the one that it came from."""


class WriteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a conversation is written as a tool's own session.

    Attributes:
        reasoning: What becomes of another provider's reasoning: ``drop`` leaves it out (and counts it), ``note`` writes it as a text.
        origin_note: Whether the model is told where the conversation comes from.
        cwd: The folder where the tool will go on; None is the session's own.
        native_id: The tool's id of the session; None derives one.
    """

    reasoning: Literal["drop", "note"] = "drop"
    origin_note: bool = True
    cwd: str | None = None
    native_id: str | None = None


def origin_of(conversation: Conversation) -> dict[str, Any]:
    """Where a file comes from, as it stands in it: session, branch, and the seq up to which it goes."""
    last = conversation.entries[-1].last_seq if conversation.entries else 0
    return {"session_id": conversation.info.id, "branch": conversation.branch, "seq": last}


def continued(mark: Any) -> dict[str, Any] | None:
    """Return the parent that a file's own mark names (``origin_of``), or None where it is none; the mark is as hostile as the file."""
    if not isinstance(mark, dict):
        return None
    session_id, branch, seq = mark.get("session_id"), mark.get("branch"), mark.get("seq")
    if not isinstance(session_id, str) or not 0 < len(session_id.encode("utf-8", "replace")) <= SESSION_ID_BYTES_MAX:
        return None
    parent: dict[str, Any] = {"session_id": session_id, "relation": RELATION}
    if isinstance(branch, str) and 0 < len(branch) <= NAME_BYTES_MAX // 4:
        parent["branch"] = branch
    if type(seq) is int and 0 < seq < 1 << 53:
        parent["seq"] = seq
    return parent


def digest_of(*names: Any) -> str:
    """64 hexadecimal digits that are the same for the same names."""
    return hashlib.sha256(msgspec.json.encode(names)).hexdigest()


def derived_uuid4(*names: Any) -> str:
    """A UUID of version 4's shape, the same for the same names."""
    digits = digest_of(*names)
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:32]}"


def derived_uuid7(at_us: int, *names: Any) -> str:
    """A UUID of version 7 of that time, the same for the same names."""
    return uuid7(max(0, at_us) // 1000 & (1 << 48) - 1, digest_of(*names))


def began_us(conversation: Conversation) -> int:
    """When the conversation began."""
    first = next((entry.at_us for entry in conversation.entries if entry.at_us > 0), 0)
    return first or max(0, conversation.info.created_at_us)


def folder_of(conversation: Conversation, options: WriteOptions) -> str:
    """The folder of the session: the chosen one, else that in which it began; empty where it had none."""
    found = [options.cwd, conversation.info.metadata.get("cwd"), *(env_of(entry).get("cwd") for entry in conversation.entries)]
    return next((cwd for cwd in found if isinstance(cwd, str) and cwd), "")


def env_of(entry: ConversationEntry) -> dict[str, Any]:
    """What an entry says about where it was written."""
    env = entry.meta.get("env")
    return env if isinstance(env, dict) else {}


def stamp(at_us: int) -> str:
    """A time as these tools write it: RFC 3339 with milliseconds."""
    at = from_us(0) + timedelta(microseconds=min(max(at_us, 0), _LATEST_US))
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


_LATEST_US = 253_402_300_799_000_000
"""The end of the year 9999: no later time can be written."""
