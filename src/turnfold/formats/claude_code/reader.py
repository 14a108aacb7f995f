"""The reader: one file's lines → events, with what later lines need in a small state."""

from __future__ import annotations

from typing import Any, NamedTuple
from zlib import crc32

from turnfold.codec.residual import cut, whole
from turnfold.formats.base import Find, Line, Projected, SourceInfo
from turnfold.formats.claude_code import records
from turnfold.formats.claude_code.lines import Piece, pieces, time_us
from turnfold.formats.claude_code.messages import DETAIL_LINE_BYTES_MAX, FINISH_REASONS, OutOfLine, parts_of
from turnfold.formats.claude_code.titles import Titles
from turnfold.formats.claude_code.tree import SIDECHAIN, Fork, Kind, Link, Tree
from turnfold.formats.claude_code.usage import Ledger, normalise
from turnfold.model.event import MAIN, NewEvent, Visibility
from turnfold.model.usage import NO_USAGE, Usage

SYNTHETIC = "<synthetic>"
_NOT_TYPED = ("<local-command-stdout>", "<local-command-stderr>", "<bash-stdout>", "<task-notification>", "[Request interrupted")
"""Beginnings of user texts that nobody typed."""


class _Draft(NamedTuple):
    """What a line becomes, before its branch is known."""

    type: str
    data: dict[str, Any]
    visibility: Visibility = "both"
    kind: Kind = Kind.PART
    message_id: str | None = None
    block_index: int | None = None
    messages: int = 0
    turns: int = 0
    usage: Usage = NO_USAGE
    leads: bool = False
    """Makes its branch the one where the conversation is."""


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
            self._feed(piece, next_seq + len(out), out)
        return out

    def finish(self, next_seq: int) -> list[Projected]:
        """Switch to the branch where the conversation ended, and set a title that turned out to be this file's."""
        out: list[Projected] = []
        if self._active != self._switched:
            data = {"name": self._active, "previous": self._switched}
            self._switched = self._active
            out.append(self._own("branch.switched", data, self._active))
        title = self._titles.take()
        if title is not None:
            out.append(self._own("title", {"title": title}, self._active))
        return out

    def _own(self, kind: str, data: dict[str, Any], branch: str) -> Projected:
        return Projected(NewEvent(type=kind, data=data, at=self._at_us, branch=branch, visibility="none", message_count=0, turn_count=0))

    def _feed(self, piece: Piece, seq: int, out: list[Projected]) -> None:
        line = piece.value
        if line is None:
            data = {"native_type": "blank"} if piece.problem is None else {"problem": piece.problem}
            out.append(self._unread(piece, data, piece.problem))
            return
        at_us = time_us(line.get("timestamp"))
        if at_us is not None:
            self._at_us = at_us
        uuid, kind = line.get("uuid"), line.get("type")
        kind = kind if type(kind) is str else ""
        if type(uuid) is not str or not uuid:
            self._feed_loose(piece, line, kind, out)
            return
        crc = crc32(piece.data.strip())
        if self._tree.repeats(uuid, crc):
            problem = f"the line repeats {uuid} word for word"
            out.append(self._unread(piece, {"native_type": kind, "problem": problem}, problem))
            return
        parts: OutOfLine = []
        draft = self._draft(line, kind, len(piece.data), parts)
        if draft.type == "compaction":
            draft.data["last_seq"] = max(seq - 1, 1)
            draft.data["keeps"] = self._kept_seqs(line)
        side = line.get("isSidechain") is True and not self._is_subagent
        branch, fork = self._tree.attach(_link(line, uuid, draft.kind, side, crc), seq)
        if draft.kind is Kind.BOUNDARY:
            self._tree.preserve(_preserved(line), uuid)
        if fork is not None:
            out.append(self._fork_event(fork, side))
        if draft.leads and not side and not branch.startswith(SIDECHAIN):
            self._active = branch
        self._titles.saw(uuid)
        out.append(self._chained(piece, line, uuid, branch, draft, parts))

    def _chained(self, piece: Piece, line: dict[str, Any], uuid: str, branch: str, draft: _Draft, parts: OutOfLine) -> Projected:
        meta: dict[str, Any] = {"uuid": uuid}
        if line.get("isSidechain") is True:
            meta["sidechain"] = True
        env = [line.get("cwd"), line.get("gitBranch"), line.get("version")]
        if env != self._env:
            self._env = env
            meta["env"] = {name: value for name, value in zip(("cwd", "git_branch", "version"), env, strict=True) if value is not None}
        if line.get("isCompactSummary") is True:
            meta["compact_summary"] = True
        agent, parent = line.get("agentId"), line.get("parentUuid")
        source, parts = _keep(piece, draft.data, parts)
        event = NewEvent(
            type=draft.type,
            data=draft.data,
            at=self._at_us,
            branch=branch,
            actor=agent if type(agent) is str else None,
            message_id=draft.message_id,
            block_index=draft.block_index,
            parent_id=parent if type(parent) is str and parent else None,
            visibility=draft.visibility,
            meta=meta,
            message_count=draft.messages,
            turn_count=draft.turns,
            usage=draft.usage,
            source=source,
        )
        return Projected(event, tuple(parts), piece.problem)

    def _feed_loose(self, piece: Piece, line: dict[str, Any], kind: str, out: list[Projected]) -> None:
        """A line outside the tree."""
        parts: OutOfLine = []
        if kind in {"user", "assistant"} and type(line.get("message")) is dict:
            draft = self._draft(line, kind, len(piece.data), parts)
            out.append(self._loose(piece, draft, parts))
            return
        record = self._named(kind, line) or records.other(kind or "(none)", line, parts)
        snapshot = line.get("snapshot")
        at_us = time_us(snapshot.get("timestamp")) if kind == "file-history-snapshot" and type(snapshot) is dict else None
        out.append(self._loose(piece, _Draft(*record), parts, at_us))

    def _loose(self, piece: Piece, draft: _Draft, parts: OutOfLine, at_us: int | None = None) -> Projected:
        source, parts = _keep(piece, draft.data, parts)
        event = NewEvent(
            type=draft.type,
            data=draft.data,
            at=self._at_us if at_us is None else at_us,
            branch=self._tree.current,
            message_id=draft.message_id,
            block_index=draft.block_index,
            visibility=draft.visibility,
            message_count=draft.messages,
            turn_count=draft.turns,
            usage=draft.usage,
            source=source,
        )
        return Projected(event, tuple(parts), piece.problem)

    def _unread(self, piece: Piece, data: dict[str, Any], problem: str | None) -> Projected:
        """Keep a line that has no projection."""
        return self._loose(piece._replace(problem=problem, plain=False), _Draft("opaque", data, "none"), [])

    def _fork_event(self, fork: Fork, side: bool) -> Projected:
        data = {"name": fork.name, "parent": fork.parent, "fork_seq": fork.fork_seq}
        if side:
            data["reason"] = "sidechain"
        return self._own("branch.created", data, fork.parent)

    def _named(self, kind: str, line: dict[str, Any]) -> records.Record | None:
        """Titles and tags: the last one of its kind wins."""
        if kind in {"summary", "custom-title", "ai-title"}:
            title = self._titles.read(kind, line, self._tree.place)
            return None if title is None else records.Record("title", {"title": title}, "ui")
        tag = line.get("tag")
        if kind != "tag" or type(tag) is not str:
            return None
        removed = [self._tag] if self._tag and self._tag != tag else []
        self._tag = tag or None
        return records.Record("tag", {"added": [tag] if tag else [], "removed": removed}, "ui")

    def _draft(self, line: dict[str, Any], kind: str, size_bytes: int, parts: OutOfLine) -> _Draft:
        """Project a line of the tree."""
        if kind == "assistant":
            return self._assistant(line, parts)
        if kind == "user":
            return self._user(line, size_bytes, parts)
        if kind == "progress":
            return _Draft(*records.progress(line))
        if kind == "attachment":
            return _Draft(*records.attachment(line, parts))
        if kind == "system":
            return _compaction(line) if line.get("subtype") == "compact_boundary" else _Draft(*records.system(line))
        record = self._named(kind, line) or records.other(kind or "(none)", line, parts)
        return _Draft(*record)

    def _assistant(self, line: dict[str, Any], parts: OutOfLine) -> _Draft:
        native = line.get("message")
        if type(native) is not dict:
            return _Draft("opaque", {"native_type": "assistant"}, "none")
        message_id, model, stop = native.get("id"), native.get("model"), native.get("stop_reason")
        message_id = message_id if type(message_id) is str and message_id else None
        data: dict[str, Any] = {"role": "assistant", "parts": parts_of(native.get("content"), parts)}
        if type(stop) is str:
            data["finish_reason"] = FINISH_REASONS.get(stop, stop)
            data["native_finish_reason"] = stop
        if type(model) is str and model != SYNTHETIC:
            data["model"] = model
            if model.startswith("claude"):
                data["provider"] = "anthropic"
        else:
            model = None
            data["synthetic"] = True
        if message_id is not None:
            data["response_id"] = message_id
        request_id = line.get("requestId")
        if type(request_id) is str:
            data["request_id"] = request_id
        kind = Kind.PART if message_id is not None and message_id in self._ledger else Kind.STEP
        usage = NO_USAGE if model is None else normalise(native.get("usage"), model, line.get("costUSD"))
        step = self._ledger.add(message_id, len(data["parts"]), usage)
        if step.revised:
            data["usage"] = {name: value for name, value in zip(usage.__struct_fields__, usage.numbers(), strict=False) if value}
            data["usage"]["model"] = usage.model
        return _Draft("message", data, "both", kind, message_id, step.block_index, int(step.first), 0, step.delta, leads=True)

    def _user(self, line: dict[str, Any], size_bytes: int, parts: OutOfLine) -> _Draft:
        native = line.get("message")
        if type(native) is not dict:
            return _Draft("opaque", {"native_type": "user"}, "none")
        content = native.get("content")
        payload: dict[str, Any] = {"role": "user", "parts": parts_of(content, parts)}
        results = [part for part in payload["parts"] if part["type"] == "tool_call_response"]
        if results:
            payload["role"] = "tool"
            detail = line.get("toolUseResult")
            if detail is not None and size_bytes <= DETAIL_LINE_BYTES_MAX:
                results[0]["detail"] = detail
            return _Draft("message", payload, messages=1, leads=True)
        if line.get("isMeta") is True:
            return _Draft("context", payload, "model", Kind.NOTE)
        if line.get("isCompactSummary") is True:
            return _Draft("message", payload, "model", Kind.STEP, messages=1, leads=True)
        return _Draft("message", payload, kind=Kind.STEP, messages=1, turns=int(self._is_typed(line, payload["parts"])), leads=True)

    def _is_typed(self, line: dict[str, Any], parts: list[dict[str, Any]]) -> bool:
        """Whether a person (or the program in a person's place) asked this, in the main conversation."""
        origin = line.get("origin")
        if type(origin) is dict and origin.get("kind") == "task-notification":
            return False
        if line.get("isSidechain") is True and not self._is_subagent:
            return False
        first = parts[0] if parts else None
        return first is not None and not (first["type"] == "text" and first["content"].startswith(_NOT_TYPED))

    def _kept_seqs(self, line: dict[str, Any]) -> list[int]:
        seqs = (self._tree.seq_of(uuid) for uuid in _preserved(line))
        return sorted({seq for seq in seqs if seq is not None})


def _link(line: dict[str, Any], uuid: str, kind: Kind, side: bool, crc: int) -> Link:
    parent = line.get("logicalParentUuid" if kind is Kind.BOUNDARY else "parentUuid", "")
    return Link(uuid, parent if parent is None or type(parent) is str else "", kind, side, crc)


def _compaction(line: dict[str, Any]) -> _Draft:
    """A boundary: everything before it on its branch, but what it keeps, is represented by the summary in the next line."""
    facts = line.get("compactMetadata")
    facts = facts if type(facts) is dict else {}
    data: dict[str, Any] = {"trigger": facts.get("trigger") if type(facts.get("trigger")) is str else None, "first_seq": 1}
    for name, key in (("pre_tokens", "preTokens"), ("post_tokens", "postTokens")):
        if type(facts.get(key)) is int:
            data[name] = facts[key]
    return _Draft("compaction", data, "ui", Kind.BOUNDARY)


def _preserved(line: dict[str, Any]) -> list[str]:
    """Uuids of the messages that a compaction keeps."""
    facts = line.get("compactMetadata")
    kept = facts.get("preservedMessages") if type(facts) is dict else None
    uuids = kept.get("allUuids") or kept.get("uuids") if type(kept) is dict else None
    return [uuid for uuid in uuids if type(uuid) is str] if type(uuids) is list else []


def _keep(piece: Piece, data: dict[str, Any], parts: OutOfLine) -> tuple[bytes, OutOfLine]:
    """Keep the line beside its projection; media that both have are one part."""
    if not piece.plain:
        return whole(piece.data), parts
    source, more = cut(piece.data, data)
    if more and parts:
        return source, list(dict([*parts, *more]).items())
    return source, more or parts
