"""Reads a branch of a session as a conversation, and writes it in another format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from turnfold.core.branches import key_of
from turnfold.core.conversation import VIEW_TYPES, Conversation, entries_of
from turnfold.core.fold import branches_of
from turnfold.core.state import decode_values, fold_state, keyed_entries
from turnfold.engine.bundle import family
from turnfold.engine.reading import read_all
from turnfold.errors import NotFound
from turnfold.formats.base import Writer
from turnfold.formats.loss import MISSING_MEDIA, OTHER_BRANCHES, LossReport
from turnfold.model.event import MAIN, Event
from turnfold.model.parts import AnyPart, BlobPart, ToolResultPart
from turnfold.model.session import Head, SessionKey
from turnfold.ports.store import Store


def conversation_of(store: Store, key: SessionKey, *, owner: str | None = None, branch: str = "", losses: LossReport) -> Conversation:
    """Read a branch with its media inline.

    Args:
        store: Where the session is.
        key: The session.
        owner: Scope.
        branch: The branch; empty is the active one.
        losses: Counts media that are gone.

    Raises:
        SessionNotFound: There is no such session in this scope.
        BranchNotFound: It has no such branch.
    """
    head = store.get_session(key, owner=owner)
    name = key_of(head, branch) if branch else head.info.active_branch
    events: Iterator[Event] = read_all(store, key, owner=owner, branch=name, types=VIEW_TYPES)
    entries = entries_of(events)
    media = _Media(store, key, owner, losses)
    for entry in entries:
        if entry.message is not None:
            media.fill(entry.message.parts, entry.seq)
        if entry.data is not None and "replacement" in entry.data:
            entry.data["replacement"] = media.filled(entry.data["replacement"], entry.seq)
    children = [
        store.get_session(child, owner=owner).info for child in family(store, key.tenant, key.session_id, owner=owner) if child != key
    ]
    return Conversation(
        info=head.info,
        branch=name,
        entries=entries,
        system_prompt=_system_prompt(head),
        state=_state(store, key, head, owner=owner, branch=name),
        branches=sorted({MAIN, *head.named("branch")}),
        children=children,
    )


class _Media:
    """Puts media that are kept out of line back where they belong."""

    def __init__(self, store: Store, key: SessionKey, owner: str | None, losses: LossReport) -> None:
        self._store = store
        self._key = key
        self._owner = owner
        self._losses = losses

    def fill(self, parts: Iterable[AnyPart], seq: int) -> None:
        for part in parts:
            if isinstance(part, BlobPart) and part.content is None and part.blob_ref is not None:
                part.content = self._read(part.blob_ref, seq)
            elif isinstance(part, ToolResultPart):
                part.response = self.filled(part.response, seq)
                part.detail = self.filled(part.detail, seq)

    def filled(self, value: Any, seq: int) -> Any:
        if isinstance(value, list):
            return [self.filled(item, seq) for item in value]
        if isinstance(value, dict):
            ref = value.get("blob_ref")
            if value.get("type") == "blob" and isinstance(ref, str) and value.get("content") is None:
                rest = {name: item for name, item in value.items() if name != "blob_ref"}
                return {**rest, "content": self._read(ref, seq)}
            return {name: self.filled(item, seq) for name, item in value.items()}
        return value

    def _read(self, ref: str, seq: int) -> str | None:
        try:
            return self._store.read_part(self._key, ref, owner=self._owner).decode()
        except NotFound:
            self._losses.add(MISSING_MEDIA, seq)
            return None


def _system_prompt(head: Head) -> str | None:
    entry = head.entry("system_prompt", "")
    return None if entry is None or entry.value is None else msgspec.json.decode(entry.value, type=str) or None


def _state(store: Store, key: SessionKey, head: Head, *, owner: str | None, branch: str) -> dict[str, Any]:
    values, exact = keyed_entries(head.entries, "state", branches_of(head), branch)
    if exact:
        return decode_values(values)
    return fold_state(read_all(store, key, owner=owner, branch=branch, types=frozenset({"state.set"})))


def convert(writer: Writer, conversation: Conversation, losses: LossReport) -> Iterator[bytes]:
    """Write a conversation, and count what concerns the whole session whatever the format."""
    others = [name for name in conversation.branches if name != conversation.branch]
    if others:
        losses.add(OTHER_BRANCHES, count=len(others))
    yield from writer.write(conversation, losses)
