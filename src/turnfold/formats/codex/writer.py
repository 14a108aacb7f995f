"""Writes a conversation as a rollout that today's Codex lists and resumes.

One session line, then for every turn ``task_started``, its items, and an event that ends it; what the model is to have are the
``response_item`` lines alone. A user's prompt has the twin event by which Codex lists a session, an answer the one that its screen shows.
There is no ``turn_context``: with one Codex takes its own instructions for said and leaves them out of the first new turn, and goes on with
the model named there. Which model answered is in our own field.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from turnfold.core.compaction import COMPACTION
from turnfold.core.conversation import Conversation, ConversationEntry
from turnfold.formats import loss
from turnfold.formats.carrying import WriteOptions
from turnfold.formats.carrying.compacting import compacted_at, note_index
from turnfold.formats.carrying.media import is_injected_by_tool
from turnfold.formats.carrying.note import is_note, note_text
from turnfold.formats.carrying.options import MARK, began_us, derived_uuid7, folder_of, origin_of, stamp
from turnfold.formats.codex.writing import Item, Items
from turnfold.formats.documents import line_of
from turnfold.formats.loss import LossReport
from turnfold.model.event_types import MESSAGE
from turnfold.model.usage import NO_USAGE, Usage

NAME = "codex"
CLI_VERSION = "0.0.0"
"""Of the tool that wrote the file: none of Codex's own versions."""
ORIGINATOR = "turnfold"


class CodexWriter:
    """See ``formats.base.Writer``."""

    name = NAME
    suffix = ".jsonl"

    def __init__(self, options: WriteOptions | None = None) -> None:
        """Set up; None are the defaults."""
        self._options = options or WriteOptions()

    def native_id(self, conversation: Conversation, copy: int = 0) -> str:
        """The thread id that the file gets unless one was chosen; another ``copy`` gets another one."""
        origin = origin_of(conversation)
        return self._options.native_id or derived_uuid7(began_us(conversation), NAME, *origin.values(), *([copy] if copy else []))

    def write(self, conversation: Conversation, losses: LossReport) -> Iterator[bytes]:
        """Yield the rollout's lines."""
        yield from _Rollout(conversation, losses, self._options, self.native_id(conversation)).lines()


class _Rollout:
    """One file being written."""

    def __init__(self, conversation: Conversation, losses: LossReport, options: WriteOptions, thread_id: str) -> None:
        self._conversation = conversation
        self._losses = losses
        self._options = options
        self._thread_id = thread_id
        self._cwd = folder_of(conversation, options) or "/"
        self._at_us = began_us(conversation)
        self._items = Items(losses, options)
        self._turn: str | None = None
        self._model = self._told_model = ""
        self._last_answer: str | None = None
        self._total = NO_USAGE
        self._context: list[ConversationEntry] = []

    def lines(self) -> Iterator[bytes]:
        yield self._line("session_meta", self._meta())
        entries = self._conversation.entries
        summaries: set[int] = set()
        note_at = note_index(entries, encrypted=True) if self._options.origin_note else -1
        for index, entry in enumerate(entries):
            if index == note_at:
                yield self._note()
            self._at_us = max(entry.at_us, 0) or self._at_us
            if entry.type == COMPACTION:
                yield from self._compaction(entries, index, summaries)
            elif entry.seq not in summaries and entry.for_model:
                yield from self._entry(entry)
            elif entry.type == MESSAGE and not entry.for_model:
                self._losses.add(loss.UNSENT, entry.seq)
        yield from self._end_turn()
        if note_at == len(entries):
            yield self._note()
        title = self._conversation.info.title
        if title:
            yield self._event("thread_name_updated", thread_id=self._thread_id, thread_name=title)
        if self._conversation.children:
            self._losses.add(loss.SUBAGENTS, count=len(self._conversation.children))
        if self._conversation.system_prompt:
            self._losses.add(loss.SYSTEM_PROMPTS)

    def _note(self) -> bytes:
        text = {"type": "input_text", "text": note_text(self._conversation, self._cwd)}
        return self._line("response_item", {"type": "message", "role": "developer", "content": [text]})

    def _meta(self) -> dict[str, Any]:
        branch = self._conversation.info.metadata.get("git_branch")
        meta = {
            "id": self._thread_id,
            "timestamp": stamp(self._at_us),
            "cwd": self._cwd,
            "originator": ORIGINATOR,
            "cli_version": CLI_VERSION,
            "source": "cli",
            MARK: {"origin": origin_of(self._conversation)},
        }
        return meta | ({"git": {"branch": branch}} if isinstance(branch, str) and branch else {})

    # ---- entries -----------------------------------------------------------------------------------------------------------------------

    def _entry(self, entry: ConversationEntry) -> Iterator[bytes]:
        message = entry.message
        if message is None or is_note(message):
            return
        if is_injected_by_tool(entry):
            self._losses.add(loss.INJECTED, entry.seq)
            return
        self._context.append(entry)
        if entry.is_turn:
            yield from self._end_turn()
            yield from self._begin_turn(entry)
        if message.model:
            self._model = message.model
        for item in self._items.of(message, entry.seq):
            twin = self._twin(item, entry)
            if twin is not None:
                yield twin
            yield self._item(item)
        if entry.usage:
            yield self._usage(entry.usage)

    def _twin(self, item: Item, entry: ConversationEntry) -> bytes | None:
        """The event that shows a message on Codex's screen; for a prompt also what Codex lists the session by."""
        if item["type"] != "message":
            return None
        said = "\n".join(block["text"] for block in item["content"] if "text" in block)
        if item["role"] == "user" and entry.is_turn:
            return self._event("user_message", message=said, images=[], local_images=[], text_elements=[])
        if item["role"] == "assistant":
            self._last_answer = said
            phase = {"phase": item["phase"]} if "phase" in item else {}
            return self._event("agent_message", message=said, **phase)
        return None

    def _begin_turn(self, entry: ConversationEntry) -> Iterator[bytes]:
        self._turn = derived_uuid7(entry.at_us, self._thread_id, entry.seq)
        yield self._event("task_started", turn_id=self._turn, model_context_window=None)

    def _end_turn(self) -> Iterator[bytes]:
        if self._turn is None:
            return
        if self._items.open_calls:
            yield self._event("turn_aborted", turn_id=self._turn, reason="interrupted")
        else:
            yield self._event("task_complete", turn_id=self._turn, last_agent_message=self._last_answer)
        self._turn = self._last_answer = None
        self._items.open_calls.clear()

    def _usage(self, usage: Usage) -> bytes:
        self._total = self._total + usage
        info = {"total_token_usage": _native(self._total), "last_token_usage": _native(usage), "model_context_window": None}
        return self._line("event_msg", {"type": "token_count", "info": info, "rate_limits": None}, model=usage.model or self._model)

    def _compaction(self, entries: Any, index: int, summaries: set[int]) -> Iterator[bytes]:
        entry = entries[index]
        left = compacted_at(entries, index, self._context)
        if not left.summary:
            self._losses.add(loss.SEALED_COMPACTIONS, entry.seq)
            return
        if left.summary_seq is not None:
            summaries.add(left.summary_seq)
        scratch = Items(LossReport(), self._options)  # its own ids: what is kept stands in the file a second time
        kept = [item for one in left.before if one.message is not None for item in scratch.of(one.message, one.seq)]
        summary = [item for message in left.summary for item in _apart(scratch.of(message, entry.seq))]
        late = [item for one in left.after if one.message is not None for item in scratch.of(one.message, one.seq)]
        self._context = [*left.before, *left.after]
        yield self._line("compacted", {"message": left.said, "replacement_history": [*kept, *summary, *late]})

    # ---- lines -------------------------------------------------------------------------------------------------------------------------

    def _item(self, item: Item) -> bytes:
        if item.get("role") == "assistant" or item["type"] in {"function_call", "custom_tool_call", "reasoning"}:
            return self._line("response_item", item, model=self._model, name=self._items.names.get(item.get("call_id", "")))
        return self._line("response_item", item)

    def _event(self, kind: str, **fields: Any) -> bytes:
        return self._line("event_msg", {"type": kind, **fields})

    def _line(self, kind: str, payload: dict[str, Any], *, model: str = "", name: str | None = None) -> bytes:
        """A line; ``model`` and ``name`` (of a tool) stand beside the payload, which has no field for them."""
        mark: dict[str, Any] = {} if name is None else {"name": name}
        if model and model != self._told_model:
            mark["model"] = self._told_model = model
        return line_of({"timestamp": stamp(self._at_us), "type": kind, "payload": payload, **({MARK: mark} if mark else {})}) + b"\n"


def _apart(items: Iterator[Item]) -> Iterator[Item]:
    """Every text of a message as a message of its own, as Codex itself writes what it keeps."""
    for item in items:
        if item["type"] != "message" or len(item["content"]) < 2:
            yield item
        else:
            yield from ({**item, "content": [block]} for block in item["content"])


def _native(usage: Usage) -> dict[str, int]:
    """Usage in Codex's names; both count cached tokens as input and reasoning as output."""
    return {
        "input_tokens": max(0, usage.input_tokens),
        "cached_input_tokens": max(0, usage.cache_read_input_tokens),
        "cache_write_input_tokens": max(0, usage.cache_creation_input_tokens),
        "output_tokens": max(0, usage.output_tokens),
        "reasoning_output_tokens": max(0, usage.reasoning_output_tokens),
        "total_tokens": max(0, usage.total_tokens),
    }
