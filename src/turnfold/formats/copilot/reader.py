"""GitHub Copilot CLI's session files: ``~/.copilot/session-state/<session>/events.jsonl``.

A line is ``{type, data, id, timestamp, parentId}``; ``parentId`` is the event before, so the file is one line of events. A subagent's events
stand among the others with the id of the tool call that started it; they become a branch of their own, as the main model never saw them.
Input tokens are known only when a process of the CLI ends (``session.shutdown``); until then a message tells its output tokens.

Source: the event types that the Copilot SDK publishes, and the corpus.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from turnfold.codec.parts import take_out
from turnfold.formats.base import Line, Projected
from turnfold.formats.copilot.parts import attachment, binary, call, exit_code, provider_of, texts
from turnfold.formats.copilot.usage import Meter
from turnfold.formats.fields import count_of, list_of, name_of, object_of, some, text_of, text_or_none
from turnfold.formats.lines import DETAIL_LINE_BYTES_MAX, opaque, parse_at
from turnfold.formats.media import Parts, response_of
from turnfold.formats.rows import Native, RowReader, native, said, told
from turnfold.model.event import MAIN
from turnfold.model.message import Message
from turnfold.model.parts import OpaquePart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from turnfold.model.usage import NO_USAGE

SIDES_MAX = 200
"""Subagents whose branches are told apart."""
OPEN_MESSAGES_MAX = 16
"""Messages whose further pieces are recognised."""
_side_name = re.compile(r"[^A-Za-z0-9]")
_NATIVE: Native = {
    "session.start": ("settings", "none"),
    "session.resume": ("settings", "none"),
    "session.model_change": ("settings", "none"),
    "session.mode_changed": ("settings", "none"),
    "session.context_changed": ("settings", "none"),
    "session.permissions_changed": ("settings", "none"),
    "session.session_limits_changed": ("settings", "none"),
    "session.remote_steerable_changed": ("settings", "none"),
    "session.auto_mode_resolved": ("settings", "none"),
    "subagent.configured": ("settings", "none"),
    "subagent.selected": ("settings", "none"),
    "subagent.deselected": ("settings", "none"),
    "session.info": ("context", "ui"),
    "session.warning": ("context", "ui"),
    "session.handoff": ("context", "ui"),
    "session.task_complete": ("context", "ui"),
    "session.completion_receipt": ("context", "ui"),
    "session.plan_changed": ("context", "ui"),
    "session.compaction_start": ("context", "none"),
    "session.truncation": ("context", "none"),
    "session.mode_notice_delivered": ("context", "none"),
    "skill.invoked": ("context", "ui"),
    "subagent.started": ("context", "ui"),
    "subagent.completed": ("context", "ui"),
    "subagent.failed": ("context", "ui"),
    "permission.requested": ("context", "ui"),
    "permission.completed": ("context", "ui"),
    "tool_search.activated": ("context", "none"),
    "session.workspace_file_changed": ("snapshot", "none"),
    "session.usage_checkpoint": ("usage", "none"),
    "session.error": ("run.error", "ui"),
    "abort": ("run.aborted", "ui"),
    "assistant.turn_start": ("run.started", "none"),
    "assistant.turn_end": ("run.completed", "none"),
    "hook.start": ("hook", "none"),
    "hook.end": ("hook", "none"),
    "tool.execution_start": ("tool.progress", "ui"),
    "external_tool.requested": ("tool.progress", "ui"),
    "external_tool.completed": ("tool.progress", "ui"),
}


class CopilotReader(RowReader):
    """Reader of one file."""

    def __init__(self, state: dict[str, Any] | None) -> None:
        """Begin at the file's start, or go on from ``state``."""
        super().__init__(state)
        state = state or {}
        self._model: str = state.get("model", "")
        self._sides: dict[str, str] = dict(state.get("sides", {}))
        self._open: list[str] = list(state.get("open", ()))
        self._thought: str = state.get("thought", "")
        self._meter = Meter(state.get("meter", {}))
        self._special = {
            "system.message": self._system,
            "system.notification": self._notification,
            "user.message": self._user,
            "assistant.message": self._assistant,
            "assistant.reasoning": self._reasoning,
            "tool.user_requested": self._user_call,
            "tool.execution_complete": self._result,
            "session.compaction_complete": self._compaction,
            "session.context_cleared": self._cleared,
            "session.binary_asset": self._asset,
            "session.shutdown": self._shutdown,
        }

    def state(self) -> dict[str, Any]:
        """What a later reader needs to go on."""
        return super().state() | {
            "model": self._model,
            "sides": self._sides,
            "open": self._open,
            "thought": self._thought,
            "meter": self._meter.state(),
        }

    def project(self, line: Line, value: dict[str, Any], seq: int) -> list[Projected]:
        """Return the events of a line; a subagent's first one has the branch that begins with it before it."""
        kind, data = text_of(value.get("type")), value.get("data")
        self.seen_at(parse_at(value.get("timestamp")))
        if not isinstance(data, dict):
            return [opaque(line, self.at_us, kind or None)]
        side = name_of(data.get("parentToolCallId")) or name_of(value.get("agentId"))
        branch, before = self._branch(side)
        meta = some({"uuid": name_of(value.get("id")), "sidechain": True if side else None})
        run = name_of(data.get("interactionId")) or name_of(data.get("turnId"))
        fields = {
            "at": self.at_us,
            "branch": branch,
            "run_id": run,
            "actor": name_of(value.get("agentId")),
            "parent_id": name_of(value.get("parentId")),
            "meta": meta,
        }
        special = self._special.get(kind)
        if special is not None:
            return [*before, *special(line, data, fields, seq + len(before))]
        known = _NATIVE.get(kind)
        if known is None:
            return [*before, opaque(line, self.at_us, kind or None)]
        if kind in {"session.start", "session.resume", "session.model_change"}:
            self._model = text_of(data.get("newModel")) or text_of(data.get("selectedModel")) or self._model
        return [*before, native(line, known[0], kind, data, visibility=known[1], **fields)]

    def _branch(self, side: str | None) -> tuple[str, list[Projected]]:
        """Return the branch of a subagent's event, and the event that creates it where there is none yet."""
        if side is None:
            return "", []
        branch = self._sides.get(side)
        if branch is not None:
            return branch, []
        if len(self._sides) >= SIDES_MAX:
            return next(reversed(self._sides.values())), []
        branch = f"sidechain-{len(self._sides) + 1}-{_side_name.sub('', side)[-8:]}"
        self._sides[side] = branch
        data = {"name": branch, "parent": MAIN, "fork_seq": 0, "reason": "sidechain"}
        return branch, [told(None, "branch.created", data, at=self.at_us, visibility="none")]

    # ---- messages --------------------------------------------------------------------------------------------------------------------

    def _system(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        """The main agent's instructions are the session's; a subagent's are a message of its branch."""
        role, content = text_of(data.get("role")), data.get("content")
        if role != "developer" and isinstance(content, str) and not fields["branch"]:
            return [told(line, "session.updated", {"system_prompt": content}, visibility="none", **fields)]
        message = Message(role if role == "developer" else "system", texts(content), name_of(data.get("name")))
        return [said(line, message, visibility="model", **fields)]

    def _notification(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        """What the CLI tells the model by itself, e.g. that a subagent is done."""
        message = Message("user", texts(data.get("content")), synthetic=True, ext=some({"kind": data.get("kind")}))
        return [said(line, message, visibility="model", **fields)]

    def _user(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        message = Message("user", texts(data.get("content")))
        message.parts += [attachment(item) for item in list_of(data.get("attachments"))]
        source = data.get("source")
        typed = source in (None, "", "user") and data.get("isAutopilotContinuation") is not True and not fields["branch"]
        if not typed:
            message.ext = some({"source": source, "autopilot": data.get("isAutopilotContinuation")})
        else:
            self.typed(message)
        return [said(line, message, visibility="both" if typed else "model", turn_count=int(typed), **fields)]

    def _assistant(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        native_id = name_of(data.get("messageId"))
        model = text_or_none(data.get("model")) or self._model or None
        parts: list[Part] = [*self._thinking(data, model), *texts(data.get("content"))]
        parts += [call(item) for item in list_of(data.get("toolRequests"))]
        if data.get("serverTools") is not None:
            parts.append(OpaquePart({"serverTools": data["serverTools"]}))
        message = Message("assistant", parts, model=model, phase=text_or_none(data.get("phase")), native_id=native_id)
        message.response_id = text_or_none(data.get("apiCallId"))
        message.request_id = text_or_none(data.get("requestId"))
        usage = self._meter.message(model or "", count_of(data.get("outputTokens")))
        first = native_id is None or native_id not in self._open
        if first and native_id is not None:
            self._open = [*self._open[1 - OPEN_MESSAGES_MAX :], native_id]
        return [said(line, message, message_id=native_id, message_count=int(first), usage=usage, **fields)]

    def _thinking(self, data: dict[str, Any], model: str | None) -> list[Part]:
        """Return the message's reasoning; text that an event of its own gave already is not said again."""
        text, sealed = (
            text_of(data.get("reasoningText")),
            text_or_none(data.get("reasoningOpaque")) or text_or_none(data.get("encryptedContent")),
        )
        blocks = object_of(data.get("reasoningBlocks"))
        if text and text == self._thought:
            text = ""
        self._thought = ""
        if not (text or sealed or blocks):
            return []
        provider = text_or_none(blocks.get("provider")) or provider_of(model)
        return [ReasoningPart(text, encrypted=sealed, provider=provider, model=model, ext=some({"blocks": blocks.get("blocks")}))]

    def _reasoning(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        """A thought in an event of its own: the message after it may repeat it."""
        self._thought = text_of(data.get("content"))
        part = ReasoningPart(self._thought, provider=provider_of(self._model), id=text_or_none(data.get("reasoningId")))
        return [said(line, Message("assistant", [part], model=self._model or None), **fields)]

    def _user_call(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        """A tool that the person ran (``!command``); its answer comes as that of any other."""
        part = ToolCallPart(text_of(data.get("toolCallId")), text_of(data.get("toolName")), data.get("arguments"), caller={"type": "user"})
        return [said(line, Message("assistant", [part], synthetic=True), **fields)]

    def _result(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        result, error = object_of(data.get("result")), object_of(data.get("error"))
        out: Parts = []
        content = result.get("content") if isinstance(result.get("content"), str) else text_of(error.get("message"))
        parts: list[Part] = [TextPart(content)] if content else []
        parts += [binary(item) for item in list_of(result.get("binaryResultsForLlm"))]
        part = ToolResultPart(text_of(data.get("toolCallId")), response_of(parts, out), exit_code=exit_code(data, result))
        if isinstance(data.get("success"), bool):
            part.is_error = not data["success"]
        detail = some(
            {name: item for name, item in result.items() if name not in {"content", "binaryResultsForLlm"}} | {"error": error or None}
        )
        if detail and len(line.data) <= DETAIL_LINE_BYTES_MAX:
            part.detail = detail
        return [said(line, Message("tool", [part]), out, **fields)]

    # ---- everything else -------------------------------------------------------------------------------------------------------------

    def _compaction(self, line: Line, data: dict[str, Any], fields: dict[str, Any], seq: int) -> list[Projected]:
        if data.get("success") is not True:
            return [native(line, "context", "session.compaction_complete", data, visibility="ui", **fields)]
        said_of = {
            "summary": text_or_none(data.get("summaryContent")),
            "trigger": text_or_none(data.get("trigger")),
            "first_seq": 1,
            "last_seq": max(seq - 1, 1),
            "pre_tokens": count_of(data.get("preCompactionTokens")) or None,
            "post_tokens": count_of(data.get("postCompactionTokens")) or None,
        }
        return [told(line, "compaction", some(said_of), **fields)]

    def _cleared(self, line: Line, data: dict[str, Any], fields: dict[str, Any], seq: int) -> list[Projected]:
        """The person emptied the context: nothing before this goes to the model again."""
        summary = text_or_none(data.get("initialMessage"))
        return [
            told(line, "compaction", some({"summary": summary, "trigger": "clear", "first_seq": 1, "last_seq": max(seq - 1, 1)}), **fields)
        ]

    def _asset(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        """Media that messages refer to by ``assetId``."""
        message = Message("user", [binary(data)], synthetic=True, ext=some({"asset_id": name_of(data.get("assetId"))}))
        out = take_out(message)
        return [told(line, "context", msgspec.to_builtins(message), out, visibility="ui", **fields)]

    def _shutdown(self, line: Line, data: dict[str, Any], fields: dict[str, Any], _seq: int) -> list[Projected]:
        """The end of a process: what each model used in it."""
        used = self._meter.shutdown(object_of(data.get("modelMetrics")))
        first = native(line, "usage", "session.shutdown", data, visibility="none", usage=used[0] if used else NO_USAGE, **fields)
        more = [
            told(None, "usage", {"kind": "session.shutdown", "model": usage.model}, visibility="none", usage=usage, **fields)
            for usage in used[1:]
        ]
        return [first, *more]
