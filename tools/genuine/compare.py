"""What a conversation says against what a program sent: every text, call, result and image, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.genuine.sent import Sent

from turnfold.core.conversation import Conversation
from turnfold.model.message import Message
from turnfold.model.parts import AnyPart, BlobPart, TextPart, ToolCallPart, ToolResultPart, UriPart

SHOWN_CHARS_MAX = 120
_NOTHING = "\0"
"""In no result."""


def expected_of(conversation: Conversation) -> Sent:
    """Return what a request must hold so that the model has the whole conversation, but for reasoning: no other model may get that."""
    sent = Sent()
    for entry in conversation.for_model:
        for message in (*entry.replacement, *([] if entry.replacement or entry.message is None else [entry.message])):
            _read(message, sent)
    return sent


def _read(message: Message, sent: Sent) -> None:
    for part in message.parts:
        if isinstance(part, TextPart):
            sent.texts.append((message.role, part.content))
        elif isinstance(part, ToolCallPart):
            sent.calls[part.id] = (part.name, part.arguments if part.arguments is not None else part.arguments_raw)
        elif isinstance(part, ToolResultPart):
            sent.results[part.id] = _result(part.response, sent)
        else:
            _media(part, sent)


def _media(part: AnyPart, sent: Sent) -> None:
    if isinstance(part, BlobPart) and part.modality == "image" and part.content:
        sent.images.append(part.content)
    elif isinstance(part, UriPart) and part.modality == "image":
        sent.images.append(part.uri)


def _result(response: Any, sent: Sent) -> str:
    if isinstance(response, str):
        return response
    texts: list[str] = []
    for item in response if isinstance(response, list) else ():
        if isinstance(item, dict) and item.get("type") == "text":
            texts.append(str(item.get("content")))
        elif isinstance(item, dict) and item.get("type") == "blob" and item.get("content"):
            sent.images.append(str(item["content"]))
    return "\n".join(texts)


@dataclass(frozen=True)
class Comparison:
    """How much of what was expected was sent.

    Attributes:
        counts: Kind (``texts``, ``calls``, ``results``, ``images``) → how many were sent whole, how many were expected.
        missing: What is not there, in words.
        extra: Ids of calls and results, and images, that nobody expected.
        unpaired: Ids that have only a call or only a result in the request.
    """

    counts: dict[str, tuple[int, int]]
    missing: list[str]
    extra: list[str]
    unpaired: set[str]

    @property
    def faults(self) -> list[str]:
        """Everything that is not as it should be, in words."""
        return [*self.missing, *(f"unexpected: {what}" for what in self.extra), *(f"not paired: {call_id}" for call_id in self.unpaired)]


def compare(expected: Sent, sent: Sent, *, renamed: Mapping[str, str] | None = None) -> Comparison:
    """Compare a request with what it must hold; a program may add to a text, never leave some of it out.

    Args:
        expected: What must be there.
        sent: What was there.
        renamed: Tools that the program calls otherwise now: old name → new.
    """
    names = renamed or {}
    everything = _flat(sent.text)
    texts = [_flat(text) for _, text in expected.texts if text.strip()]
    calls = {call_id: (names.get(name, name), arguments) for call_id, (name, arguments) in expected.calls.items()}
    lost = [call_id for call_id, call in calls.items() if sent.calls.get(call_id) != call]
    cut = [call_id for call_id, text in expected.results.items() if _flat(text) not in _flat(sent.results.get(call_id, _NOTHING))]
    images = Counter(expected.images) - Counter(sent.images)
    counts = {
        "texts": (sum(text in everything for text in texts), len(texts)),
        "calls": (len(calls) - len(lost), len(calls)),
        "results": (len(expected.results) - len(cut), len(expected.results)),
        "images": (len(expected.images) - images.total(), len(expected.images)),
    }
    missing = [
        *(f"text {_short(text)}" for text in texts if text not in everything),
        *(f"call {call_id} {_short(calls[call_id])} is {_short(sent.calls.get(call_id))}" for call_id in lost),
        *(f"result {call_id} {_short(expected.results[call_id])} is {_short(sent.results.get(call_id))}" for call_id in cut),
        *(f"image of {len(image)} characters" for image in images.elements()),
    ]
    answered = expected.calls.keys() | expected.results.keys()  # a program closes calls that were left open
    extra = sorted((sent.calls.keys() - expected.calls.keys()) | (sent.results.keys() - answered))
    extra += [f"image of {len(image)} characters" for image in (Counter(sent.images) - Counter(expected.images)).elements()]
    return Comparison(counts, missing, extra, sent.unpaired())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "…"


def _flat(text: str) -> str:
    """Without differences of white space at line ends and around: programs trim."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
