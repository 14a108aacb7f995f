"""Kimi Code's session files: ``~/.kimi-code/sessions/<project>/<session>/agents/<agent>/wire.jsonl``.

A line is ``{type, time, …}``: a record of what happened to the agent's state. The conversation is in ``context.append_message`` and, part by
part, in ``context.append_loop_event``: a step is one answer of the model and so one message, whose parts share the step's id. A prompt and
the usage of a step are told twice (``turn.prompt``, ``usage.record``); they count once.

Source: the record types of Kimi Code (MIT), protocol 1.4, and the corpus.
"""

from __future__ import annotations

from typing import Any

from turnfold.formats.base import Line, Projected, SourceInfo
from turnfold.formats.fields import at_ms, count_of, list_of, name_of, object_of, some, text_of, text_or_none
from turnfold.formats.kimi.parts import function_call, part_of, usage_of
from turnfold.formats.lines import opaque
from turnfold.formats.media import Parts, content_of, response_of
from turnfold.formats.rows import Native, RowReader, native, said, told
from turnfold.model.event import Visibility
from turnfold.model.message import ROLES, Message
from turnfold.model.parts import Part, ToolCallPart, ToolResultPart
from turnfold.model.usage import NO_USAGE

OPEN_STEPS_MAX = 16
"""Steps whose further parts are recognised."""
KEPT_TURNS_MAX = 500
"""Prompts that a compaction is remembered to keep."""
KEPT_TAIL_MAX = 200
"""Messages of late that a compaction of old is remembered to keep."""
_FINISH_REASONS = {"end_turn": "stop", "completed": "stop", "tool_use": "tool_call", "max_tokens": "length", "truncated": "length"}
_FINISH_REASONS |= {"filtered": "content_filter", "error": "error"}
_SETTINGS = (
    "llm.request",
    "llm.tools_snapshot",
    "mcp.tools_discovered",
    "metadata",
    "forked",
    "tools.",
    "plan_mode.",
    "swarm_mode.",
    "permission.set_mode",
)
_NATIVE: Native = {
    "turn.prompt": ("run.started", "none"),
    "turn.steer": ("queue", "none"),
    "turn.cancel": ("run.aborted", "ui"),
    "permission.record_approval_result": ("context", "ui"),
    "full_compaction.begin": ("context", "none"),
    "full_compaction.cancel": ("context", "none"),
    "full_compaction.complete": ("context", "none"),
    "micro_compaction.apply": ("context", "none"),
    "goal.create": ("context", "ui"),
    "goal.update": ("context", "ui"),
    "goal.clear": ("context", "ui"),
    "task.started": ("context", "ui"),
    "task.terminated": ("context", "ui"),
}


class KimiReader(RowReader):
    """Reader of one file."""

    def __init__(self, info: SourceInfo, state: dict[str, Any] | None) -> None:
        """Begin at the file's start, or go on from ``state``."""
        super().__init__(state)
        self.titled = self.titled or info.title is not None
        state = state or {}
        self._model: str = state.get("model", "")
        self._alias: str = state.get("alias", "")
        self._steps: dict[str, int | None] = dict(state.get("steps", {}))
        self._told: list[int] | None = state.get("told")
        self._turns: list[int] = list(state.get("turns", ()))
        self._count: int = state.get("count", 0)
        self._tail: list[tuple[int, int]] = [(index, seq) for index, seq in state.get("tail", ())]
        self._special = {
            "context.append_message": self._message,
            "context.append_loop_event": self._loop_event,
            "context.apply_compaction": self._compaction,
            "context.clear": self._clear,
            "context.undo": self._undo,
            "config.update": self._config,
            "usage.record": self._usage_record,
        }
        self._loop = {
            "content.part": self._part,
            "tool.call": self._call,
            "tool.result": self._result,
            "step.end": self._step_end,
        }

    def state(self) -> dict[str, Any]:
        """What a later reader needs to go on."""
        return super().state() | {
            "model": self._model,
            "alias": self._alias,
            "steps": self._steps,
            "told": self._told,
            "turns": self._turns,
            "count": self._count,
            "tail": [list(row) for row in self._tail],
        }

    def project(self, line: Line, value: dict[str, Any], seq: int) -> list[Projected]:
        """Return the event of a record."""
        kind = text_of(value.get("type"))
        self.seen_at(at_ms(value.get("time")) or at_ms(value.get("created_at")))
        special = self._special.get(kind)
        if special is not None:
            return [special(line, value, seq)]
        if kind == "llm.request":
            self._model = text_of(value.get("model")) or self._model
            self._alias = text_of(value.get("modelAlias")) or self._alias
        known = _NATIVE.get(kind) or (("settings", "none") if kind.startswith(_SETTINGS) else None)
        if known is None:
            return [opaque(line, self.at_us, kind or None)]
        kept: Visibility = "ui" if known[1] == "ui" else "none"
        run = name_of(value.get("turnId"))
        return [native(line, known[0], kind, value, at=self.at_us, visibility=kept, run_id=run)]

    # ---- messages --------------------------------------------------------------------------------------------------------------------

    def _message(self, line: Line, record: dict[str, Any], seq: int) -> Projected:
        item = object_of(record.get("message"))
        role = text_of(item.get("role"))
        if role not in ROLES:
            return opaque(line, self.at_us, "context.append_message")
        origin = object_of(item.get("origin"))
        out: Parts = []
        parts = content_of(item.get("content"), part_of)
        if role == "tool":
            parts = [ToolResultPart(text_of(item.get("toolCallId")), response_of(parts, out))]
        message = Message(role, [*parts, *(function_call(call) for call in list_of(item.get("toolCalls")))])
        if role == "assistant":
            message.model = self._model or None
        typed = role == "user" and (origin.get("kind", "user") == "user" or origin.get("trigger") == "user-slash")
        if typed:
            self.typed(message)
            self._turns = [*self._turns[1 - KEPT_TURNS_MAX :], seq]
        elif origin:
            message.ext = {"origin": origin}
        self._remember(self._begin(), seq)
        seen_by: Visibility = "both" if typed or role in {"assistant", "tool"} else "model"
        return said(line, message, out, at=self.at_us, visibility=seen_by, turn_count=int(typed))

    def _begin(self) -> int:
        """Count a message of the model's context; return its index."""
        self._count += 1
        return self._count - 1

    def _remember(self, index: int, seq: int) -> None:
        self._tail = [*self._tail[1 - KEPT_TAIL_MAX :], (index, seq)]

    def _loop_event(self, line: Line, record: dict[str, Any], seq: int) -> Projected:
        event = object_of(record.get("event"))
        kind = text_of(event.get("type"))
        make = self._loop.get(kind)
        if make is not None:
            return make(line, event, seq)
        if kind != "step.begin":
            return opaque(line, self.at_us, f"context.append_loop_event/{kind}" if kind else "context.append_loop_event")
        step = name_of(event.get("uuid"))
        if step is not None:
            self._open(step, self._begin())
        return native(line, "context", kind, event, at=self.at_us, visibility="none", run_id=name_of(event.get("turnId")))

    def _open(self, step: str, index: int | None) -> None:
        self._steps[step] = index
        if len(self._steps) > OPEN_STEPS_MAX:
            del self._steps[next(iter(self._steps))]

    def _of_step(self, line: Line, event: dict[str, Any], part: Part, seq: int) -> Projected:
        """Return a part of a step's message; the first one begins it."""
        step = name_of(event.get("stepUuid"))
        index = self._steps.get(step, -1) if step is not None else -1
        first = index is not None
        if first:
            self._remember(self._begin() if index == -1 else index or 0, seq)
            if step is not None:
                self._open(step, None)
        message = Message("assistant", [part], model=self._model or None)
        run, meta = name_of(event.get("turnId")), some({"uuid": name_of(event.get("uuid"))})
        return said(line, message, at=self.at_us, message_id=step, message_count=int(first), run_id=run, meta=meta)

    def _part(self, line: Line, event: dict[str, Any], seq: int) -> Projected:
        return self._of_step(line, event, part_of(event.get("part")), seq)

    def _call(self, line: Line, event: dict[str, Any], seq: int) -> Projected:
        part = ToolCallPart(text_of(event.get("toolCallId")), text_of(event.get("name")), event.get("args"))
        part.ext = some({"description": text_or_none(event.get("description"))})
        return self._of_step(line, event, part, seq)

    def _result(self, line: Line, event: dict[str, Any], seq: int) -> Projected:
        result = object_of(event.get("result"))
        out: Parts = []
        output = result.get("output")
        response = response_of(content_of(output, part_of), out) if isinstance(output, str | list) else output
        part = ToolResultPart(text_of(event.get("toolCallId")), response)
        if isinstance(result.get("isError"), bool):
            part.is_error = result["isError"]
        part.ext = {key: value for key, value in result.items() if key not in {"output", "isError"} and value is not None}
        self._remember(self._begin(), seq)
        return said(line, Message("tool", [part]), out, at=self.at_us)

    def _step_end(self, line: Line, event: dict[str, Any], _seq: int) -> Projected:
        """The end of a step: why it ended and what it used, as a last piece of its message."""
        step, usage = name_of(event.get("uuid")), usage_of(event.get("usage"), self._model)
        self._told = list(usage.numbers()) if usage else None
        if step is None or self._steps.get(step, -1) is not None:  # the model said nothing
            return native(line, "usage", "step.end", event, at=self.at_us, visibility="none", usage=usage)
        reason = text_or_none(event.get("finishReason"))
        message = Message("assistant", finish_reason=_FINISH_REASONS.get(reason or "", reason), model=self._model or None)
        message.native_finish_reason = text_or_none(event.get("rawFinishReason")) or reason
        message.response_id = text_or_none(event.get("messageId"))
        run = name_of(event.get("turnId"))
        return said(line, message, at=self.at_us, message_id=step, message_count=0, run_id=run, usage=usage)

    # ---- everything else -------------------------------------------------------------------------------------------------------------

    def _usage_record(self, line: Line, record: dict[str, Any], _seq: int) -> Projected:
        """A step's usage once more, or that of a compaction."""
        model = text_of(record.get("model"))
        usage = usage_of(record.get("usage"), self._model if model == self._alias else model)
        if list(usage.numbers()) == self._told:
            usage = NO_USAGE
        self._told = None
        return native(line, "usage", "usage.record", record, at=self.at_us, visibility="none", usage=usage)

    def _config(self, line: Line, record: dict[str, Any], _seq: int) -> Projected:
        """A change of settings; the system prompt is the session's."""
        self._model = text_of(record.get("modelAlias")) or self._model
        prompt = record.get("systemPrompt")
        if isinstance(prompt, str):
            return told(line, "session.updated", {"system_prompt": prompt}, at=self.at_us, visibility="none")
        return native(line, "settings", "config.update", record, at=self.at_us, visibility="none")

    def _compaction(self, line: Line, record: dict[str, Any], seq: int) -> Projected:
        """Since 2026 some of the prompts stay before the summary; before that the messages from ``compactedCount`` on stayed."""
        kept, head = record.get("keptUserMessageCount"), count_of(record.get("keptHeadUserMessageCount"))
        if type(kept) is int:
            newest = max(count_of(kept) - head, 0)
            keeps = [*self._turns[:head], *(self._turns[-newest:] if newest else ())]
        else:
            keeps = [at for index, at in self._tail if index >= count_of(record.get("compactedCount"))]
        fields = {
            "summary": text_or_none(record.get("contextSummary")) or text_or_none(record.get("summary")),
            "first_seq": 1,
            "last_seq": max(seq - 1, 1),
            "keeps": sorted(set(keeps)) or None,
            "pre_tokens": count_of(record.get("tokensBefore")) or None,
            "post_tokens": count_of(record.get("tokensAfter")) or None,
        }
        self._count = 1 + len(keeps)
        self._tail = []
        return told(line, "compaction", some(fields), at=self.at_us)

    def _clear(self, line: Line, record: dict[str, Any], seq: int) -> Projected:
        """The person emptied the context: nothing before this goes to the model again."""
        self._count, self._tail, self._turns = 0, [], []
        return told(line, "compaction", {"trigger": "clear", "first_seq": 1, "last_seq": max(seq - 1, 1)}, at=self.at_us)

    def _undo(self, line: Line, record: dict[str, Any], _seq: int) -> Projected:
        turns = count_of(record.get("count"))
        if turns:
            self._turns = self._turns[:-turns]
        return told(line, "rollback", {"turns": turns}, at=self.at_us)
