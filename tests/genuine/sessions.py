"""Sessions of the corpus as the genuine tests need them: imported, read as a conversation, and compared with what was sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
from tools.genuine.clis import ClaudeCli, CodexCli
from tools.genuine.compare import Comparison, compare, expected_of
from tools.genuine.images import is_sound
from tools.genuine.sent import Sent

from turnfold.core.conversation import Conversation, ConversationEntry
from turnfold.engine.converting import conversation_of
from turnfold.engine.importer import Importer
from turnfold.formats import loss
from turnfold.formats.carrying.media import is_injected_by_tool
from turnfold.formats.loss import LossReport
from turnfold.model.parts import CompactionPart
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store

CLAUDE = (
    "cipher-box-12f1f541",
    "cipher-box-8dbf99fc",
    "cli-15f99783",
    "cli-2026-01-15-b00b80af",
    "cli-2026-01-19-8b418ea5",
    "cli-2026-01-27-163396cf",
    "context-ev-51723c80",
    "context-ev-540a8f92",
    "context-ev-d2482b67",
    "context-ev-ffc44f28",
    "generated/0.2.126/d4ef9acc",
    "generated/2.0.76/eeb2e48c",
    "generated/2.1.200/1cb3b037",
    "happy-1-continue",
    "happy-permission-prompt",
    "happy-rate-limit",
    "happy-task_non_sdk",
    "spotter/258c7280",
    "spotter/tool_heavy",
    "viewer-1af7fc5e",
    "viewer-5c0375b4",
)
CODEX = (
    "agentv-019ed836",
    "agentv-019ed99c",
    "agentv-019ed9f4",
    "agentv-019f03e0",
    "agentv-019f05f8",
    "agentv-019f0675",
    "agentv-019f1de1",
    "agentv-019f36b8",
    "generated/0.36.0/",
    "generated/0.66.0/",
    "generated/0.120.0/",
    "generated/0.155.0/",
)
"""Main files of the corpus but for hand-trimmed shapes, whose ids and modes no program takes, and rollouts before 0.36 (see the upgrade)."""
RENAMED = {"Task": "Agent"}
"""Claude Code itself gives the old calls of its tool the new name."""


def corpus_file(shared_dir: Path, tool: str, part: str) -> Path:
    """Return the main file whose path below the tool's folder begins with that part."""
    folder = shared_dir / "data" / "transcripts" / tool
    found = [path for path in folder.rglob("*.json*") if path.relative_to(folder).as_posix().startswith(part)]
    (main,) = [
        path for path in found if not (path.name.startswith("agent-") or "subagents" in path.parts or path.name.endswith(".meta.json"))
    ]
    return main


class Imported(NamedTuple):
    """A session in a store, with what the model must get of it."""

    store: Store
    session_id: str
    conversation: Conversation
    expected: Sent

    @property
    def provider(self) -> str:
        """Codex's name for the provider of the thread."""
        return str(self.conversation.info.metadata.get("model_provider") or "openai")


def imported(store: Store, path: Path) -> Imported:
    """Import a file and read what a model would get next."""
    return session_in(store, Importer(store).import_file(path).session_ids[0])


def session_in(store: Store, session_id: str) -> Imported:
    """Read what a model would get next of a session."""
    conversation = conversation_of(store, SessionKey("default", session_id), losses=LossReport())
    expected = expected_of(conversation)
    expected.images = [image for image in expected.images if is_sound(image)]
    return Imported(store, session_id, conversation, expected)


def carried(session: Imported, losses: LossReport, target: str) -> Sent:
    """Return what another tool's request must hold; what the writer counted as lost, and that alone, is left out.

    Args:
        session: The session.
        losses: The writer's account.
        target: The format that was written.
    """
    entries = list(session.conversation.entries)
    told = losses.counts
    assert told.get(loss.INJECTED, 0) == sum(entry.for_model and is_injected_by_tool(entry) for entry in entries)
    unreadable = [entry for entry in entries if entry.replacement and _is_unreadable(entry)]
    if target != "codex":
        assert told.get(loss.SEALED_COMPACTIONS, 0) == len(unreadable)
        entries = [entry for entry in entries if entry not in unreadable]
    return conversation_alone(msgspec.structs.replace(session.conversation, entries=entries))


def conversation_alone(conversation: Conversation) -> Sent:
    """Return what a request must hold of a conversation, without what its tool says to its model about itself anew each time."""
    entries = [entry for entry in conversation.entries if not is_injected_by_tool(entry)]
    expected = expected_of(msgspec.structs.replace(conversation, entries=entries))
    expected.images = [image for image in expected.images if is_sound(image)]
    return expected


def as_objects(expected: Sent) -> Sent:
    """As Claude Code has it, whose calls have objects as arguments: free text is the one field of such an object."""
    calls = {key: (name, {"input": said} if isinstance(said, str) else said) for key, (name, said) in expected.calls.items()}
    return replace(expected, calls=calls)


def _is_unreadable(compaction: ConversationEntry) -> bool:
    """Whether only its provider can read what stands for the answers, or it was taken out of the file."""
    parts = [part for message in compaction.replacement for part in message.parts]
    if any(isinstance(part, CompactionPart) and not part.content for part in parts):
        return True
    return compaction.message is None and not any(message.role in {"assistant", "tool"} for message in compaction.replacement)


def place(cli: ClaudeCli | CodexCli, session_id: str, content: bytes, name: str | None = None) -> Path:
    """Put a session's file where the program looks for it."""
    if isinstance(cli, ClaudeCli):
        return cli.place(session_id, content)
    return cli.place(name or f"rollout-2026-03-01T10-00-00-{session_id}.jsonl", content)


def compared(expected: Sent, sent: Sent) -> Comparison:
    """Compare, with the tools that the program renames by itself, and without images that were damaged before they came here."""
    sent.images = [image for image in sent.images if is_sound(image)]
    return compare(expected, sent, renamed={old: new for old, new in RENAMED.items() if new in {name for name, _ in sent.calls.values()}})
