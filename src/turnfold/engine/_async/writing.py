"""Writing to a session: append, update, pin, retract, redact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from turnfold.core.origins import kin_of
from turnfold.core.redaction import echo_of, redact_of, referenced_parts, texts_of
from turnfold.core.state import fold_pins, keyed_entries
from turnfold.engine._async.checkpoints import AsyncCheckpoints
from turnfold.engine.prepare import Item, may_begin_a_turn
from turnfold.errors import InvalidInput
from turnfold.ids import check_name, check_text
from turnfold.limits import PAGE_EVENTS_MAX, TITLE_BYTES_MAX
from turnfold.model import event_types as t
from turnfold.model.answers import Appended
from turnfold.model.event import Event, NewEvent
from turnfold.model.message import Message


class AsyncWriting(AsyncCheckpoints):
    """What a session handle writes."""

    async def append(self, items: Item | Iterable[Item], *, expected_seq: int | None = None) -> Appended:
        """Append messages or events to the handle's branch, all or none, in one commit.

        Args:
            items: 1 to ``APPEND_EVENTS_MAX`` messages or events, each at most ``EVENT_DATA_BYTES_MAX`` bytes encoded.
            expected_seq: Refuse unless this is the session's last seq. None appends wherever the end is and never meets a conflict.

        Raises:
            SequenceConflict: The session has moved on; carries ``current_seq``. Retryable after reading on.
            SessionClosed: The session takes no more events (SessionExpired when its time to live is over).
            LimitExceeded: A limit of the session would be passed.
            IdempotencyConflict: Some of the ids are there already with other content.
        """
        counting = self._context.settings.auto_checkpoint_interval is not None
        if counting and not isinstance(items, (Message, NewEvent)):
            items = list(items)
        done = await self._commit(items, expected_seq=expected_seq, limits=self._context.append_limits())
        if counting and may_begin_a_turn(items):
            await self._checkpoint_if_due()
        return Appended(done.first_seq, done.last_seq, done.repeated)

    async def update(
        self,
        *,
        title: str | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        system_prompt: str | None = None,
    ) -> None:
        """Change what the session is called and carries; None leaves a field as it is.

        Args:
            title: The new title; "" removes it.
            tags: The whole new set of tags.
            metadata: Keys to set; a value of None removes the key.
            system_prompt: Stands first in every window, unchanged by reset and compaction; "" removes it.
        """
        items: list[Item] = []
        if title is not None and title:
            check_text(title, "title", TITLE_BYTES_MAX)
        if title is not None or metadata or system_prompt is not None:
            data = t.SessionUpdated(title=title, metadata=dict(metadata or {}), system_prompt=system_prompt)
            items.append(NewEvent(type="session.updated", data=data, visibility="none"))
        if tags is not None:
            wanted = {check_name(tag, "tag") for tag in ([tags] if isinstance(tags, str) else tags)}
            have = set((await self.head()).info.tags)
            if wanted != have:
                change = t.Tag(added=sorted(wanted - have), removed=sorted(have - wanted))
                items.append(NewEvent(type="tag", data=change, visibility="none"))
        if items:
            await self._commit(items, lifecycle=True)

    async def tag(self, *tags: str, remove: Iterable[str] = ()) -> None:
        """Add and remove tags without touching the others."""
        added = [check_name(tag, "tag") for tag in tags]
        removed = [check_name(tag, "tag") for tag in remove]
        if added or removed:
            await self._commit(NewEvent(type="tag", data=t.Tag(added=added, removed=removed), visibility="none"), lifecycle=True)

    async def pin(self, seq: int) -> None:
        """Keep the message at ``seq`` in every window of this branch."""
        await self._event(seq)
        await self._commit(NewEvent(type="pin", data=t.Pin(target_seq=seq), visibility="none"))

    async def unpin(self, seq: int) -> None:
        """Undo a pin."""
        await self._commit(NewEvent(type="unpin", data=t.Unpin(target_seq=seq), visibility="none"))

    async def pins(self) -> list[int]:
        """Return the pinned seqs of the handle's branch, ascending."""
        head, branch, branches = await self._place()
        values, exact = keyed_entries(head.entries, "pin", branches, branch)
        if exact:
            return sorted(int(name) for name, value in values.items() if value is not None)
        return sorted(fold_pins(await self._all(branch, frozenset({"pin", "unpin"}), None)))

    async def retract(self, *seqs: int, reason: str | None = None) -> None:
        """Take messages out of the branch's view by their seqs; the originals stay in the log."""
        if not seqs:
            raise InvalidInput("retract needs at least one seq")
        await self._commit(NewEvent(type="retract", data=t.Retract(seqs=sorted(seqs), reason=reason), visibility="none"))

    async def redact(self, seq: int, *, reason: str | None = None) -> list[int]:
        """Erase what is at ``seq``: payload, kept source line, index entries and out-of-line parts. A message of several events goes whole.

        What repeats a message's text goes with it: its copies on branches that it was merged into, a tool's second record of it, a title made of
        it, an importer's notes. Other messages that quote it stay; redact them too.

        The log keeps a tombstone and names its digest, so that it still verifies. Works on closed sessions too.

        Returns:
            The seqs that were erased; empty where they were already.
        """
        event = await self._event(seq)
        everything = await self._everything()
        targets = [event]
        if event.message_id is not None:
            targets = [e for e in everything if e.message_id == event.message_id and e.type == event.type]
        targets = [e for e in kin_of(targets, everything) if not e.redacted]
        if not targets:
            return []
        texts = [text for e in targets for text in texts_of(e)]
        echoes = [echo for e in everything if texts and (echo := echo_of(e, texts)) is not None]
        gone = {e.seq for e in targets} | {echo.seq for echo in echoes}
        kept: set[str] = set()
        for other in everything:
            if other.seq not in gone:
                kept |= referenced_parts(other)
        redacts = tuple(redact_of(e, tuple(sorted(referenced_parts(e) - kept))) for e in targets)
        redacts += tuple(echoes)
        named = [t.RedactedTarget(seq=redact.seq, digest=redact.digest.hex()) for redact in redacts]
        data = t.Redaction(targets=named, reason=reason)
        await self._commit(NewEvent(type="redaction", data=data, visibility="none"), lifecycle=True, redacts=redacts)
        return sorted(gone)

    async def _everything(self) -> list[Event]:
        """Read the whole log with kept lines (for what is rare and must see all)."""
        out: list[Event] = []
        after = 0
        while True:
            page = await self._read(
                self._query(
                    after=after,
                    limit=PAGE_EVENTS_MAX,
                    with_source=True,
                ),
            )
            out += page.events
            if not page.more:
                return out
            after = page.through_seq
