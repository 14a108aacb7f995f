"""Gemini CLI's JSON Lines (``~/.gemini/tmp/<project>/chats/session-*.jsonl``): the format that it writes now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from turnfold.formats.base import Find, SourceInfo
from turnfold.formats.fields import list_of, metadata_of, name_of, object_of, stem_of, text_of, text_or_none
from turnfold.formats.gemini.reader import GeminiReader
from turnfold.formats.lines import decode_line, parse_at
from turnfold.formats.places import oldest_first, root_of

NAME = "gemini"
DESCRIBE_LINES_MAX = 20


class GeminiFormat:
    """See ``formats.base.Format``."""

    name = NAME

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for the session's facts in the first line, or for records that no other tool writes."""
        first, newline, rest = head.lstrip().partition(b"\n")
        value = object_of(decode_line(first)[0]) if newline else {}
        if isinstance(value.get("sessionId"), str) and isinstance(value.get("projectHash"), str):
            return 1.0 if "messages" not in value or rest.strip() else 0.0
        if "$set" in value or "$rewindTo" in value:
            return 0.7
        return 0.6 if _is_message(value) else 0.0

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the session's facts; a subagent's file lies in a folder named after its parent."""
        facts: dict[str, Any] = {}
        model: str | None = None
        for data in islice(head, DESCRIBE_LINES_MAX):
            value = object_of(decode_line(data)[0])
            if not facts and isinstance(value.get("sessionId"), str):
                facts = value
            model = model or text_or_none(value.get("model"))
        native_id = name_of(facts.get("sessionId")) or name_of(path.stem) or NAME
        parent = None
        if facts.get("kind") == "subagent" and path.parent.parent.name == "chats":
            parent = {"session_id": path.parent.name, "relation": "subagent"}
            native_id = f"{path.parent.name}/subagents/{native_id}"
        folders = [folder for folder in list_of(facts.get("directories")) if isinstance(folder, str)]
        metadata = {"project_hash": facts.get("projectHash"), "model": model, "cwd": folders[0] if folders else None}
        return SourceInfo(
            native_id=native_id,
            agent=NAME,
            title=text_or_none(facts.get("summary")),
            created_us=parse_at(facts.get("startTime")),
            parent=parent,
            metadata=metadata_of(metadata),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> GeminiReader:
        """Return a reader of one session."""
        return GeminiReader(state, find)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield sessions and subagents' files under ``~/.gemini`` (or that of ``$GEMINI_CLI_HOME``), oldest first."""
        root = gemini_folder(home, environ)
        patterns = ("tmp/*/chats/session-*.jsonl", "tmp/*/chats/*/*.jsonl")
        yield from oldest_first(path for pattern in patterns for path in root.glob(pattern))

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return the folder of projects."""
        return [gemini_folder(home, environ) / "tmp"]

    def companions(self, path: Path) -> list[Path]:
        """Subagents' files of a session."""
        try:
            with path.open("rb") as file:
                info = self.describe(path, [file.readline(1 << 20)])
        except OSError:
            return []
        return sorted((path.parent / stem_of(info.native_id)).glob("*.jsonl")) if info.parent is None else []

    def export_name(self, session_id: str) -> str:
        """Return a name that the tool lists; a subagent's file lies in its parent's folder."""
        own, _, agent = session_id.partition("/subagents/")
        return f"{stem_of(own)}/{stem_of(agent)}.jsonl" if agent else f"session-1970-01-01T00-00-{stem_of(own)}.jsonl"


def gemini_folder(home: Path, environ: dict[str, str]) -> Path:
    """Return the tool's own folder."""
    return root_of(environ, "GEMINI_CLI_HOME", home) / ".gemini"


def _is_message(value: dict[str, Any]) -> bool:
    kind = text_of(value.get("type"))
    return kind in {"gemini", "user"} and "content" in value and "id" in value and "timestamp" in value and "uuid" not in value
