"""The way of nearly every commit: new events to a living session, in one round trip (``append.lua``).

What cannot go this way, by the look of the commit alone, is anything that is guarded by more than the packed head: runs, lifecycle steps,
branches and checkpoints that are made or deleted, erasing, copies of whole sessions, commits to several logs.
"""

from __future__ import annotations

from typing import Final

import msgspec

from turnfold.core.checks import COUNTERS
from turnfold.model.commit import NO_CHANGE, Commit
from turnfold.model.session import BRANCH_KEYED, Entry
from turnfold.model.usage import NO_USAGE
from turnfold.stores.redis.keys import place_of_kind
from turnfold.stores.redis.rows import event_body

_encode = msgspec.msgpack.Encoder().encode
_COUNTER_PLACES: Final = {"last_seq": 11, "message_count": 12, "turn_count": 13, "branch_count": 15, "checkpoint_count": 16}
"""Places in the packed head, as Lua counts."""
assert set(_COUNTER_PLACES) == set(COUNTERS)


def is_hot(commit: Commit) -> bool:
    """Whether a commit may go the short way."""
    change = commit.change
    return (
        bool(commit.events)
        and not commit.lifecycle
        and not commit.runs
        and not commit.redacts
        and not commit.prune
        and not commit.also
        and commit.verbatim is None
        and (
            change is NO_CHANGE
            or (
                change.status is None
                and not change.guards
                and change.active_branch is None
                and not change.branch_count
                and not change.checkpoint_count
            )
        )
        and all(limit.counter in _COUNTER_PLACES for limit in commit.limits)
    )


def append_words(commit: Commit, now_us: int, channel: str, claim: tuple[int, str] = (0, "")) -> list[bytes]:
    """Return the arguments of ``append.lua``: the commit, and the bytes that it refers to.

    Args:
        commit: One that ``is_hot``.
        now_us: The time of the commit; 0 takes the server's.
        channel: Whom to tell.
        claim: When the claims that the commit relies on were written (0: there are none), and their name.
    """
    change = commit.change
    events: list[object] = []
    latest_us = 0
    words = [b""]
    for event in commit.events:
        words.append(event_body(event))
        events += (event.id, len(words), event.branch, _refer(words, event.source))
        latest_us = max(latest_us, event.at_us)
    genesis = commit.genesis
    usage = change.usage
    words[0] = _encode(
        (
            now_us,
            commit.incarnation,
            commit.owner,
            None if genesis is None else genesis.owner,
            commit.expected_seq,
            commit.lease,
            commit.branch,
            latest_us,
            change.message_count,
            change.turn_count,
            change.token_count,
            None if usage is NO_USAGE or not usage else usage.numbers(),
            [(one.model, *one.numbers()) for one in change.usage_by_model] or None,
            [_entry(entry, words) for entry in change.entries] or None,
            change.expires_at_us,
            _limits(commit) or None,
            claim[0],
            events,
            [word for ref, content in commit.parts for word in (ref, _refer(words, content))] or None,
            channel,
            claim[1],
        )
    )
    return words


def _refer(words: list[bytes], word: bytes | None) -> int:
    """Add a word and return its place as Lua counts; 0 for none."""
    if word is None:
        return 0
    words.append(word)
    return len(words)


def _entry(entry: Entry, words: list[bytes]) -> tuple[object, ...]:
    is_keyed = entry.kind in BRANCH_KEYED
    return place_of_kind(entry.kind), entry.kind, entry.name, entry.branch, is_keyed, _refer(words, entry.value), entry.seq


def _limits(commit: Commit) -> list[tuple[int, int, int]]:
    added = {"last_seq": len(commit.events)}
    return [
        (_COUNTER_PLACES[one.counter], one.value, added[one.counter] if one.counter in added else getattr(commit.change, one.counter))
        for one in commit.limits
    ]


Appended = tuple[int, int, str, str]
"""First seq, time, incarnation, branch."""
decode_answer = msgspec.msgpack.Decoder().decode


def latest_at_us(commit: Commit) -> int:
    """The latest time of a commit's events: its session's place in lists from now on."""
    return max(event.at_us for event in commit.events)
