"""Writes a conversation as a session file that ``claude --resume`` goes on with.

One line per block, one chain of parent links. The Messages API wants the results of calls right behind the assistant's message with the calls,
so results that came later in the source are moved up behind it, and images that an assistant made, which its messages cannot hold, come
after them as the user's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from turnfold.core.compaction import COMPACTION
from turnfold.core.conversation import Conversation, ConversationEntry
from turnfold.formats import loss
from turnfold.formats.carrying import WriteOptions
from turnfold.formats.carrying.calls import UNKNOWN_TOOL, CallIds
from turnfold.formats.carrying.compacting import Compacted, compacted_at, note_index
from turnfold.formats.carrying.media import came_from, is_injected_by_tool
from turnfold.formats.carrying.note import is_note, note_text
from turnfold.formats.carrying.options import MARK, began_us, derived_uuid4, digest_of, env_of, folder_of, origin_of, stamp
from turnfold.formats.claude_code.blocks import PROVIDER, Block, Blocks, say
from turnfold.formats.documents import line_of
from turnfold.formats.loss import LossReport
from turnfold.model.event_types import MESSAGE, Compaction
from turnfold.model.message import Message
from turnfold.model.parts import BlobPart, FilePart, ToolCallPart, ToolResultPart, UriPart
from turnfold.model.usage import NO_USAGE, Usage

NAME = "claude-code"
VERSION = "2.1.0"
"""The version whose lines these are like."""
CALL_ID_CHARS_MAX = 64
_MEDIA = (BlobPart, UriPart, FilePart)


class ClaudeCodeWriter:
    """See ``formats.base.Writer``."""

    name = NAME
    suffix = ".jsonl"

    def __init__(self, options: WriteOptions | None = None) -> None:
        """Set up; None are the defaults."""
        self._options = options or WriteOptions()

    def native_id(self, conversation: Conversation, copy: int = 0) -> str:
        """The session id that the file gets unless one was chosen; another ``copy`` gets another one."""
        origin = origin_of(conversation)
        return self._options.native_id or derived_uuid4(NAME, *origin.values(), *([copy] if copy else []))

    def write(self, conversation: Conversation, losses: LossReport) -> Iterator[bytes]:
        """Yield the file's lines."""
        lines = _File(conversation, losses, self._options, self.native_id(conversation)).lines()
        held: dict[str, Any] | None = None
        for line in lines:
            if held is not None:
                yield line_of(held) + b"\n"
            held = line
        if held is not None:
            held.pop("isMeta", None)  # a file that ends with an injected line has no end that the tool finds
            yield line_of(held) + b"\n"
        title = conversation.info.title
        if title:
            yield line_of({"type": "custom-title", "customTitle": title, "sessionId": self.native_id(conversation)}) + b"\n"


class _Answer(NamedTuple):
    """A result with where it stood."""

    part: ToolResultPart
    entry: ConversationEntry


class _File:
    """One file being written."""

    def __init__(self, conversation: Conversation, losses: LossReport, options: WriteOptions, session_id: str) -> None:
        self._conversation = conversation
        self._losses = losses
        self._options = options
        self._session_id = session_id
        self._cwd = folder_of(conversation, options) or "/"
        branch = conversation.info.metadata.get("git_branch")
        self._git_branch = branch if isinstance(branch, str) else ""
        self._blocks = Blocks(losses, options, native=came_from(conversation) == NAME)
        self._at_us = began_us(conversation)
        self._parent: str | None = None
        self._line_count = 0
        self._uuids: dict[int, list[str]] = {}
        self._context: list[ConversationEntry] = []
        self._answers: dict[str, _Answer] = {}
        self._call_ids: dict[int, str] = {}
        self._asked: list[str] = []
        self._shown: list[Block] = []
        self._message_id: str | None = None
        self._usage = self._owed = NO_USAGE
        """What the answer at hand has used, and that part of it that no line says so far (answers that are left out have none)."""
        self._pair()

    def _pair(self) -> None:
        """Give every call its id, and find its result."""
        ids = CallIds(CALL_ID_CHARS_MAX)
        for entry in self._conversation.entries:
            for part in entry.message.parts if entry.message is not None and entry.type != COMPACTION and entry.for_model else ():
                if type(part) is ToolCallPart:
                    self._call_ids[id(part)] = ids.call(part.id)
                elif type(part) is ToolResultPart:
                    found = ids.result(part.id)
                    if found is None:  # its own call stands in for the one that is missing
                        found = ids.call(part.id)
                        ids.result(part.id)
                        self._call_ids[id(part)] = found
                    self._answers[found] = _Answer(part, entry)

    # ---- the conversation --------------------------------------------------------------------------------------------------------------

    def lines(self) -> Iterator[dict[str, Any]]:
        entries = self._conversation.entries
        said: set[int] = set()
        note_at = note_index(entries, encrypted=False) if self._options.origin_note else -1
        for index, entry in enumerate(entries):
            if index == note_at:
                yield from self._note()
            if entry.type == COMPACTION:
                yield from self._end_run()
                self._at_us = max(entry.at_us, 0) or self._at_us
                yield from self._compaction(entries, index, said)
            elif entry.seq not in said and entry.for_model:
                yield from self._entry(entry)
            elif entry.type == MESSAGE and not entry.for_model:
                self._losses.add(loss.UNSENT, entry.seq)
        yield from self._end_run()
        if self._owed:
            self._losses.add(loss.USAGE_WITHOUT_ANSWER)
        if note_at == len(entries):
            yield from self._note()
        if self._conversation.children:
            self._losses.add(loss.SUBAGENTS, count=len(self._conversation.children))
        if self._conversation.system_prompt:
            self._losses.add(loss.SYSTEM_PROMPTS)

    def _note(self) -> Iterator[dict[str, Any]]:
        yield from self._end_run()
        yield self._user(note_text(self._conversation, self._cwd), isMeta=True)

    def _entry(self, entry: ConversationEntry) -> Iterator[dict[str, Any]]:
        message = entry.message
        if message is None or is_note(message):
            return
        if is_injected_by_tool(entry):
            self._losses.add(loss.INJECTED, entry.seq)
            return
        if message.role != "assistant":
            yield from self._end_run()
        self._at_us = max(entry.at_us, 0) or self._at_us
        self._move(entry)
        self._context.append(entry)
        made = self._assistant(entry, message) if message.role == "assistant" else self._other(entry, message)
        for line in made:
            self._uuids.setdefault(entry.seq, []).append(line["uuid"])
            yield line

    def _assistant(self, entry: ConversationEntry, message: Message) -> Iterator[dict[str, Any]]:
        """The blocks of an answer. Entries that follow one another are one message of the API, as they were for other providers."""
        own = message.response_id if message.provider == PROVIDER else None
        if own is not None or self._message_id is None:
            self._message_id = own or f"msg_{digest_of(self._session_id, entry.seq)[:24]}"
        self._usage = self._owed + entry.usage if self._owed and entry.usage else entry.usage or self._owed
        self._owed = self._usage
        for part in message.parts:
            if type(part) is ToolCallPart:
                call_id = self._call_ids[id(part)]
                self._asked.append(call_id)
                block, beside = self._blocks.call(part, call_id)
                yield self._answer(entry, message, block, beside)
            elif isinstance(part, _MEDIA):
                shown = self._blocks.of(part, message, entry.seq)
                self._shown += [] if shown is None else [shown]
            elif type(part) is ToolResultPart:
                yield from self._orphan(entry, part)
            else:
                said = self._blocks.of(part, message, entry.seq)
                if said is not None:
                    yield self._answer(entry, message, said, {})
        if (self._usage and not self._owed) or own is not None:
            self._message_id = None  # the next answer has its own usage, and so is a message of its own

    def _end_run(self) -> Iterator[dict[str, Any]]:
        """Write what belongs behind the assistant's message: the results of its calls, then what it showed."""
        answered = [call_id for call_id in self._asked if call_id in self._answers]
        place = {call_id: index for index, call_id in enumerate(self._answers)}
        for call_id in sorted(answered, key=place.__getitem__):
            yield self._result(call_id)
        if self._shown:
            yield self._user(self._shown, isMeta=True)
        self._asked, self._shown, self._message_id = [], [], None

    def _other(self, entry: ConversationEntry, message: Message) -> Iterator[dict[str, Any]]:
        """What the user, the tool that runs the session, or a tool that was called said."""
        content: list[Block] = []
        for part in message.parts:
            if type(part) is ToolResultPart:
                yield from self._orphan(entry, part)
            elif type(part) is ToolCallPart:
                self._losses.add(loss.MISPLACED_CALLS, entry.seq)
            else:
                block = self._blocks.of(part, message, entry.seq)
                content += [] if block is None else [block]
        if not content:
            return
        text = content[0]["text"] if len(content) == 1 and content[0]["type"] == "text" else None
        fields: dict[str, Any] = {}
        if entry.meta.get("compact_summary") is True:
            fields = {"isVisibleInTranscriptOnly": True, "isCompactSummary": True}
        elif message.role in {"system", "developer"}:
            fields = {"isMeta": True, MARK: {"role": message.role}}
        elif entry.visibility == "model":
            fields = {"isMeta": True}
        yield self._user(content if text is None else text, **fields)

    def _orphan(self, entry: ConversationEntry, part: ToolResultPart) -> Iterator[dict[str, Any]]:
        """A result whose call is missing; all others were written behind their calls."""
        call_id = self._call_ids.get(id(part))
        if call_id is None:
            return
        self._usage = NO_USAGE
        self._losses.add(loss.ORPHAN_RESULTS, entry.seq)
        block = {"type": "tool_use", "id": call_id, "name": UNKNOWN_TOOL, "input": {}}
        yield self._answer(entry, Message("assistant"), block, {})
        if entry.message is not None and entry.message.role == "assistant":
            self._asked.append(call_id)
        else:
            self._message_id = None
            yield self._result(call_id)

    def _result(self, call_id: str) -> dict[str, Any]:
        part, entry = self._answers[call_id]
        at_us, self._at_us = self._at_us, max(entry.at_us, 0) or self._at_us
        block = self._blocks.result(part, call_id, entry.seq)
        beside = {"toolUseResult": part.detail} if part.detail is not None and came_from(self._conversation) == NAME else {}
        line = self._user([block], **beside)
        self._uuids.setdefault(entry.seq, []).append(line["uuid"])
        self._at_us = max(at_us, self._at_us)
        return line

    # ---- compaction --------------------------------------------------------------------------------------------------------------------

    def _compaction(self, entries: Any, index: int, said: set[int]) -> Iterator[dict[str, Any]]:
        entry = entries[index]
        left = compacted_at(entries, index, self._context)
        if not left.is_readable:
            self._losses.add(loss.SEALED_COMPACTIONS, entry.seq)
            return
        if left.summary_seq is not None:
            said.add(left.summary_seq)
        last, self._parent = self._parent, None
        facts = msgspec.convert(entry.data, Compaction)
        metadata: dict[str, Any] = {"trigger": "auto" if facts.trigger == "auto" else "manual", "preTokens": facts.pre_tokens or 0}
        if facts.post_tokens:
            metadata["postTokens"] = facts.post_tokens
        kept = [uuid for one in left.after for uuid in self._uuids.get(one.seq, ())]
        if kept:  # the tool hangs them behind the summary
            anchor = self._uuid(2)
            metadata["preservedSegment"] = {"headUuid": kept[0], "anchorUuid": anchor, "tailUuid": kept[-1]}
            metadata["preservedMessages"] = {"anchorUuid": anchor, "uuids": kept, "allUuids": kept}
        fields = {"subtype": "compact_boundary", "content": "Conversation compacted", "isMeta": False, "level": "info"}
        yield self._chained("system", logicalParentUuid=last, **fields, compactMetadata=metadata)
        yield self._user(self._summary(left, entry.seq), isVisibleInTranscriptOnly=True, isCompactSummary=True)
        self._context = [*left.before, *left.after]

    def _summary(self, left: Compacted, seq: int) -> str | list[Block]:
        """The summary, after what the model was left of older times."""
        content: list[Block] = []
        for message in (*(one.message for one in left.before if one.message is not None), *left.summary):
            for part in message.parts:
                if type(part) is ToolCallPart or type(part) is ToolResultPart:
                    continue
                block = self._blocks.of(part, message, seq)
                content += [] if block is None else [block]
            if told := say(message):
                self._losses.add(loss.KEPT_CALLS, seq)
                content.append({"type": "text", "text": told})
        return content[0]["text"] if len(content) == 1 and content[0]["type"] == "text" else content

    # ---- lines -------------------------------------------------------------------------------------------------------------------------

    def _answer(self, entry: ConversationEntry, message: Message, block: Block, beside: dict[str, Any]) -> dict[str, Any]:
        self._owed = NO_USAGE
        native = {
            "id": self._message_id or f"msg_{digest_of(self._session_id, entry.seq, block.get('id'))[:24]}",
            "type": "message",
            "role": "assistant",
            "model": "<synthetic>" if message.synthetic else message.model or "unknown",
            "content": [block],
            "stop_reason": message.native_finish_reason if message.provider == PROVIDER else None,
            "stop_sequence": None,
            "usage": _native(self._usage),
        }
        return self._chained("assistant", message=native, **({MARK: beside} if beside else {}))

    def _user(self, content: str | list[Block], **fields: Any) -> dict[str, Any]:
        return self._chained("user", message={"role": "user", "content": content}, **fields)

    def _chained(self, kind: str, **fields: Any) -> dict[str, Any]:
        first = self._line_count == 0
        uuid = self._uuid()
        parent, self._parent = self._parent, uuid
        self._line_count += 1
        line: dict[str, Any] = {
            "parentUuid": parent,
            "isSidechain": False,
            "userType": "external",
            "cwd": self._cwd,
            "sessionId": self._session_id,
            "version": VERSION,
            "gitBranch": self._git_branch,
            "type": kind,
            **fields,
            "uuid": uuid,
            "timestamp": stamp(self._at_us),
        }
        return {**line, MARK: {**fields.get(MARK, {}), "origin": origin_of(self._conversation)}} if first else line

    def _uuid(self, ahead: int = 1) -> str:
        """The uuid of the next line, or of one further on."""
        return derived_uuid4(self._session_id, self._line_count + ahead)

    def _move(self, entry: ConversationEntry) -> None:
        """Follow the session to another folder or git branch, unless one folder was chosen for all."""
        env = env_of(entry)
        cwd, branch = env.get("cwd"), env.get("git_branch")
        if isinstance(cwd, str) and cwd and self._options.cwd is None:
            self._cwd = cwd
        if isinstance(branch, str) and branch:
            self._git_branch = branch


def _native(usage: Usage) -> dict[str, Any]:
    """Usage in Anthropic's names; their input leaves cached tokens out."""
    fresh = usage.input_tokens - usage.cache_read_input_tokens - usage.cache_creation_input_tokens
    native: dict[str, Any] = {
        "input_tokens": max(0, fresh),
        "cache_creation_input_tokens": max(0, usage.cache_creation_input_tokens),
        "cache_read_input_tokens": max(0, usage.cache_read_input_tokens),
        "output_tokens": max(0, usage.output_tokens),
    }
    if usage.reasoning_output_tokens > 0:
        native["output_tokens_details"] = {"thinking_tokens": usage.reasoning_output_tokens}
    return native
