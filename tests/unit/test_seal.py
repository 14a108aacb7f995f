"""Digests cover everything that an event says, and nothing that the store gives."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from turnfold.codec.seal import DIGEST_BYTES, event_digest, leaf, same_content, seal_root
from turnfold.model.event import Event
from turnfold.model.usage import Usage
from turnfold.testing.contract.build import replace

EVENT = Event(
    5,
    "id",
    "message",
    b'{"a":1}',
    17,
    99,
    version=2,
    branch="main",
    run_id="r",
    actor="a",
    causation_id="c",
    correlation_id="k",
    message_id="m",
    block_index=1,
    parent_id="p",
    visibility="ui",
    visible_to=("x",),
    hidden_from=("y",),
    meta_raw=b'{"m":1}',
    message_count=1,
    turn_count=1,
    token_count=3,
    usage=Usage(1, 2, 3, 4, 5, 6, "m"),
    source=b"Lx",
    salt=b"s" * 16,
)
CHANGED: dict[str, list[Any]] = {
    "id": ["other", ""],
    "type": ["message2"],
    "data_raw": [b'{"a":2}', b"", b'{"a":1} '],
    "at_us": [18, -17],
    "version": [3],
    "run_id": [None, "", "R"],
    "actor": [None, ""],
    "causation_id": [None, "k"],
    "correlation_id": [None, "c"],
    "message_id": [None, ""],
    "block_index": [None, 0, 2],
    "parent_id": [None, ""],
    "visibility": ["both", "none"],
    "visible_to": [None, (), ("x", "z"), ("y",)],
    "hidden_from": [None, ()],
    "meta_raw": [None, b'{"m":2}'],
    "message_count": [0, 2],
    "turn_count": [0],
    "token_count": [0, 4],
    "usage": [Usage(), Usage(1, 2, 3, 4, 5, 7, "m"), Usage(1, 2, 3, 4, 5, 6, "n")],
    "source": [None, b"Ly", b"x"],
    "salt": [b"t" * 16, b""],
}
NOT_COVERED = {"seq": 6, "branch": "other", "recorded_at_us": 100, "digest": b"x", "redacted": True}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in CHANGED.items() for value in values])
def test_each_field_counts(field: str, value: object) -> None:
    assert event_digest(replace(EVENT, **{field: value})) != event_digest(EVENT)


def test_every_field_is_covered_or_known_not_to_be() -> None:
    assert set(CHANGED) | set(NOT_COVERED) == set(Event.__struct_fields__)
    assert event_digest(replace(EVENT, **NOT_COVERED)) == event_digest(EVENT)


def test_bytes_cannot_move_between_neighbours() -> None:
    one = replace(EVENT, data_raw=b"ab", meta_raw=b"c", source=b"d")
    other = replace(EVENT, data_raw=b"a", meta_raw=b"bc", source=b"d")
    third = replace(EVENT, data_raw=b"ab", meta_raw=b"cd", source=None)
    assert len({event_digest(one), event_digest(other), event_digest(third)}) == 3


def test_key_and_salt() -> None:
    plain, keyed = event_digest(EVENT), event_digest(EVENT, key=b"k")
    assert len(plain) == len(keyed) == DIGEST_BYTES
    assert len({plain, keyed, event_digest(EVENT, key=b"k2")}) == 3
    assert event_digest(replace(EVENT, salt=b""), EVENT.salt) == plain


def test_same_content_whatever_the_salt() -> None:
    stored = replace(EVENT, digest=event_digest(EVENT))
    again = replace(EVENT, salt=b"t" * 16)
    again = replace(again, digest=event_digest(again))
    assert same_content(stored, salt=stored.salt, digest=stored.digest)
    assert same_content(again, salt=stored.salt, digest=stored.digest)
    other = replace(again, data_raw=b"{}")
    assert not same_content(replace(other, digest=event_digest(other)), salt=stored.salt, digest=stored.digest)


def test_leaf_covers_place() -> None:
    event = replace(EVENT, digest=event_digest(EVENT))
    changed = [replace(event, seq=6), replace(event, branch="b"), replace(event, recorded_at_us=1), replace(event, digest=b"d" * 32)]
    assert len({leaf(event), *map(leaf, changed)}) == 5


def test_roots_commit_to_order_place_and_predecessor() -> None:
    leaves = [bytes([index]) * 32 for index in range(3)]
    root = seal_root(b"", 3, leaves)
    others = [
        seal_root(b"", 3, leaves[::-1]),
        seal_root(b"", 3, leaves[:2]),
        seal_root(b"", 4, leaves),
        seal_root(root, 3, leaves),
        seal_root(b"", 3, leaves, key=b"k"),
    ]
    assert len({root, *others}) == 6
    assert hmac.compare_digest(root, seal_root(b"", 3, iter(leaves)))
