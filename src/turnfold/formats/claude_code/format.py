"""The format: which files are Claude Code's, where they are, and what their first lines say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from turnfold.formats.base import Find, SourceInfo
from turnfold.formats.carrying.options import continued
from turnfold.formats.claude_code.reader import ClaudeCodeReader
from turnfold.formats.lines import parse_at
from turnfold.formats.pieces import pieces
from turnfold.formats.places import oldest_first

NAME = "claude-code"
HEAD_BYTES = 64 * 1024
HEAD_LINES_MAX = 200
"""Lines that are looked at for a session's facts."""
FILE_BYTES_MAX = 64 * 1024
"""A larger ``meta.json`` is none."""

_uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_unsafe = re.compile(r"[^A-Za-z0-9._-]")
_CHAINED = frozenset({"user", "assistant", "system", "progress", "attachment"})
_LOOSE = frozenset(
    {"file-history-snapshot", "queue-operation", "custom-title", "ai-title", "last-prompt", "permission-mode", "pr-link", "cost-state"},
)


class ClaudeCodeFormat:
    """Claude Code's JSONL session files, from 0.2 on."""

    name = NAME

    def sniff(self, path: Path, head: bytes) -> float:
        """Judge by the first lines' fields."""
        if path.name.endswith(".meta.json"):
            return 0.0
        lines = head.split(b"\n")[:20]
        best = max((_likeness(piece.value) for line in lines if line.strip() for piece in pieces(line)), default=0.0)
        if not best and b'"parentUuid":' in head and b'"sessionId":' in head and b'"isSidechain":' in head:
            return 0.9  # the first line is longer than the head
        if not best and not head.strip():
            return 0.1 if path.suffix == ".jsonl" and _uuid.fullmatch(path.stem) and path.parent.parent.name == "projects" else 0.0
        return best

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read session id, version, place and time from the first lines that have them."""
        facts = _facts(head)
        session_id = facts.get("sessionId") or path.stem
        if _uuid.fullmatch(path.stem):
            session_id = path.stem  # what the tool itself goes by, where lines copied from another session still name that one
        agent = path.stem if path.stem.startswith("agent-") else None
        if agent is None and facts.get("isSidechain") is True and type(facts.get("agentId")) is str:
            agent = f"agent-{facts['agentId']}"
        named = (("cwd", "cwd"), ("git_branch", "gitBranch"), ("version", "version"))
        metadata = {name: facts[key] for name, key in named if key in facts}
        parent = None
        if agent is not None:
            if path.parent.name == "subagents":
                session_id = path.parent.parent.name
            parent = {"session_id": session_id, "relation": "subagent"}
            session_id = f"{session_id}/subagents/{agent}"
        else:
            parent = continued(facts.get("origin"))
        return SourceInfo(
            native_id=session_id,
            agent=NAME,
            version=facts.get("version"),
            title=facts.get("customTitle"),
            created_us=facts.get("at_us"),
            parent=parent,
            metadata=metadata,
            files=_meta_files(path),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> ClaudeCodeReader:
        """Return a reader of one file."""
        return ClaudeCodeReader(info, state, find)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield main and subagent files of all projects, oldest first."""
        patterns = ("*/*.jsonl", "*/*/subagents/*.jsonl")
        yield from oldest_first(path for folder in self.folders(home, environ) for pattern in patterns for path in folder.glob(pattern))

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return the folders of projects."""
        configured = environ.get("CLAUDE_CONFIG_DIR")
        roots = [Path(configured)] if configured else [home / ".claude", home / ".config" / "claude"]
        return [root / "projects" for root in roots]

    def companions(self, path: Path) -> list[Path]:
        """Subagents' files of a main file, and the ``meta.json`` beside each of them."""
        if path.stem.startswith("agent-"):
            return _metas([path])
        agents = sorted((path.parent / path.stem / "subagents").glob("*.jsonl"))
        agents += [other for other in sorted(path.parent.glob("agent-*.jsonl")) if self._is_of(other, path)]
        return [file for agent in agents for file in (agent, *_metas([agent]))]

    def export_name(self, session_id: str) -> str:
        """``<session>.jsonl``, a subagent's in its parent's folder; never outside the target folder."""
        steps = [_unsafe.sub("-", step) for step in session_id.split("/") if step not in {"", ".", ".."}]
        return "/".join(steps or ["session"]) + ".jsonl"

    def _is_of(self, agent_file: Path, main: Path) -> bool:
        try:
            with agent_file.open("rb") as file:
                info = self.describe(agent_file, file.read(HEAD_BYTES).splitlines(keepends=True))
                mine = self.describe(main, _head_lines(main))
        except OSError:
            return False
        return info.parent is not None and info.parent["session_id"] == mine.native_id


def _head_lines(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES).splitlines(keepends=True)


def _metas(agents: list[Path]) -> list[Path]:
    metas = (agent.with_name(agent.stem + ".meta.json") for agent in agents)
    return [meta for meta in metas if meta.is_file()]


def _meta_files(path: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    for meta in _metas([path]):
        try:
            data = meta.read_bytes()
            if len(data) <= FILE_BYTES_MAX:
                files[meta.name] = data.decode()
        except (OSError, UnicodeDecodeError):
            continue  # unreadable, or no JSON text: nothing that could be kept as text
    return files


def _likeness(line: dict[str, Any] | None) -> float:
    """How much a line looks like one of these files."""
    if line is None:
        return 0.0
    kind = line.get("type")
    if type(kind) is not str:
        return 0.0
    if kind in _CHAINED and "uuid" in line and ("parentUuid" in line or "sessionId" in line):
        return 1.0
    if kind in _LOOSE and ("sessionId" in line or kind == "file-history-snapshot"):
        return 0.95
    if kind == "summary" and "leafUuid" in line:
        return 0.95
    return 0.5 if "sessionId" in line and "payload" not in line else 0.0


def _facts(head: Iterable[bytes]) -> dict[str, Any]:
    """The first value of each field of interest."""
    facts: dict[str, Any] = {}
    for number, data in enumerate(head):
        if number >= HEAD_LINES_MAX or ("cwd" in facts and "at_us" in facts):
            break
        for piece in pieces(data):
            if piece.value is not None:
                _gather(piece.value, facts)
    return facts


def _gather(line: dict[str, Any], facts: dict[str, Any]) -> None:
    for key in ("sessionId", "cwd", "gitBranch", "version", "customTitle", "agentId"):
        value = line.get(key)
        if key not in facts and type(value) is str and value:
            facts[key] = value
    if "turnfold" in line and type(line["turnfold"]) is dict:
        facts.setdefault("origin", line["turnfold"].get("origin"))
    if "uuid" in line and type(line.get("isSidechain")) is bool:
        facts.setdefault("isSidechain", line["isSidechain"])
    at_us = parse_at(line.get("timestamp"))
    if at_us is not None:
        facts.setdefault("at_us", at_us)
