"""Reading a session: messages, window, events, following."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Literal

import msgspec

from turnfold.core.compaction import COMPACTION, compacted, span_of
from turnfold.core.fold import payload_of
from turnfold.core.lifecycle import TERMINAL
from turnfold.core.state import fold_pins, keyed_entries
from turnfold.core.transcript import VIEW_TYPES, Shown, Tail, messages_of, show
from turnfold.core.window import Window, plan
from turnfold.engine._async.base import AsyncHandle
from turnfold.engine.cursor import Cursor
from turnfold.engine.waiting import AsyncFollowing
from turnfold.errors import InvalidInput
from turnfold.limits import FOLLOW_WAIT_S_MAX, PAGE_EVENTS_MAX, READ_CHUNK_EVENTS
from turnfold.model.event import Event, to_us
from turnfold.model.event_types import MESSAGE
from turnfold.model.message import Message, system, user
from turnfold.model.page import Page
from turnfold.model.query import ACTIVE_BRANCH
from turnfold.model.session import Entry

_MODEL = frozenset({"model", "both"})
_WINDOW_SHOWN = frozenset({MESSAGE, "context"})
_COMPACTIONS = frozenset({COMPACTION})
_WINDOW_TYPES = VIEW_TYPES | _WINDOW_SHOWN | _COMPACTIONS
_TAIL_CHUNK_MIN = 64


class AsyncReading(AsyncHandle):
    """What a session handle reads."""

    async def messages(self, *, last: int | None = None, at: int | None = None, viewer: str | None = None) -> list[Message]:
        """Return the messages of the handle's branch, oldest first.

        Args:
            last: Only this many from the end; reads only the tail of the log.
            at: As the branch was when the event of this seq was its last; None is now.
            viewer: Agent whose ``visible_to``/``hidden_from`` hold; None sees all.
        """
        branch = self._branch or ACTIVE_BRANCH
        before = None if at is None else at + 1
        if last is not None:
            if last < 0:
                raise InvalidInput(f"last is 0 or more, not {last}")
            tail = Tail(last)
            await self._feed(tail, branch, VIEW_TYPES, viewer, before=before)
            return [shown.message for shown in tail.shown()]
        return messages_of(await self._all(branch, VIEW_TYPES, viewer, before=before))

    async def window(self, token_budget: int, *, viewer: str | None = None) -> Window:
        """Return what the model sees next: system prompt and pinned messages, summary, and the newest that fit, tool pairs whole.

        Args:
            token_budget: Never exceeded by the stored token counts (estimates unless the source gave them).
            viewer: Agent whose ``visible_to``/``hidden_from`` hold; None sees all.

        Raises:
            LimitExceeded: System prompt, summary and pinned messages alone are over the budget.
        """
        head, branch, branches = await self._place()
        pins, exact = keyed_entries(head.entries, "pin", branches, branch)
        pinned = {int(name) for name, value in pins.items() if value is not None}
        if not exact:
            pinned = fold_pins(await self._all(branch, frozenset({"pin", "unpin"}), None))
        first = _system_prompt(head.entry("system_prompt", ""))
        if pinned:
            events = [event for event in await self._all(branch, _WINDOW_TYPES, viewer) if _is_for_model(event)]
        else:
            events = await self._recent(branch, token_budget, viewer)
        summary, view = _after_compactions(events, pinned)
        return plan(view, token_budget, first=[*first, *summary], pinned=frozenset(pinned))

    async def events(
        self,
        *,
        after: int | str = 0,
        before: int | None = None,
        limit: int = 100,
        types: Iterable[str] | None = None,
        branch: str | None = None,
        run_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: Literal["asc", "desc"] = "asc",
        viewer: str | None = None,
    ) -> Page[Event]:
        """Return a page of the whole session's events (of one branch's view with ``branch``); all conditions hold together.

        Args:
            after: Strict lower bound: 0, a seq, or the cursor of an earlier page.
            before: Strict upper bound.
            limit: 1 to ``PAGE_EVENTS_MAX``.
            types: Event types.
            branch: A branch's view.
            run_id: Events of one run.
            since: Events whose ``at`` is not earlier.
            until: Events whose ``at`` is earlier.
            order: ``asc`` or ``desc``.
            viewer: Agent whose ``visible_to``/``hidden_from`` hold.
        """
        if not 0 < limit <= PAGE_EVENTS_MAX:
            raise InvalidInput(f"limit is 1 to {PAGE_EVENTS_MAX}, not {limit}", limit="PAGE_EVENTS_MAX", value=PAGE_EVENTS_MAX)
        if order not in {"asc", "desc"}:
            raise InvalidInput(f"order is 'asc' or 'desc', not {order!r}")
        seq, incarnation = self._cursor(after)
        page = await self._read(
            self._query(
                after=seq,
                before=before,
                limit=limit,
                branch=branch,
                types=None if types is None else frozenset([types] if isinstance(types, str) else types),
                run_id=run_id,
                since_us=None if since is None else to_us(since),
                until_us=None if until is None else to_us(until),
                viewer=viewer,
                descending=order == "desc",
                incarnation=incarnation,
            ),
        )
        return Page(page.events, Cursor.at(page.through_seq, page.incarnation))

    async def event(self, seq: int) -> Event:
        """Return one event, or raise NotFound."""
        return await self._event(seq)

    async def part(self, ref: str) -> bytes:
        """Return an out-of-line part (the ``blob_ref`` of a blob part) as it was given: base64 text for blobs."""
        return await self._bridge.call(self._context.store.read_part, self._key, ref, owner=self._owner)

    async def follow(
        self,
        *,
        after: int | str = 0,
        wait_s: float | None = None,
        types: Iterable[str] | None = None,
        branch: str | None = None,
        viewer: str | None = None,
    ) -> AsyncIterator[Event]:
        """Yield events as they come, each exactly once and in order, whichever process writes them.

        Args:
            after: Where to begin: 0, a seq, or a cursor.
            wait_s: End when nothing came for so long; None waits until the session ends.
            types: Only these event types.
            branch: Only a branch's view.
            viewer: Agent whose ``visible_to``/``hidden_from`` hold.
        """
        if wait_s is not None and not 0 <= wait_s <= FOLLOW_WAIT_S_MAX:
            raise InvalidInput(f"wait_s is 0 to {FOLLOW_WAIT_S_MAX}, not {wait_s}", limit="FOLLOW_WAIT_S_MAX", value=FOLLOW_WAIT_S_MAX)
        seq, incarnation = self._cursor(after)
        wanted = None if types is None else frozenset([types] if isinstance(types, str) else types)
        async with AsyncFollowing(self._context.hub, self._key) as following:
            while True:
                query = self._query(
                    after=seq,
                    limit=READ_CHUNK_EVENTS,
                    types=wanted,
                    branch=branch,
                    viewer=viewer,
                    incarnation=incarnation or self._incarnation,
                )
                page = await self._read(query)
                incarnation = page.incarnation or incarnation
                for event in page.events:
                    seq = event.seq
                    yield event
                seq = max(seq, page.through_seq)
                if page.more or seq < page.last_seq:
                    continue
                if page.last_seq and (await self.head()).info.status in TERMINAL:
                    if (await self.head()).info.last_seq > seq:
                        continue
                    return
                if not await following.past(seq, wait_s):
                    return

    async def _all(
        self,
        branch: str,
        types: frozenset[str],
        viewer: str | None,
        *,
        before: int | None = None,
    ) -> list[Event]:
        """Read a branch's whole view in chunks."""
        out: list[Event] = []
        after = 0
        while True:
            query = self._query(after=after, before=before, limit=PAGE_EVENTS_MAX, branch=branch, types=types, viewer=viewer)
            page = await self._read(query)
            out = page.events if not out else out + page.events
            if not page.more:
                return out
            after = page.through_seq

    async def _feed(self, tail: Tail, branch: str, types: frozenset[str], viewer: str | None, *, before: int | None = None) -> None:
        """Read a branch's view backwards until the tail is full."""
        limit = max(_TAIL_CHUNK_MIN, tail.need_count + 8)
        while not tail.full:
            query = self._query(
                before=before, limit=min(limit, PAGE_EVENTS_MAX), branch=branch, types=types, viewer=viewer, descending=True
            )
            page = await self._read(query)
            tail.feed(page.events)
            if not page.more or not page.events:
                return
            before = page.events[-1].seq
            limit *= 2

    async def _recent(self, branch: str, token_budget: int, viewer: str | None) -> list[Event]:
        """Read backwards until the budget is surely used up, or as far as a compaction asks for; ascending."""
        out: list[Event] = []
        before: int | None = None
        limit = _TAIL_CHUNK_MIN
        tokens = 0
        while True:
            query = self._query(before=before, limit=limit, branch=branch, types=_WINDOW_TYPES, viewer=viewer, descending=True)
            page = await self._read(query)
            seen = [event for event in page.events if _is_for_model(event)]
            out += seen
            tokens += sum(event.token_count for event in seen)
            enough = tokens > 2 * token_budget and any(event.turn_count for event in seen)
            if not page.more or not page.events or enough or _is_reached(out):
                return out[::-1]
            before = page.events[-1].seq
            limit = min(limit * 2, PAGE_EVENTS_MAX)


def _system_prompt(entry: Entry | None) -> list[Message]:
    if entry is None or entry.value is None:
        return []
    return [system(msgspec.json.decode(entry.value, type=str))]


def _is_for_model(event: Event) -> bool:
    """Whether an event concerns what the model sees; what takes messages out or stands for them does, whoever sees it itself."""
    return event.visibility in _MODEL or event.type not in _WINDOW_SHOWN


def _after_compactions(events: list[Event], pinned: set[int]) -> tuple[list[Message], list[Shown]]:
    """Return what stands for earlier parts of a view, and what is left of it: what follows, what compactions keep, and what is pinned."""
    payloads = {event.seq: payload_of(event) for event in events if event.type == COMPACTION and not event.redacted}
    if not payloads:
        return [], show(events, _WINDOW_SHOWN)
    view = show([event for event in events if event.type != COMPACTION or event.seq in payloads], _WINDOW_SHOWN, marks=_COMPACTIONS)
    left = compacted(view, {seq: span_of(data, seq) for seq, data in payloads.items()}, frozenset(pinned))
    summaries = [message for shown in left if shown.seq in payloads for message in summary_messages(payloads[shown.seq])]
    return summaries, [shown for shown in left if shown.seq not in payloads]


def _is_reached(events: list[Event]) -> bool:
    """Whether events, newest first, go back as far as their newest compaction asks for; one that was taken back asks for more."""
    for event in events:
        if event.type in {"retract", "rollback"}:
            return False
        if event.type == COMPACTION and not event.redacted:
            return events[-1].seq <= span_of(payload_of(event), event.seq).reach_seq
    return False


def summary_messages(data: object) -> list[Message]:
    """The messages that stand for a compacted range: the source's own replacement, or the summary as a user message."""
    replacement = getattr(data, "replacement", None)
    if replacement:
        return [msgspec.convert(item, Message) for item in replacement]
    summary = getattr(data, "summary", None)
    return [user(summary)] if summary else []
