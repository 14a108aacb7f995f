"""What the import and export tests share: stores, corpus files, and what a session looks like from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from turnfold.core.fold import fold_head
from turnfold.engine.exporter import Exporter
from turnfold.engine.reading import read_all
from turnfold.engine.verify import verify_session
from turnfold.model.event import Event
from turnfold.model.session import Head, SessionKey
from turnfold.ports.store import Store
from turnfold.stores.registry import open_store

SCHEMES = ("memory", "sqlite", "files")
OpenStore = Callable[[], Store]


def opener(scheme: str, folder: Path) -> OpenStore:
    """Return what opens a new empty store of that scheme each time."""
    made = 0

    def open_new() -> Store:
        nonlocal made
        made += 1
        folder.mkdir(parents=True, exist_ok=True)
        return open_store("memory://" if scheme == "memory" else f"{scheme}:///{folder / f'store-{made}'}?durability=normal")

    return open_new


LINE_FOLDERS = ("claude-code", "codex", "other/copilot-cli", "other/grok", "other/kimi", "other/pi")
"""Folders of the corpus whose files are of line formats."""


def corpus(shared_dir: Path) -> list[Path]:
    """Every session file of the line formats."""
    transcripts = shared_dir / "data" / "transcripts"
    return sorted(path for folder in LINE_FOLDERS for path in (transcripts / folder).rglob("*.jsonl"))


def codex_file(shared_dir: Path, part: str) -> Path:
    """The one Codex file whose path has that part."""
    (found,) = [path for path in corpus(shared_dir) if "codex" in path.parts and part in str(path)]
    return found


def key_of(session_id: str) -> SessionKey:
    return SessionKey("default", session_id)


def events_of(store: Store, session_id: str) -> list[Event]:
    return list(read_all(store, key_of(session_id), with_source=True))


def content_of(store: Store, session_id: str) -> list[tuple[Any, ...]]:
    """A session's events without what differs from import to import: times of recording, salts, digests, incarnations."""
    return [(e.seq, e.id, e.type, e.data_raw, e.at_us, e.branch, e.run_id, e.message_count, e.source) for e in events_of(store, session_id)]


def head_of(store: Store, session_id: str) -> Head:
    return store.get_session(key_of(session_id))


def exported(store: Store, session_id: str) -> bytes:
    return b"".join(Exporter(store).native(session_id))


def check_session(store: Store, session_id: str) -> None:
    """A session is sound: it verifies, and its head is the fold of its log."""
    verify_session(store, key_of(session_id))
    head = head_of(store, session_id)
    folded = fold_head(session_id, events_of(store, session_id), incarnation=head.info.incarnation)
    assert head == folded


def codex_line(kind: str, payload: dict[str, Any], second: int = 0) -> bytes:
    line = {"timestamp": f"2026-03-01T10:00:{second:02d}.000Z", "type": kind, "payload": payload}
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def codex_session(session_id: str, texts: list[str]) -> bytes:
    """A small rollout: its meta line and one typed message with its answer per text."""
    lines = [codex_line("session_meta", {"id": session_id, "timestamp": "2026-03-01T10:00:00.000Z", "cwd": "/w", "cli_version": "0.140.0"})]
    for index, text in enumerate(texts):
        for role, kind in (("user", "input_text"), ("assistant", "output_text")):
            content = [{"type": kind, "text": f"{text} ({role})"}]
            lines.append(codex_line("response_item", {"type": "message", "role": role, "content": content}, index % 60))
    return b"".join(lines)
