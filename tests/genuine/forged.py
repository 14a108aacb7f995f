"""The smallest session files that the genuine programs resume, written by hand."""

from __future__ import annotations

import json
from typing import Any

SESSION = "0b6f0a52-52f2-4a3e-9d38-5f6c2f7e7a11"
THREAD = "01a1f854-1f44-7543-acd1-fb38f5db59a0"
ROLLOUT = f"rollout-2026-03-01T10-00-00-{THREAD}.jsonl"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # one pixel


def _lines(values: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(value, separators=(",", ":")).encode() + b"\n" for value in values)


def claude_file(contents: list[tuple[str, Any]]) -> bytes:
    """A Claude Code session of messages: role and content."""
    lines: list[dict[str, Any]] = []
    parent: str | None = None
    for number, (role, content) in enumerate(contents, start=1):
        uuid = f"11111111-1111-4111-8111-{number:012d}"
        message: dict[str, Any] = {"role": role, "content": content}
        if role == "assistant":
            usage = {"input_tokens": 0, "output_tokens": 0}
            message |= {
                "id": f"msg_{number}",
                "type": "message",
                "model": "gpt-5",
                "stop_reason": None,
                "stop_sequence": None,
                "usage": usage,
            }
        lines.append(
            {
                "parentUuid": parent,
                "isSidechain": False,
                "type": role,
                "message": message,
                "uuid": uuid,
                "timestamp": f"2026-03-01T10:00:{number:02d}.000Z",
                "sessionId": SESSION,
                "cwd": "/w",
                "version": "2.1.0",
                "userType": "external",
            }
        )
        parent = uuid
    return _lines([*lines, {"type": "custom-title", "customTitle": "Imported from Codex", "sessionId": SESSION}])


def codex_file(items: list[dict[str, Any]], *, thread: str = THREAD) -> bytes:
    """A Codex rollout of response items, with the events that make it listed."""
    at = "2026-03-01T10:00:00.000Z"
    user = {"type": "user_message", "message": "hi", "images": [], "local_images": [], "text_elements": []}
    payloads = [
        ("session_meta", {"id": thread, "timestamp": at, "cwd": "/w", "originator": "by_hand", "cli_version": "0.0.0"}),
        ("event_msg", {"type": "task_started", "turn_id": "t1", "model_context_window": None}),
        ("event_msg", user),
        *(("response_item", item) for item in items),
        ("event_msg", {"type": "task_complete", "turn_id": "t1", "last_agent_message": "done"}),
    ]
    return _lines([{"timestamp": at, "type": kind, "payload": payload} for kind, payload in payloads])


def codex_message(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
