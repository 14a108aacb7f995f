"""LangGraph's checkpoints, as their changes → messages, state, branches and checkpoints."""

from __future__ import annotations

from typing import Any

from turnfold.formats.base import Line, Place, Projected
from turnfold.formats.databases.jsonplus import TYPE
from turnfold.formats.databases.langgraph_walk import fields_of
from turnfold.formats.databases.tables import Handler, Row, TableReader, at_of
from turnfold.formats.fields import list_of, name_of, object_of, text_of
from turnfold.formats.lists.langchain import LangChainShape
from turnfold.formats.lists.shape import Place as ListPlace
from turnfold.formats.lists.shape import state_of
from turnfold.model.event import MAIN, Visibility
from turnfold.model.usage import NO_USAGE

BRANCH_ID_CHARS = 18
"""Of a checkpoint's id, which begins with its time, in the name of the branch that it begins."""
_shape = LangChainShape()


class LangGraphReader(TableReader):
    """Projects one thread."""

    def handlers(self) -> dict[str, Handler]:
        """The handler of each table."""
        return {
            "thread": self._header,
            "messages": self._message,
            "messages.removed": self._removed,
            "state": self._state,
            "checkpoints": self._checkpoint,
            "writes": self._writes,
            "state.final": self._final,
        }

    def finish(self, next_seq: int) -> list[Projected]:
        """Switch to the branch of the latest checkpoint, where the thread goes on."""
        out = super().finish(next_seq)
        current, switched = self._current, self.memory.get("switched", MAIN)
        if current != switched:
            self.memory["switched"] = current
            out.append(self.own("branch.switched", {"name": current, "previous": switched}, branch=current))
        return out

    @property
    def _current(self) -> str:
        return str(self.memory.get("current", MAIN))

    # ---- branches --------------------------------------------------------------------------------------------------------------------------

    def _enter(self, row: Row) -> list[Projected]:
        """Go to the branch of a checkpoint with its first line: its parent's, or one that begins there."""
        checkpoint_id, parent_id = text_of(row.get("checkpoint_id")), text_of(row.get("parent_checkpoint_id"))
        if self.memory.get("checkpoint") == checkpoint_id:
            return []
        tips: dict[str, str] = dict(self.memory.get("tips", {}))
        first = not tips
        self.memory["checkpoint"] = checkpoint_id
        branch = next((name for name, tip in tips.items() if tip == parent_id and parent_id), None)
        out: list[Projected] = []
        if branch is None and not first:
            place = (self.find(parent_id) if parent_id else None) or Place(0, MAIN)
            branch = self._name(checkpoint_id, tips)
            data = {"name": branch, "parent": place.branch or MAIN, "fork_seq": place.seq}
            out.append(self.own("branch.created", data, branch=place.branch or MAIN))
        branch = branch or MAIN
        tips[branch] = checkpoint_id
        self.memory["tips"] = tips
        self.memory["current"] = branch
        self.seen_at(at_of(row.get("ts")))
        return out

    def _name(self, checkpoint_id: str, tips: dict[str, str]) -> str:
        name = name_of(f"b-{checkpoint_id[:BRANCH_ID_CHARS]}") or "b"
        return name if name not in tips else f"{name[: 2 * BRANCH_ID_CHARS]}-{len(tips)}"

    # ---- lines -----------------------------------------------------------------------------------------------------------------------------

    def _header(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        return [self.event(line, "settings", {"kind": "thread"})]

    def _message(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        out = self._enter(row)
        self.next_seq += len(out)
        replaced = self.find(text_of(row.get("replaces"))) if "replaces" in row else None
        if replaced is not None:
            data = {"seqs": [replaced.seq], "reason": "rewritten"}
            out.append(self.own("retract", data, branch=self._current))
        envelope: dict[str, Any] = {"branch": self._current, "meta": {"uuid": text_of(row.get("key"))}}
        fields = fields_of(row.get("message"))
        found = None if fields is None else _shape.said(fields, ListPlace())
        if not found:
            return [*out, self.unread(line, "message", **envelope)]
        message, usage = found[0].message, found[0].usage if "replaces" not in row else NO_USAGE
        visibility: Visibility = "model" if message.role in {"system", "developer"} else "both"
        turn = 1 if message.role == "user" and "replaces" not in row else 0
        out.append(self.message(line, message, parts=found[0].parts, visibility=visibility, usage=usage, turn_count=turn, **envelope))
        return out

    def _removed(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        out = self._enter(row)
        found = [self.find(text_of(key)) for key in list_of(row.get("keys"))]
        data = {"seqs": sorted({place.seq for place in found if place is not None}), "reason": "removed"}
        return [*out, self.event(line, "retract", data, branch=self._current)]

    def _state(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        out = self._enter(row)
        values = state_of(row.get("values"))
        removed = [name for name in list_of(row.get("removed")) if name_of(name) is not None]
        if values or removed:
            data: Row = {"values": values} | ({"removed": removed} if removed else {})
            return [*out, self.event(line, "state.set", data, branch=self._current)]
        return [*out, self.event(line, "settings", {"kind": "state"}, branch=self._current)]

    def _final(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        values = state_of(row.get("values"))
        return [self.event(line, "state.set", {"values": values}, branch=self._current)]

    def _checkpoint(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        value = object_of(row.get("checkpoint"))
        out = self._enter(row | {"ts": value.get("ts")})
        metadata = object_of(row.get("metadata"))
        name = name_of(row.get("checkpoint_id"))
        envelope: dict[str, Any] = {"branch": self._current, "run_id": name_of(metadata.get("run_id"))}
        if name is None:
            return [*out, self.event(line, "opaque", {"native_type": "checkpoints"}, **envelope)]
        meta: Row = {"uuid": name} | {key: metadata[key] for key in ("source", "step") if key in metadata}
        data = {"name": name, "branch": self._current, "at_seq": max(1, self.next_seq + len(out) - 1)}
        return [*out, self.event(line, "checkpoint", data, meta=meta, **envelope)]

    def _writes(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        """Pending writes: what went wrong, and what waits for a person, is worth seeing."""
        place = self.find(text_of(row.get("checkpoint_id")))
        envelope: dict[str, Any] = {"branch": place.branch if place is not None else self._current}
        writes = [object_of(write) for write in list_of(row.get("writes"))]
        channels = {text_of(write.get("channel")): write for write in writes}
        if "__error__" in channels:
            data: Row = {"kind": "error", "message": _text(channels["__error__"].get("value"))}
            return [self.event(line, "run.error", data, visibility="ui", **envelope)]
        if "__interrupt__" in channels:
            data = {"kind": "interrupt", "value": channels["__interrupt__"].get("value")}
            return [self.event(line, "context", data, visibility="ui", **envelope)]
        return [self.event(line, "settings", {"kind": "writes"}, **envelope)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else text_of(object_of(value).get(TYPE)) or "unknown"
