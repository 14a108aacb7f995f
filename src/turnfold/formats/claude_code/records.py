"""Lines that are no messages: what each type becomes. A line of a type that is not here is ``opaque`` and keeps its type's name."""

from __future__ import annotations

from typing import Any, NamedTuple

from turnfold.formats.claude_code.messages import OutOfLine, parts_of
from turnfold.model.event import Visibility

SMALL_CHARS_MAX = 2_000
"""Values of settings, errors and the like are projected up to this size of their text; the kept line has them all."""


class Record(NamedTuple):
    """Type, payload and visibility of a line's event."""

    type: str
    data: dict[str, Any]
    visibility: Visibility = "none"


def system(line: dict[str, Any]) -> Record:
    """Project a ``system`` line (all but compact boundaries)."""
    subtype = line.get("subtype")
    name = f"system/{subtype}"
    content = line.get("content")
    if subtype == "stop_hook_summary":
        return Record("hook", _some(line, "hookCount", "hookInfos", "hookErrors", "preventedContinuation", "stopReason", native_type=name))
    if subtype == "local_command" and type(content) is str:
        return Record("context", {"role": "user", "parts": [{"type": "text", "content": content}]}, "both")
    native = _some(line, "durationMs", "messageCount", "retryInMs", "retryAttempt", "maxRetries", "level", "error", "microcompactMetadata")
    native |= _some(line, "originalModel", "fallbackModel", "retractedMessageUuids", "supersedesUuids", "refusedUserMessageUuid")
    if type(content) is str and content:
        native["content"] = content
    shown: Visibility = "ui" if "content" in native or "error" in native else "none"
    return Record("opaque", {"native_type": name, **({"native": native} if native else {})}, shown)


def progress(line: dict[str, Any]) -> Record:
    """Project a ``progress`` line; a subagent's conversation inside it stays in the kept line."""
    native = line.get("data")
    kind = native.get("type") if type(native) is dict else None
    data = {"kind": kind, "tool_call_id": line.get("parentToolUseID") or line.get("toolUseID")}
    if type(native) is dict:
        data |= _some(native, "agentId", "elapsedTimeSeconds", "totalLines", "serverName", "toolName", "hookName", "query", "message")
    return Record("tool.progress", data, "none" if kind == "hook_progress" else "ui")


def attachment(line: dict[str, Any], out: OutOfLine) -> Record:
    """Project an ``attachment``: what was rendered for the model, else the text that the type is known to carry."""
    native = line.get("attachment")
    if type(native) is not dict:
        return Record("opaque", {"native_type": "attachment"})
    kind = native.get("type")
    name = f"attachment/{kind}"
    rendered = line.get("rendered")
    if type(rendered) is list and rendered:
        role = "system" if line.get("renderedRole") == "system" else "user"
        parts = [part for item in rendered for part in parts_of(item.get("content") if type(item) is dict else item, out)]
        return Record("context", {"role": role, "parts": parts, "ext": {"native_type": name}}, "model")
    if type(kind) is str and kind.startswith("hook_"):
        fields = ("hookName", "hookEvent", "toolUseID", "content", "stdout", "stderr", "exitCode", "command", "durationMs", "blockingError")
        return Record("hook", _some(native, *fields, native_type=name), "ui")
    if kind == "session_context":
        return Record("context", {"kind": name, **_some(native, "context")})  # part of the system prompt: what git says of the folder
    text = native.get("prompt") if kind == "queued_command" else native.get("text", native.get("content"))
    if kind == "queued_command" and type(text) in {str, list}:
        return Record("context", {"role": "user", "parts": parts_of(text, out), "ext": {"native_type": name}}, "both")
    if type(text) is str and text:
        return Record("context", {"role": "user", "parts": parts_of(text, out), "ext": {"native_type": name}}, "model")
    return Record("opaque", {"native_type": name})


def other(kind: str, line: dict[str, Any], out: OutOfLine) -> Record:
    """Project a line outside the tree (titles and tags are the reader's)."""
    if kind == "file-history-snapshot":
        snapshot = line.get("snapshot")
        files = snapshot.get("trackedFileBackups") if type(snapshot) is dict else None
        data = _some(line, "messageId", "isSnapshotUpdate")
        return Record("snapshot", {**data, "files": sorted(files)[:1_000] if type(files) is dict else []})
    if kind == "queue-operation":
        parts = parts_of(line.get("content"), out)
        return Record("queue", {"operation": line.get("operation"), **({"parts": parts} if parts else {})}, "ui")
    if kind == "pr-link":
        return Record("link", {"kind": "pull_request", **_some(line, "prNumber", "prUrl", "prRepository")}, "ui")
    if kind == "frame-link":
        return Record("link", {"kind": "frame", **_some(line, "path", "frameUrl", "title")}, "ui")
    if kind == "cost-state":
        # A running total of what the messages already count one by one: kept for comparison, adds nothing to the head.
        return Record("usage", {"cumulative": True, **_some(line, "totalCostUSD", "totalAPIDuration", "totalToolDuration", "modelUsage")})
    if kind in _SETTINGS:
        data = {key: value for key, value in line.items() if key not in {"type", "sessionId", "uuid", "timestamp"} and _is_small(value)}
        return Record("settings", {"native_type": kind, **data})
    return Record("opaque", {"native_type": kind})


_SETTINGS = frozenset(
    {
        "permission-mode",
        "mode",
        "agent-name",
        "agent-setting",
        "agent-color",
        "worktree-state",
        "relocated",
        "last-prompt",
        "bridge-session",
        "tools-used",
        "atis-latch",
    },
)


def _some(line: dict[str, Any], *names: str, **also: Any) -> dict[str, Any]:
    """Those of the fields that are there and small, by their own names."""
    for name in names:
        value = line.get(name)
        if value is not None and _is_small(value):
            also[name] = value
    return also


def _is_small(value: Any) -> bool:
    if type(value) in {int, float, bool} or value is None:
        return True
    return len(value if type(value) is str else str(value)) <= SMALL_CHARS_MAX
