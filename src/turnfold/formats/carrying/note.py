"""The note of origin: what the model is told about a conversation that was carried over. It is no content of the conversation."""

from __future__ import annotations

from collections.abc import Iterable

from turnfold.core.conversation import Conversation
from turnfold.formats.carrying.options import stamp
from turnfold.model.message import Message
from turnfold.model.parts import TextPart

OPEN, CLOSE = "<carried_over_by_turnfold>", "</carried_over_by_turnfold>"
TOOLS_MAX = 40
"""Tool names that the note lists."""
TOOL_CHARS_MAX = 60
_NAMES = {"claude-code": "Claude Code", "codex": "Codex"}


def note_text(conversation: Conversation, cwd: str) -> str:
    """Return the note: tool, date, folder, and that its tools are not here."""
    info = conversation.info
    agent = str((info.native or {}).get("format") or info.agent or "another tool")
    tools = sorted({_plain(name)[:TOOL_CHARS_MAX] for name in _tool_names(conversation)} - {""})
    last = max((entry.at_us for entry in conversation.entries), default=0)
    lines = [
        OPEN,
        f"The conversation below took place in {_plain(_NAMES.get(agent, agent))} and was carried over on its way here.",
        f"Last entry: {stamp(last)}. Folder: {_plain(cwd)}",
        "Whatever it says about sandboxes, permissions, approvals and available tools was true there; what holds here you are told elsewhere.",
    ]
    if tools:
        listed = ", ".join(tools[:TOOLS_MAX]) + (" …" if len(tools) > TOOLS_MAX else "")
        lines.append(f"Tools named in this history may not be available; use your own for the same purpose. Named are: {listed}")
    return "\n".join([*lines, CLOSE])


def is_note(message: Message) -> bool:
    """Whether a message is such a note: written by us, and to be replaced when the conversation is carried on."""
    texts = [part.content.strip() for part in message.parts if type(part) is TextPart]
    return len(texts) == len(message.parts) == 1 and texts[0].startswith(OPEN) and texts[0].endswith(CLOSE)


def _tool_names(conversation: Conversation) -> Iterable[str]:
    for entry in conversation.entries:
        if entry.message is not None:
            yield from (call.name for call in entry.message.tool_calls)


def _plain(text: str) -> str:
    """In one line, without marks that could end the note."""
    return " ".join(text.split()).replace("<", "‹").replace(">", "›")
