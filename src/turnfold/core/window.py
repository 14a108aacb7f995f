"""The window: what goes to the model next, under a token budget.

System prompt and pinned messages first, then the summary of what was compacted, then as many of the newest messages as fit. A tool call and
its results stay together, or are left out together. The newest message is clipped rather than dropped when it alone is over what is left.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from turnfold.core.transcript import Shown
from turnfold.errors import LimitExceeded
from turnfold.model.message import Message, encode_message
from turnfold.model.parts import AnyPart, TextPart, ToolResultPart

CLIP_NOTE = "\n[… clipped to fit the window]"
_TOKEN_BYTES = 4
_FRAME_TOKENS = 16
"""What role and part names of one clipped message cost in the estimate."""


class Window(list[Message]):
    """The messages of a window, with its estimated size and what was left out."""

    def __init__(self, messages: Sequence[Message], token_count: int, omitted_count: int) -> None:
        """Keep the messages, their tokens together, and the number of messages of the view that are not in it."""
        super().__init__(messages)
        self.token_count = token_count
        self.omitted_count = omitted_count


class Unit(msgspec.Struct, gc=False):
    """Messages that go in together: one, or a call with all its results."""

    items: list[Shown]
    token_count: int
    pinned: bool = False


def tokens_of(shown: Shown) -> int:
    """The stored token count, or the estimate from the encoded message."""
    return shown.token_count or (len(encode_message(shown.message)) + 3) // _TOKEN_BYTES


def units_of(view: Sequence[Shown], pinned: frozenset[int] = frozenset()) -> list[Unit]:
    """Group a view into units, oldest first; results whose call is not in the view are dropped."""
    units: list[Unit] = []
    by_call: dict[str, Unit] = {}
    for shown in view:
        results = shown.message.tool_results
        home = next((by_call[part.id] for part in results if part.id in by_call), None)
        if results and home is None:
            continue
        if home is None:
            home = Unit([], 0)
            units.append(home)
        home.items.append(shown)
        home.token_count += tokens_of(shown)
        home.pinned = home.pinned or shown.seq in pinned
        for call in shown.message.tool_calls:
            by_call[call.id] = home
        for part in results:  # a second unit's call answered here joins the two
            other = by_call.get(part.id)
            if other is not None and other is not home:
                _join(home, other, units, by_call)
    return units


def _join(home: Unit, other: Unit, units: list[Unit], by_call: dict[str, Unit]) -> None:
    home.items = sorted([*home.items, *other.items], key=lambda shown: shown.seq)
    home.token_count += other.token_count
    home.pinned = home.pinned or other.pinned
    units.remove(other)
    for call_id, unit in by_call.items():
        if unit is other:
            by_call[call_id] = home


def unanswered(unit: Unit, last: bool) -> bool:  # noqa: FBT001
    """Whether a call of this unit has no result, which only the end of a view may have."""
    calls = {call.id for shown in unit.items for call in shown.message.tool_calls}
    results = {part.id for shown in unit.items for part in shown.message.tool_results}
    return not last and bool(calls - results)


def plan(view: Sequence[Shown], token_budget: int, *, first: Sequence[Message] = (), pinned: frozenset[int] = frozenset()) -> Window:
    """Choose what fits.

    Args:
        view: The messages of the branch's view (or enough of its end, and all pinned ones), oldest first.
        token_budget: Never exceeded by the estimate.
        first: System prompt and summary; they always go in.
        pinned: Seqs that always go in.

    Raises:
        LimitExceeded: ``first`` and the pinned messages alone are over the budget.
    """
    units = units_of(view, pinned)
    fixed = sum((len(encode_message(message)) + 3) // _TOKEN_BYTES for message in first)
    fixed += sum(unit.token_count for unit in units if unit.pinned)
    if fixed > token_budget:
        raise LimitExceeded(
            f"system prompt, summary and pinned messages need {fixed} tokens, the budget is {token_budget}",
            limit="token_budget",
            value=token_budget,
            hint="unpin something or raise the budget",
        )
    left = token_budget - fixed
    chosen = {id(unit) for unit in units if unit.pinned}
    clipped: dict[int, Message] = {}
    newest = True
    for index in range(len(units) - 1, -1, -1):
        unit = units[index]
        if unit.pinned or unanswered(unit, last=index == len(units) - 1):
            continue
        if unit.token_count > left:
            if newest and len(unit.items) == 1:
                message = clip(unit.items[0].message, left)
                if message is not None:
                    clipped[unit.items[0].seq] = message
                    chosen.add(id(unit))
                    left = 0
            break
        newest = False
        left -= unit.token_count
        chosen.add(id(unit))
    picked = sorted((shown for unit in units if id(unit) in chosen for shown in unit.items), key=lambda shown: shown.seq)
    messages = [*first, *(clipped.get(shown.seq, shown.message) for shown in picked)]
    return Window(messages, token_budget - left, len(view) - len(picked))


def clip(message: Message, token_budget: int) -> Message | None:
    """Shorten the texts of a message to the budget, or None where not even its frame fits."""
    room = (token_budget - _FRAME_TOKENS) * _TOKEN_BYTES - len(CLIP_NOTE)
    if room <= 0:
        return None
    parts: list[AnyPart] = []
    for part in message.parts:
        text = part.content if isinstance(part, TextPart) else part.response if isinstance(part, ToolResultPart) else None
        if not isinstance(text, str):
            continue
        short = text.encode()[: max(room, 0)].decode(errors="ignore")
        room -= len(short.encode())
        note = short if short == text else short + CLIP_NOTE
        field = "content" if isinstance(part, TextPart) else "response"
        parts.append(msgspec.structs.replace(part, **{field: note}))
        if room <= 0:
            break
    if not parts:
        return None
    clipped = msgspec.structs.replace(message, parts=parts)
    return clipped if (len(encode_message(clipped)) + 3) // _TOKEN_BYTES <= token_budget else None
