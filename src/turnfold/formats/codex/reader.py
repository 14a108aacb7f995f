"""Projects a rollout line by line. One line is one event; the model's context is made of the ``message`` events alone.

The chat twins (``event_msg/user_message``, ``agent_message``, ``agent_reasoning`` and the ``item_completed`` of newer versions) say again for
the screen what a response item says for the model, so they become ``context`` events for people; what tools report besides their output
(exit codes, patches, durations) becomes ``tool.progress``. Usage is reported over and over as totals: an event carries only what the total
has grown by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from turnfold.codec.parts import take_out
from turnfold.codec.residual import cut
from turnfold.formats.base import Line, Projected
from turnfold.formats.codex.fields import numbers_of, usage_of
from turnfold.formats.codex.items import is_typed, message_of
from turnfold.formats.fields import count_of, list_of, name_of, object_of, text_of
from turnfold.formats.lines import blank, decode_line, opaque, parse_at, title_of
from turnfold.formats.media import Parts, slim
from turnfold.formats.responses import output_of
from turnfold.model.event import NewEvent, Visibility
from turnfold.model.message import Message
from turnfold.model.parts import ToolResultPart
from turnfold.model.usage import NO_USAGE, Usage

_encode = msgspec.json.Encoder().encode
KEPT_TURNS_MAX = 500
"""How many user messages a compaction of the old kind (summary without replacement) is remembered to keep."""

_CONTEXT = frozenset(
    {
        "user_message",
        "agent_message",
        "agent_reasoning",
        "agent_reasoning_raw_content",
        "agent_reasoning_section_break",
        "context_compacted",
        "entered_review_mode",
        "exited_review_mode",
        "thread_goal_updated",
        "sub_agent_activity",
        "collab_agent_interaction_end",
        "collab_agent_spawn_end",
        "collab_close_end",
        "collab_waiting_end",
        "guardian_assessment",
        "undo_completed",
        "warning",
        "stream_error",
        "background_event",
        "turn_diff",
        "plan_update",
    },
)
_TOOLS = frozenset(
    {
        "exec_command_begin",
        "exec_command_end",
        "patch_apply_begin",
        "patch_apply_end",
        "mcp_tool_call_begin",
        "mcp_tool_call_end",
        "web_search_begin",
        "web_search_end",
        "image_generation_end",
        "view_image_tool_call",
        "dynamic_tool_call_request",
        "dynamic_tool_call_response",
    },
)
_CHAT_ITEMS = frozenset({"UserMessage", "AgentMessage", "Reasoning", "Plan", "ContextCompaction", "HookPrompt"})
_RUNS = {"task_started": "run.started", "task_complete": "run.completed", "turn_aborted": "run.aborted"}
_TYPES = {
    "session_meta": ("settings", "none"),
    "turn_context": ("settings", "none"),
    "world_state": ("context", "none"),
    "inter_agent_communication": ("context", "ui"),
    "inter_agent_communication_metadata": ("context", "none"),
}


class CodexReader:
    """Reader of one rollout."""

    def __init__(self, state: dict[str, Any] | None) -> None:
        """Begin at the file's start, or go on from ``state``."""
        state = state or {}
        self._at: int | None = state.get("at")
        self._model: str = state.get("model", "")
        self._run: str | None = state.get("run")
        self._total: tuple[int, ...] = tuple(state.get("total", (0, 0, 0, 0, 0)))
        self._title: str | None = state.get("title")
        self._titled: bool = state.get("titled", False)
        self._turn_seqs: list[int] = list(state.get("turns", ()))
        self._next_seq = 0
        self._special: dict[str, Callable[[Line, dict[str, Any]], Projected | None]] = {
            "item_completed": self._item_completed,
            "token_count": self._token_count,
            "thread_rolled_back": self._rolled_back,
            "thread_name_updated": self._named,
            "thread_settings_applied": self._settings,
            "error": self._error,
        }

    def state(self) -> dict[str, Any]:
        """What a later reader needs to go on."""
        return {
            "at": self._at,
            "model": self._model,
            "run": self._run,
            "total": list(self._total),
            "title": self._title,
            "titled": self._titled,
            "turns": self._turn_seqs,
        }

    def feed(self, line: Line, next_seq: int) -> list[Projected]:
        """Return the event of a line."""
        self._next_seq = next_seq
        if not line.data.strip():
            return [blank(line, self._at)]
        value, problem = decode_line(line.data)
        if problem is not None:
            return [opaque(line, self._at, None, problem)]
        if not isinstance(value, dict):
            return [opaque(line, self._at, None, "a JSON value that is no object")]
        at = parse_at(value.get("timestamp"))
        if at is not None:
            self._at = at
        projected = self._wrapped(line, value) if isinstance(value.get("payload"), dict) else self._bare(line, value)
        return [projected]

    def finish(self, next_seq: int) -> list[Projected]:
        """Give the session the first typed message as its title, where the file has none of its own."""
        if self._titled or not self._title:
            return []
        self._titled = True
        event = NewEvent(type="title", data={"title": self._title}, at=self._at, visibility="ui", message_count=0, turn_count=0)
        return [Projected(event)]

    def _wrapped(self, line: Line, value: dict[str, Any]) -> Projected:
        kind, payload = text_of(value.get("type")), value["payload"]
        if "turnfold" in value:  # a line of our own writer: what a rollout has no field for there
            mark = object_of(value["turnfold"])
            self._model = name_of(mark.get("model")) or self._model
            if "name" in payload and isinstance(mark.get("name"), str):
                payload = {**payload, "name": mark["name"]}
        if kind == "response_item":
            return self._item(line, payload)
        if kind == "event_msg":
            return self._event_msg(line, payload)
        if kind == "compacted":
            return self._compacted(line, payload)
        if kind == "token_usage_record":
            usage = self._usage(payload.get("thread_token_usage"), payload.get("usage"))
            return self._event(line, "usage", payload, visibility="none", usage=usage, run=payload.get("turn_id"))
        known = _TYPES.get(kind)
        if known is None:
            return opaque(line, self._at, kind or None)
        if kind == "turn_context":
            self._model = name_of(payload.get("model")) or self._model
            self._run = name_of(payload.get("turn_id")) or self._run
        event_type, visibility = known
        return self._event(line, event_type, payload, kind=kind, visibility="ui" if visibility == "ui" else "none")

    def _bare(self, line: Line, value: dict[str, Any]) -> Projected:
        """A line of the time before lines had a wrapper: an item, a marker, or the first line."""
        if "record_type" in value:
            return self._event(line, "context", value, kind=text_of(value["record_type"]) or "record", visibility="none")
        if "type" not in value and isinstance(value.get("id"), str):
            return self._event(line, "settings", value, kind="session_meta", visibility="none")
        return self._item(line, value)

    # ---- response items --------------------------------------------------------------------------------------------------------------

    def _item(self, line: Line, item: dict[str, Any]) -> Projected:
        kind = text_of(item.get("type"))
        if kind == "ghost_snapshot":
            return self._event(line, "snapshot", item, kind=kind, visibility="none")
        message = message_of(item)
        if message is None:
            return opaque(line, self._at, f"response_item/{kind}" if "type" in item else None)
        passthrough = object_of(item.get("internal_chat_message_metadata_passthrough"))
        run = name_of(passthrough.get("turn_id")) or self._run
        parts: Parts = []
        visibility: Visibility = "both"
        typed = False
        if message.role == "assistant":
            message.model = self._model or None
        elif message.role in {"developer", "system"}:
            visibility = "model"
        elif message.role == "user" and kind == "message":
            typed = is_typed(item, message)
            visibility = "both" if typed else "model"
        for part in message.parts:
            if type(part) is ToolResultPart:
                part.response = output_of(part.response, parts)
        parts += take_out(message)
        if typed:
            self._typed(message)
        return self._message(line, message, parts, run=run, visibility=visibility, typed=typed)

    def _typed(self, message: Message) -> None:
        if self._title is None:
            self._title = title_of(message.text.strip().partition("\n")[0])
        self._turn_seqs = [*self._turn_seqs[1 - KEPT_TURNS_MAX :], self._next_seq]

    def _message(self, line: Line, message: Message, parts: Parts, *, run: str | None, visibility: Visibility, typed: bool) -> Projected:
        source, more = cut(line.data, msgspec.to_builtins(message))
        event = NewEvent(
            type="message",
            data=_encode(message),
            at=self._at,
            run_id=run,
            visibility=visibility,
            message_count=1,
            turn_count=1 if typed else 0,
            source=source,
        )
        return Projected(event, (*parts, *more))

    # ---- everything else -------------------------------------------------------------------------------------------------------------

    def _event_msg(self, line: Line, payload: dict[str, Any]) -> Projected:
        kind = text_of(payload.get("type"))
        if kind in _CONTEXT:
            return self._event(line, "context", payload, kind=kind)
        if kind in _TOOLS:
            return self._event(line, "tool.progress", payload, kind=kind)
        if kind in _RUNS:
            return self._run_event(line, kind, payload)
        special = self._special.get(kind)
        projected = None if special is None else special(line, payload)
        return opaque(line, self._at, f"event_msg/{kind}" if kind else "event_msg") if projected is None else projected

    def _item_completed(self, line: Line, payload: dict[str, Any]) -> Projected:
        item = text_of(object_of(payload.get("item")).get("type"))
        return self._event(line, "context" if item in _CHAT_ITEMS else "tool.progress", payload, kind="item_completed")

    def _token_count(self, line: Line, payload: dict[str, Any]) -> Projected:
        info = object_of(payload.get("info"))
        usage = self._usage(info.get("total_token_usage"), info.get("last_token_usage"))
        return self._event(line, "usage", payload, visibility="none", usage=usage)

    def _rolled_back(self, line: Line, payload: dict[str, Any]) -> Projected:
        return self._event(line, "rollback", {"turns": count_of(payload.get("num_turns"))}, native=False, visibility="both")

    def _named(self, line: Line, payload: dict[str, Any]) -> Projected | None:
        name = payload.get("thread_name")
        if not isinstance(name, str):
            return None
        self._titled = True
        return self._event(line, "title", {"title": name}, native=False)

    def _settings(self, line: Line, payload: dict[str, Any]) -> Projected:
        self._model = name_of(object_of(payload.get("thread_settings")).get("model")) or self._model
        return self._event(line, "settings", payload, kind="thread_settings_applied", visibility="none")

    def _error(self, line: Line, payload: dict[str, Any]) -> Projected:
        return self._event(line, "run.error", payload, kind="error")

    def _run_event(self, line: Line, kind: str, payload: dict[str, Any]) -> Projected:
        turn = name_of(payload.get("turn_id"))
        if kind == "task_started":
            self._run = turn
        projected = self._event(line, _RUNS[kind], payload, kind=kind, run=turn)
        if kind != "task_started":
            self._run = None
        return projected

    def _usage(self, total: Any, last: Any) -> Usage:
        """What a report adds. The same total again adds nothing; a total that began anew (a resumed session of old) adds its last part."""
        numbers = numbers_of(total)
        if numbers is None or numbers == self._total:
            return NO_USAGE
        step = tuple(new - old for new, old in zip(numbers, self._total, strict=True))
        latest = numbers_of(last)
        if latest is not None and (numbers == latest or min(step) < 0):
            step = latest
        self._total = numbers
        return usage_of(tuple(max(0, number) for number in step), self._model)

    def _compacted(self, line: Line, payload: dict[str, Any]) -> Projected:
        data: dict[str, Any] = {}
        summary = payload.get("message")
        if isinstance(summary, str) and summary:
            data["summary"] = summary
        data["first_seq"], data["last_seq"] = 1, self._next_seq - 1
        parts: Parts = []
        history = payload.get("replacement_history")
        if isinstance(history, list):
            data["replacement"] = self._replacement(history, parts)
        elif self._turn_seqs:
            data["keeps"] = self._turn_seqs
        return self._event(line, "compaction", data, native=False, visibility="both", parts=parts)

    def _replacement(self, history: list[Any], parts: Parts) -> list[Any]:
        out: list[Any] = []
        for item in list_of(history):
            message = message_of(item) if isinstance(item, dict) else None
            if message is None:
                continue
            for part in message.parts:
                if type(part) is ToolResultPart:
                    part.response = output_of(part.response, parts)
            parts += take_out(message)
            out.append(msgspec.to_builtins(message))
        return out

    def _event(
        self,
        line: Line,
        event_type: str,
        data: dict[str, Any],
        *,
        kind: str | None = None,
        native: bool = True,
        visibility: Visibility = "ui",
        usage: Usage = NO_USAGE,
        run: Any = None,
        parts: Parts | None = None,
    ) -> Projected:
        """Build an event that is no message; a native payload stands in it as it is, under ``kind`` its native type."""
        moved: Parts = [] if parts is None else parts
        if native:
            rest = {key: value for key, value in data.items() if key != "type"}
            slimmed = slim(rest, moved) if b'"data:' in line.data else rest
            data = slimmed if kind is None else {"kind": kind, **slimmed}
        source, more = cut(line.data, data)
        turn = run if run is not None else data.get("turn_id")
        event = NewEvent(
            type=event_type,
            data=_encode(data),
            at=self._at,
            run_id=name_of(turn) or self._run,
            visibility=visibility,
            message_count=0,
            turn_count=0,
            usage=usage,
            source=source,
        )
        return Projected(event, (*moved, *more))
