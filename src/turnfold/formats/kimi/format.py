"""Which files are Kimi Code's, where they are, and what their first lines say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from turnfold.formats.base import Find, SourceInfo
from turnfold.formats.documents import head_value
from turnfold.formats.fields import at_ms, metadata_of, name_of, object_of, stem_of, text_of, text_or_none
from turnfold.formats.kimi.reader import KimiReader
from turnfold.formats.lines import decode_line
from turnfold.formats.places import oldest_first, root_of, small_text

NAME = "kimi"
DESCRIBE_LINES_MAX = 20
MAIN_AGENT = "main"


class KimiFormat:
    """See ``formats.base.Format``."""

    name = NAME

    def sniff(self, path: Path, head: bytes) -> float:
        """Look at the first line: the protocol's, or another record with a time."""
        value = object_of(head_value(head))
        kind = text_of(value.get("type"))
        if kind == "metadata" and isinstance(value.get("protocol_version"), str) and "created_at" in value:
            return 1.0
        own = kind.startswith(("context.append_", "turn.", "llm.", "full_compaction.")) or kind in {"config.update", "usage.record"}
        return 0.8 if own and type(value.get("time")) is int else 0.0

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the protocol's version and the model; the folders name session and agent."""
        facts: dict[str, Any] = {}
        created: int | None = None
        for data in islice(head, DESCRIBE_LINES_MAX):
            fields = object_of(decode_line(data)[0])
            created = created or at_ms(fields.get("created_at")) or at_ms(fields.get("time"))
            found = {"protocol_version": fields.get("protocol_version"), "model": fields.get("modelAlias")}
            facts = {**metadata_of(found), **facts}
        session_id, agent = _place(path)
        beside = _beside(path)
        title = text_or_none(beside.get("customTitle")) if beside.get("isCustomTitle") is True else None
        facts["cwd"] = beside.get("workDir") or beside.get("cwd")
        parent = None
        if agent != MAIN_AGENT:
            parent = {"session_id": session_id, "relation": "subagent"}
            session_id = f"{session_id}/subagents/{agent}"
        return SourceInfo(
            native_id=session_id,
            agent=NAME,
            title=title or text_or_none(beside.get("title")),
            created_us=created,
            parent=parent,
            metadata=metadata_of(facts),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> KimiReader:
        """Return a reader; nothing is ever looked up."""
        return KimiReader(info, state)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield main and subagents' files of ``$KIMI_CODE_HOME`` or ``~/.kimi-code``, oldest first."""
        yield from oldest_first(path for folder in self.folders(home, environ) for path in folder.glob("*/*/agents/*/wire.jsonl"))

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return the folder of sessions."""
        root = root_of(environ, "KIMI_CODE_HOME", home / ".kimi-code")
        return [root / "sessions"]

    def companions(self, path: Path) -> list[Path]:
        """Subagents' files of a main file."""
        if path.name != "wire.jsonl" or path.parent.name != MAIN_AGENT or path.parent.parent.name != "agents":
            return []
        return [other for other in sorted(path.parent.parent.glob("*/wire.jsonl")) if other != path]

    def export_name(self, session_id: str) -> str:
        """``<session>/agents/<agent>/wire.jsonl``, as under a project's folder."""
        own, _, agent = session_id.partition("/subagents/")
        return f"{stem_of(own)}/agents/{stem_of(agent) if agent else MAIN_AGENT}/wire.jsonl"


def _beside(path: Path) -> dict[str, Any]:
    """What the tool keeps beside the agents' folders: the session's title and where it was; of the main agent."""
    if path.name != "wire.jsonl" or path.parent.name != MAIN_AGENT or path.parent.parent.name != "agents":
        return {}
    return object_of(decode_line((small_text(path.parents[2] / "state.json") or "").encode())[0])


def _place(path: Path) -> tuple[str, str]:
    """Return the session's and the agent's id."""
    if path.name == "wire.jsonl" and path.parent.parent.name == "agents":
        return name_of(path.parents[2].name) or NAME, name_of(path.parent.name) or MAIN_AGENT
    return name_of(path.stem) or NAME, MAIN_AGENT
