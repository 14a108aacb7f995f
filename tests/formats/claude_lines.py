"""Lines as Claude Code writes them, for tests that need a certain shape; and what its SDK's algorithm makes of a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

SESSION = "11111111-2222-4333-8444-555555555555"
_CHAINED = {"user", "assistant", "progress", "system", "attachment"}


def uid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def line(kind: str, number: int, parent: int | None, **fields: Any) -> dict[str, Any]:
    return {
        "parentUuid": None if parent is None else uid(parent),
        "isSidechain": False,
        "cwd": "/w",
        "sessionId": SESSION,
        "version": "2.1.0",
        "gitBranch": "main",
        "type": kind,
        "uuid": uid(number),
        "timestamp": f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}.000Z",
        **fields,
    }


def prompt(number: int, parent: int | None, text: str = "please do it", **fields: Any) -> dict[str, Any]:
    return line("user", number, parent, message={"role": "user", "content": text}, **fields)


def reply(number: int, parent: int | None, *blocks: dict[str, Any], mid: str | None = None, out: int = 5, **fields: Any) -> dict[str, Any]:
    message = {
        "id": mid or f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-5-20251101",
        "content": list(blocks) or [{"type": "text", "text": f"answer number {number}"}],
        "stop_reason": None,
        "usage": {"input_tokens": 3, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 100, "output_tokens": out},
    }
    return line("assistant", number, parent, message=message, **fields)


def call(call_id: str, name: str = "Bash") -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": {"command": "ls -la"}}


def result(number: int, parent: int | None, call_id: str, content: Any = "file.txt", **fields: Any) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": call_id, "content": content}
    return line("user", number, parent, message={"role": "user", "content": [block]}, **fields)


def write(lines: Iterable[Any]) -> list[bytes]:
    return [json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for item in lines]


def objects(data: bytes) -> list[dict[str, Any]]:
    """All JSON objects of a file, in order; glued ones too."""
    found = []
    decoder = json.JSONDecoder()
    for row in data.decode("utf-8", "replace").split("\n"):
        at = 0
        text = row.strip()
        while at < len(text):
            try:
                value, at = decoder.raw_decode(text, at)
            except ValueError:
                break
            if isinstance(value, dict):
                found.append(value)
    return found


def sdk_conversation(lines: list[dict[str, Any]]) -> list[str]:
    """The uuids of the conversation by the Agent SDK's algorithm: from the latest main leaf to its root."""
    chained = [item for item in lines if item.get("uuid") and item.get("type") in _CHAINED]
    by_uuid = {item["uuid"]: item for item in chained}
    order = {item["uuid"]: index for index, item in enumerate(chained)}
    parents = {item.get("parentUuid") for item in chained}
    leaves = []
    for item in chained:
        if item["uuid"] not in parents:
            path = _path(item, by_uuid)
            leaf = next((step for step in path if step["type"] in {"user", "assistant"}), None)
            if leaf is not None and not leaf.get("isSidechain") and not leaf.get("isMeta"):
                leaves.append(leaf)
    if not leaves:
        return []
    last = max(leaves, key=lambda leaf: order[leaf["uuid"]])
    return [step["uuid"] for step in reversed(_path(last, by_uuid)) if step["type"] in {"user", "assistant"}]


def _path(item: dict[str, Any] | None, by_uuid: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    path: list[dict[str, Any]] = []
    seen = set()
    while item is not None and item["uuid"] not in seen:
        seen.add(item["uuid"])
        path.append(item)
        item = by_uuid.get(item.get("parentUuid") or "")
    return path
