"""Walks a thread's checkpoints from the oldest on and says each by what it changes against its parent."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from turnfold.formats.databases.jsonplus import arguments_of
from turnfold.formats.databases.tables import Row, row_line
from turnfold.formats.fields import object_of, text_of

VALUE_BYTES_MAX = 4096
"""Of a list in the state, encoded, that is said whole each time it grows."""
SPECIAL = frozenset({"__error__", "__interrupt__", "__resume__", "__scheduled__"})
"""Channels of writes that no later checkpoint holds."""
REMOVE_ALL = "__remove_all__"
"""Id of a removal that means every message."""
_KINDS = frozenset({"human", "ai", "system", "tool", "function", "chat", "developer"})
_CONTROL = ("branch:", "__", "join:")
_encode = msgspec.json.Encoder(order="sorted").encode


class Checkpoint(NamedTuple):
    """A row with its value decoded, or the line that says why it cannot be."""

    id: str
    parent_id: Any
    row: Row
    value: Any
    problem: bytes | None


class Write(NamedTuple):
    """A pending write: its row, its value, and whether that could be decoded."""

    row: Row
    value: Any
    readable: bool


class _Message(NamedTuple):
    """A message of a state: its own id, its content's hash, and the key of the line that said it."""

    id: str | None
    digest: bytes
    key: str


class _State(msgspec.Struct):
    """What later checkpoints are compared with: hashes, not values."""

    channels: dict[str, bytes] = {}
    lists: dict[str, list[bytes]] = {}
    messages: list[_Message] = []
    versions: dict[str, Any] = {}
    seen: dict[str, bytes] = {}
    open_lists: dict[str, Any] = {}


def _digest(value: Any) -> bytes:
    return blake2b(_encode(value), digest_size=12).digest()


def fields_of(value: Any) -> Row | None:
    """Return the fields of a LangChain message, or None for any other value."""
    fields = arguments_of(value)
    if fields is None or "content" not in fields:
        return None
    kind = text_of(fields.get("type"))
    return fields if kind in _KINDS or kind.endswith("MessageChunk") else None


def _holds_messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(fields_of(item) is not None for item in value)


def _written(writes: list[Write]) -> Row:
    """Return the last value that was written to each channel, a single one as a list."""
    values = {text_of(write.row.get("channel")): write.value for write in writes if write.readable}
    return {name: value if isinstance(value, list) else [value] for name, value in values.items()}


def _replayed(messages: list[_Message], writes: list[Write], channel: str) -> list[Any]:
    """Return a channel's messages from its parent's and what was written: added, rewritten by id, or removed."""
    items: list[Any] = list(messages)
    for write in writes:
        if not write.readable or write.row.get("channel") != channel:
            continue
        for value in write.value if isinstance(write.value, list) else [write.value]:
            fields = arguments_of(value) or {}
            name = fields.get("id")
            place = next((index for index, item in enumerate(items) if name and _id_of(item) == name), None)
            if fields.get("type") == "remove":
                items = [] if name == REMOVE_ALL else [item for item in items if _id_of(item) != name]
            elif place is not None:
                items[place] = value
            else:
                items.append(value)
    return items


def _id_of(item: Any) -> Any:
    return item.id if isinstance(item, _Message) else (arguments_of(item) or {}).get("id")


class Walk:
    """Goes from checkpoint to checkpoint; ``children`` counts the successors of each."""

    def __init__(self, children: dict[Any, int]) -> None:
        """Begin before the first checkpoint."""
        self._children = children
        self._left: dict[Any, int] = {}
        self._states: dict[Any, _State] = {}
        self._channel: str | None = None
        self._last = _State()
        self.leaves: list[str] = []

    def first_child_of(self, parent_id: Any) -> bool:
        """Whether no successor of that checkpoint has been there yet."""
        return parent_id is not None and parent_id not in self._left and parent_id in self._states

    def lines(self, checkpoint: Checkpoint, writes: list[Write]) -> list[bytes]:
        """Return a checkpoint's lines: messages, then state, then the checkpoint itself.

        Args:
            checkpoint: The next one, by id.
            writes: The pending writes of its parent, from which it was made.
        """
        parent = self._parent(checkpoint.parent_id)
        if checkpoint.id not in self._children:
            self.leaves.append(checkpoint.id)
        if checkpoint.problem is not None or not isinstance(checkpoint.value, dict):
            self._keep(checkpoint.id, parent)
            row = checkpoint.row | ({"checkpoint": checkpoint.value} if checkpoint.problem is None else {})
            return [*([] if checkpoint.problem is None else [checkpoint.problem]), row_line("checkpoints", row)]
        values = object_of(checkpoint.value.get("channel_values"))
        versions = object_of(checkpoint.value.get("channel_versions"))
        state = _State(open_lists=dict(parent.open_lists))
        self._choose_channel(values | _written(writes))
        items = values.get(self._channel or "")
        if self._channel is not None and self._channel not in values and self._channel in versions:
            items = _replayed(parent.messages, writes, self._channel)
        out = self._messages(checkpoint, parent, state, items)
        control = self._channels(checkpoint, parent, state, values, out)
        out.append(row_line("checkpoints", self._row(checkpoint, parent, state, control)))
        self._keep(checkpoint.id, state)
        return out

    def writes_lines(self, checkpoint_id: Any, writes: list[Write], successor: Checkpoint | None) -> list[bytes]:
        """Return the line of a checkpoint's pending writes, if it has any; a value that its successor holds is left out."""
        if not writes:
            return []
        said = []
        held = object_of(object_of(successor.value if successor is not None else None).get("channel_values")).keys() | {self._channel}
        for write in writes:
            channel = text_of(write.row.get("channel"))
            whole = successor is None or not write.readable or channel in SPECIAL or not (channel in held or channel.startswith(_CONTROL))
            said.append(write.row | ({"value": write.value} if whole else {}))
        return [row_line("writes", {"checkpoint_id": checkpoint_id, "writes": said})]

    def final_lines(self) -> list[bytes]:
        """Return the state that was too long to be said at each step."""
        return [row_line("state.final", {"values": self._last.open_lists})] if self._last.open_lists else []

    # ---- what is remembered ----------------------------------------------------------------------------------------------------------------

    def _parent(self, parent_id: Any) -> _State:
        """Return the state that a checkpoint is compared with, and forget it behind its last successor."""
        if parent_id is None or parent_id not in self._states:
            return _State()
        state = self._states[parent_id]
        self._left[parent_id] = self._left.get(parent_id, self._children[parent_id]) - 1
        if not self._left[parent_id]:
            del self._states[parent_id]
        return state

    def _keep(self, checkpoint_id: str, state: _State) -> None:
        self._last = state
        if checkpoint_id in self._children:
            self._states[checkpoint_id] = state

    def _choose_channel(self, values: Row) -> None:
        if self._channel is None:
            names = ["messages", *sorted(name for name in values if not name.startswith(_CONTROL))]
            self._channel = next((name for name in names if _holds_messages(values.get(name))), None)

    # ---- what has changed ------------------------------------------------------------------------------------------------------------------

    def _messages(self, checkpoint: Checkpoint, parent: _State, state: _State, value: Any) -> list[bytes]:
        """Say which messages came, were rewritten or went."""
        items = value if isinstance(value, list) else []
        old = {message.id or message.digest: message for message in parent.messages}
        gone = Counter(message.key for message in parent.messages)
        said: list[tuple[Row, str]] = []
        for index, item in enumerate(items):
            if isinstance(item, _Message):  # of a channel that is kept as deltas: it is still there
                state.messages.append(old.pop(item.id or item.digest, item))
                gone.pop(item.key, None)
                continue
            fields = fields_of(item)
            digest = _digest(item)
            name = text_of((fields or {}).get("id")) or None
            before = old.pop(name or digest, None)
            if before is not None and before.digest == digest:
                state.messages.append(before)
                del gone[before.key]
                continue
            key = f"{checkpoint.id}:{index}"
            state.messages.append(_Message(name, digest, key))
            row: Row = {"key": key, "message": item}
            if before is not None:
                row["replaces"] = before.key
                del gone[before.key]
            said.append((row, key))
        ts = checkpoint.value.get("ts")
        facts = {"checkpoint_id": checkpoint.id, "parent_checkpoint_id": checkpoint.parent_id, "ts": ts}
        out = [row_line("messages.removed", facts | {"keys": list(gone)})] if gone else []
        return [*out, *(row_line("messages", facts | row) for row, _ in said)]

    def _channels(self, checkpoint: Checkpoint, parent: _State, state: _State, values: Row, out: list[bytes]) -> Row:
        """Say which other channels have changed; those that LangGraph keeps for itself are returned, for the checkpoint's own line."""
        changed: Row = {}
        appended: Row = {}
        control: Row = {}
        for name, value in values.items():
            if name == self._channel:
                continue
            state.channels[name] = digest = _digest(value)
            if parent.channels.get(name) == digest:
                state.lists.update({name: parent.lists[name]} if name in parent.lists else {})
            elif name.startswith(_CONTROL):
                control[name] = value
            else:
                self._channel_value(name, value, parent, state, (changed, appended))
        removed = [name for name in parent.channels if name not in values and not name.startswith(_CONTROL)]
        for name in removed:
            state.open_lists.pop(name, None)
        if changed or appended or removed:
            facts = {"checkpoint_id": checkpoint.id, "parent_checkpoint_id": checkpoint.parent_id, "ts": checkpoint.value.get("ts")}
            out.append(row_line("state", facts | {"values": changed, "appended": appended, "removed": removed}))
        gone = [name for name in parent.channels if name not in values and name.startswith(_CONTROL)]
        return {"values": control, "removed": gone} if control or gone else {}

    def _channel_value(self, name: str, value: Any, parent: _State, state: _State, said: tuple[Row, Row]) -> None:
        changed, appended = said
        if isinstance(value, list):
            state.lists[name] = digests = [_digest(item) for item in value]
            before = parent.lists.get(name)
            if before and digests[: len(before)] == before and len(_encode(value)) > VALUE_BYTES_MAX:
                appended[name] = value[len(before) :]
                state.open_lists[name] = value
                return
        changed[name] = value
        state.open_lists.pop(name, None)

    def _row(self, checkpoint: Checkpoint, parent: _State, state: _State, control: Row) -> Row:
        """Return a checkpoint's own row: everything but the values of its channels, its versions as what is new in them."""
        value = {key: item for key, item in checkpoint.value.items() if key not in {"channel_values", "channel_versions", "versions_seen"}}
        state.versions = object_of(checkpoint.value.get("channel_versions"))
        value["channel_versions"] = {name: item for name, item in state.versions.items() if parent.versions.get(name) != item}
        seen = object_of(checkpoint.value.get("versions_seen"))
        state.seen = {name: _digest(item) for name, item in seen.items()}
        value["versions_seen"] = {name: item for name, item in seen.items() if parent.seen.get(name) != state.seen[name]}
        gone = [name for name in (*parent.versions, *parent.seen) if name not in state.versions and name not in state.seen]
        value |= {"versions_removed": gone} if gone else {}
        value |= {"control": control} if control else {}
        return checkpoint.row | {"checkpoint": value}
