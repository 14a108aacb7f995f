"""Which files are Copilot CLI's, where they are, and what their first line says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from turnfold.formats.base import Find, SourceInfo
from turnfold.formats.copilot.reader import CopilotReader
from turnfold.formats.documents import head_value
from turnfold.formats.fields import metadata_of, name_of, object_of, stem_of, text_of, text_or_none
from turnfold.formats.lines import decode_line, parse_at
from turnfold.formats.places import oldest_first, root_of

NAME = "copilot"
DESCRIBE_LINES_MAX = 20
_TYPE = re.compile(r"(session|user|assistant|tool|tool_search|hook|system|subagent|skill|permission|external_tool)\.[\w.]+|abort", re.ASCII)


class CopilotFormat:
    """See ``formats.base.Format``."""

    name = NAME

    def sniff(self, path: Path, head: bytes) -> float:
        """Look at the first line's envelope."""
        value = object_of(head_value(head))
        kind = text_of(value.get("type"))
        if not isinstance(value.get("data"), dict) or "id" not in value or "parentId" not in value:
            return 0.0
        if kind == "session.start":
            return 1.0 if "sessionId" in value["data"] else 0.8
        return 0.8 if _TYPE.fullmatch(kind) and isinstance(value.get("timestamp"), str) else 0.0

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the first ``session.start``; without one the folder's name is the session's."""
        start: dict[str, Any] = {}
        created: int | None = None
        for data in islice(head, DESCRIBE_LINES_MAX):
            fields = object_of(decode_line(data)[0])
            created = created or parse_at(fields.get("timestamp"))
            if fields.get("type") == "session.start":
                start = object_of(fields.get("data"))
                break
        place = object_of(start.get("context"))
        facts = {
            "cwd": place.get("cwd"),
            "git_branch": place.get("branch"),
            "git_commit": place.get("headCommit"),
            "repository": place.get("repository"),
            "model": start.get("selectedModel"),
            "version": start.get("copilotVersion"),
        }
        return SourceInfo(
            native_id=name_of(start.get("sessionId")) or _id_from(path),
            agent=NAME,
            version=text_or_none(start.get("copilotVersion")),
            created_us=parse_at(start.get("startTime")) or created,
            metadata=metadata_of(facts),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> CopilotReader:
        """Return a reader; nothing is ever looked up."""
        return CopilotReader(state)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield the sessions of ``$COPILOT_HOME`` or ``~/.copilot``, and those of old (one file per session), oldest first."""
        yield from oldest_first(
            path for folder in self.folders(home, environ) for name in ("*/events.jsonl", "*.jsonl") for path in folder.glob(name)
        )

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return the folder of sessions."""
        root = root_of(environ, "COPILOT_HOME", home / ".copilot")
        return [root / "session-state"]

    def companions(self, path: Path) -> list[Path]:
        """One session is one file."""
        return []

    def export_name(self, session_id: str) -> str:
        """``<session>/events.jsonl``, as under ``session-state``."""
        return f"{stem_of(session_id)}/events.jsonl"


def _id_from(path: Path) -> str:
    own = path.parent.name if path.name == "events.jsonl" else path.stem
    return name_of(own) or NAME
