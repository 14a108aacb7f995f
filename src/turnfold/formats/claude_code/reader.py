"""The reader: one file's lines → events, with what later lines need in a small state."""

from __future__ import annotations

from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from turnfold.codec.residual import cut, whole
from turnfold.formats.base import Find, Line, Projected, SourceInfo
from turnfold.formats.claude_code import drafts, records
from turnfold.formats.claude_code.drafts import Draft, name_of
from turnfold.formats.claude_code.messages import OutOfLine
from turnfold.formats.claude_code.titles import Titles
from turnfold.formats.claude_code.usage import Ledger
from turnfold.formats.lines import parse_at
from turnfold.formats.pieces import Piece, pieces
from turnfold.formats.tree import SIDECHAIN, Fork, Kind, Link, Tree
from turnfold.model.event import MAIN, NewEvent

TOKEN_BYTES = 4
"""Bytes of payload per token in the stored estimate, as for appended messages."""

_encode = msgspec.json.Encoder().encode


class _Kept(NamedTuple):
    """A line's payload as it will be stored, the line beside it, and what goes out of line."""

    data: bytes
    source: bytes
    parts: OutOfLine


class ClaudeCodeReader:
    """Projects one file."""

    def __init__(self, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> None:
        """Begin at the file's start, or go on from a state."""
        state = state or {}
        self._tree = Tree(state.get("tree", {}), find)
        self._ledger = Ledger(state.get("messages", []))
        self._titles = Titles(state.get("titles", {}))
        self._env: list[Any] = state.get("env", [None, None, None])
        self._at_us: int = state.get("at_us", info.created_us or 0)
        self._active: str = state.get("active", MAIN)
        self._switched: str = state.get("switched", MAIN)
        self._tag: str | None = state.get("tag")
        self._is_subagent = info.parent is not None and info.parent.get("relation") == "subagent"

    def state(self) -> dict[str, Any]:
        """What is needed to go on: JSON types, some KiB."""
        return {
            "tree": self._tree.state(),
            "messages": self._ledger.state(),
            "titles": self._titles.state(),
            "env": self._env,
            "at_us": self._at_us,
            "active": self._active,
            "switched": self._switched,
            "tag": self._tag,
        }

    def feed(self, line: Line, next_seq: int) -> list[Projected]:
        """Return the events of a physical line; never raises on bad input."""
        out: list[Projected] = []
        for piece in pieces(line.data):
            try:
                self._feed(piece, next_seq + len(out), out)
            except RecursionError:  # before anything was emitted or placed: projecting and encoding come first
                out.append(self._unread(piece, None, "the line is nested too deeply"))
        return out

    def finish(self, next_seq: int) -> list[Projected]:
        """Switch to the branch where the conversation ended, and give a title that no line gave."""
        out: list[Projected] = []
        if self._active != self._switched:
            data = {"name": self._active, "previous": self._switched}
            self._switched = self._active
            out.append(self._own("branch.switched", data, self._active))
        title = self._titles.take()
        if title is not None:
            out.append(self._own("title", {"title": title}, self._active))
        return out

    def _feed(self, piece: Piece, seq: int, out: list[Projected]) -> None:
        line = piece.value
        if line is None:
            out.append(self._unread(piece, "blank" if piece.problem is None else None, piece.problem))
            return
        at_us = parse_at(line.get("timestamp"))
        if at_us is not None:
            self._at_us = at_us
        kind, uuid = name_of(line.get("type")) or "(none)", name_of(line.get("uuid"))
        if uuid is None:
            out.append(self._feed_loose(piece, line, kind))
            return
        crc = crc32(piece.data.strip())
        if self._tree.repeats(uuid, crc):
            out.append(self._unread(piece, kind, f"the line repeats {uuid} word for word"))
            return
        parts: OutOfLine = []
        draft = self._draft(line, kind, seq, len(piece.data), parts)
        kept = _keep(piece, draft.data, parts)
        side = line.get("isSidechain") is True and not self._is_subagent
        branch, fork = self._tree.attach(_link(line, Link(uuid, "", draft.kind, side, crc)), seq)
        if draft.kind is Kind.BOUNDARY:
            self._tree.preserve(drafts.preserved(line), uuid)
        if fork is not None:
            out.append(self._fork_event(fork))
        if draft.leads and not branch.startswith(SIDECHAIN):
            self._active = branch
        self._titles.saw(uuid)
        if side:
            draft = draft._replace(turns=0)
        elif draft.turns:
            self._typed(draft.data)
        out.append(self._event(piece, draft, kept, branch, meta=self._meta(line, uuid)))

    def _feed_loose(self, piece: Piece, line: dict[str, Any], kind: str) -> Projected:
        """A line outside the tree; a snapshot of files has its time inside."""
        parts: OutOfLine = []
        draft = self._draft(line, kind, 0, len(piece.data), parts)
        kept = _keep(piece, draft.data, parts)
        inner = line.get("snapshot")
        at_us = parse_at(inner.get("timestamp")) if kind == "file-history-snapshot" and type(inner) is dict else None
        return self._event(piece, draft, kept, self._tree.current, at_us=at_us)

    def _unread(self, piece: Piece, native_type: str | None, problem: str | None) -> Projected:
        """Keep a piece that has no projection."""
        fields = (("native_type", native_type), ("problem", problem))
        data = {name: value for name, value in fields if value is not None}
        kept = _Kept(_encode(data), whole(piece.data), [])
        return self._event(piece._replace(problem=problem), Draft("opaque", data, "none"), kept, self._tree.current)

    def _event(
        self,
        piece: Piece,
        draft: Draft,
        kept: _Kept,
        branch: str,
        *,
        meta: dict[str, Any] | None = None,
        at_us: int | None = None,
    ) -> Projected:
        agent, parent = (None, None) if piece.value is None else (piece.value.get("agentId"), piece.value.get("parentUuid"))
        event = NewEvent(
            type=draft.type,
            data=kept.data,
            at=self._at_us if at_us is None else at_us,
            branch=branch,
            actor=name_of(agent),
            message_id=draft.message_id,
            block_index=draft.block_index,
            parent_id=name_of(parent),
            visibility=draft.visibility,
            meta=meta,
            message_count=draft.messages,
            turn_count=draft.turns,
            token_count=-(-len(kept.data) // TOKEN_BYTES) if draft.type in {"message", "context"} else 0,
            usage=draft.usage,
            source=kept.source,
        )
        return Projected(event, tuple(kept.parts), piece.problem)

    def _own(self, kind: str, data: dict[str, Any], branch: str) -> Projected:
        """An event that follows from the lines and keeps none."""
        return Projected(
            NewEvent(
                type=kind,
                data=_encode(data),
                at=self._at_us,
                branch=branch,
                visibility="none",
                message_count=0,
                turn_count=0,
            ),
        )

    def _fork_event(self, fork: Fork) -> Projected:
        data = {"name": fork.name, "parent": fork.parent, "fork_seq": fork.fork_seq}
        if fork.name.startswith(SIDECHAIN):
            data["reason"] = "sidechain"
        return self._own("branch.created", data, fork.parent)

    def _meta(self, line: dict[str, Any], uuid: str) -> dict[str, Any]:
        """What the envelope has no field for; the environment only where it changes, since the line has it anyway."""
        meta: dict[str, Any] = {"uuid": uuid}
        if line.get("isSidechain") is True:
            meta["sidechain"] = True
        if line.get("isCompactSummary") is True:
            meta["compact_summary"] = True
        env = [name if type(name := line.get(key)) is str else None for key in ("cwd", "gitBranch", "version")]
        if env != self._env:
            self._env = env
            meta["env"] = {name: value for name, value in zip(("cwd", "git_branch", "version"), env, strict=True) if value is not None}
        return meta

    def _typed(self, data: dict[str, Any]) -> None:
        for part in data["parts"]:
            if part["type"] == "text":
                self._titles.typed(part["content"])
                return

    def _draft(self, line: dict[str, Any], kind: str, seq: int, size_bytes: int, parts: OutOfLine) -> Draft:
        """Project a line."""
        if kind == "assistant":
            return drafts.assistant(line, self._ledger, parts)
        if kind == "user":
            return drafts.user(line, size_bytes, parts)
        if kind == "progress":
            return Draft(*records.progress(line))
        if kind == "attachment":
            return Draft(*records.attachment(line, parts))
        if kind == "system":
            if line.get("subtype") != "compact_boundary" or not seq:
                return Draft(*records.system(line))
            seqs = {self._tree.seq_of(uuid) for uuid in drafts.preserved(line)}
            return drafts.compaction(line, seq, sorted(found for found in seqs if found is not None))
        return Draft(*(self._named(kind, line) or records.other(kind, line, parts)))

    def _named(self, kind: str, line: dict[str, Any]) -> records.Record | None:
        """Titles and tags: the last one of its kind wins."""
        if kind in {"summary", "custom-title", "ai-title"}:
            title = self._titles.read(kind, line, self._tree.place)
            return None if title is None else records.Record("title", {"title": title}, "ui")
        tag = line.get("tag")
        if kind != "tag" or (tag and name_of(tag) is None):
            return None
        tag = tag or None
        removed = [self._tag] if self._tag and self._tag != tag else []
        self._tag = tag
        return records.Record("tag", {"added": [tag] if tag else [], "removed": removed}, "ui")


def _link(line: dict[str, Any], link: Link) -> Link:
    parent = line.get("logicalParentUuid" if link.kind is Kind.BOUNDARY else "parentUuid", "")
    return link._replace(parent=None if parent is None else name_of(parent) or "")


def _keep(piece: Piece, data: dict[str, Any], parts: OutOfLine) -> _Kept:
    """Keep the line beside its projection; media that both have are one part."""
    encoded = _encode(data)
    if not piece.plain:
        return _Kept(encoded, whole(piece.data), parts)
    source, more = cut(piece.data, data)
    if more and parts:
        return _Kept(encoded, source, list(dict([*parts, *more]).items()))
    return _Kept(encoded, source, more or parts)
