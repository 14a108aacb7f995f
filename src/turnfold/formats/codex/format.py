"""Codex CLI's rollouts as a format: how to know one, where they lie, whose session it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from turnfold.formats.base import Find, Reader, SourceInfo
from turnfold.formats.carrying.options import MARK, continued
from turnfold.formats.codex.reader import CodexReader
from turnfold.formats.fields import name_of, object_of, text_of, text_or_none
from turnfold.formats.lines import decode_line, parse_at
from turnfold.formats.places import root_of
from turnfold.limits import NAME_BYTES_MAX

AGENT = "codex"
DESCRIBE_LINES_MAX = 20
METADATA_CHARS_MAX = 4096
FILE_ID_CHARS_MAX = 60
"""Of an id in a file name: file systems take 255 bytes, and a character may be four."""
_LINE_TYPES = frozenset({"session_meta", "response_item", "event_msg", "turn_context", "compacted", "world_state", "token_usage_record"})
_long_first_line = re.compile(rb'\s*\{"timestamp":"[^"]{10,40}",(?:"ordinal":\d+,)?"type":"session_meta","payload":\{')
_file_id = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$")
_unsafe = re.compile(r"[^\w.-]+|\.\.+")


class CodexFormat:
    """See ``formats.base.Format``."""

    name = "codex"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for a rollout's line types in the first complete lines."""
        if _long_first_line.match(head):
            return 1.0
        sure = 0.0
        for data in islice(head.split(b"\n"), DESCRIBE_LINES_MAX):
            value, _ = decode_line(data) if data.strip() else (None, None)
            if isinstance(value, dict):
                sure = max(sure, _sureness(value))
        return sure

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the first ``session_meta`` (or the bare first line of old), and the first dated line."""
        meta: dict[str, Any] = {}
        created: int | None = None
        for data in islice(head, DESCRIBE_LINES_MAX):
            value, _ = decode_line(data) if data.strip() else (None, None)
            fields = object_of(value)
            created = created or parse_at(fields.get("timestamp"))
            if not meta and fields.get("type") == "session_meta":
                meta = object_of(fields.get("payload"))
            elif not meta and "type" not in fields and "id" in fields:
                meta = fields
            if meta and created:
                break
        return SourceInfo(
            native_id=name_of(meta.get("id")) or _id_from(path),
            agent=AGENT,
            version=text_or_none(meta.get("cli_version")),
            created_us=created or parse_at(meta.get("timestamp")),
            parent=_parent(meta),
            metadata=_metadata(meta),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader; a rollout is linear, so nothing is ever looked up."""
        return CodexReader(state)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield the rollouts of ``$CODEX_HOME`` or ``~/.codex``, archived and compressed ones too, oldest first by the time in their names."""
        found = [
            path
            for folder in self.folders(home, environ)
            for name in ("rollout-*.jsonl", "rollout-*.jsonl.zst")
            for path in folder.rglob(name)
        ]
        yield from sorted(found, key=lambda path: (path.name, str(path)))

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return the two folders of rollouts."""
        root = root_of(environ, "CODEX_HOME", home / ".codex")
        return [root / "sessions", root / "archived_sessions"]

    def companions(self, path: Path) -> list[Path]:
        """A rollout is one file; subagents have rollouts of their own."""
        return []

    def export_name(self, session_id: str) -> str:
        """Return the name that Codex looks for; without a time in it a rollout is not found."""
        return f"rollout-1970-01-01T00-00-00-{_unsafe.sub('_', session_id)[:FILE_ID_CHARS_MAX]}.jsonl"


def _sureness(value: dict[str, Any]) -> float:
    kind = value.get("type")
    if isinstance(value.get("payload"), dict) and text_of(kind) in _LINE_TYPES:
        return 0.95 if isinstance(value.get("timestamp"), str) else 0.8
    if "record_type" in value:
        return 0.9
    if kind is None and isinstance(value.get("id"), str) and "instructions" in value and "timestamp" in value:
        return 0.9
    message = kind == "message" and isinstance(value.get("content"), list) and isinstance(value.get("role"), str)
    call = kind == "function_call" and isinstance(value.get("arguments"), str) and isinstance(value.get("call_id"), str)
    if (message or call) and "uuid" not in value:
        return 0.5
    return 0.0


def _id_from(path: Path) -> str:
    match = _file_id.search(path.stem)
    return match[1] if match else path.stem.encode()[:NAME_BYTES_MAX].decode(errors="replace")[: NAME_BYTES_MAX // 4] or "codex"


def _parent(meta: dict[str, Any]) -> dict[str, Any] | None:
    source = object_of(object_of(meta.get("source")).get("subagent"))
    spawned = name_of(object_of(source.get("thread_spawn")).get("parent_thread_id")) or name_of(meta.get("parent_thread_id"))
    if spawned:
        return {"session_id": spawned, "relation": "subagent"}
    origin = continued(object_of(meta.get(MARK)).get("origin"))
    if origin is not None:
        return origin
    forked = name_of(meta.get("forked_from_id"))
    return {"session_id": forked, "relation": "fork"} if forked else None


def _metadata(meta: dict[str, Any]) -> dict[str, Any]:
    git = object_of(meta.get("git"))
    fields = {
        "cwd": meta.get("cwd"),
        "git_branch": git.get("branch"),
        "git_commit": git.get("commit_hash"),
        "originator": meta.get("originator"),
        "cli_version": meta.get("cli_version"),
        "model_provider": meta.get("model_provider"),
        "agent_nickname": meta.get("agent_nickname"),
    }
    return {key: value for key, value in fields.items() if isinstance(value, str) and 0 < len(value) <= METADATA_CHARS_MAX}
