from __future__ import annotations

import pytest

import turnfold as tf
from turnfold.core.fold import fold_head
from turnfold.core.upcasting import UPCASTERS, Upcasters
from turnfold.errors import InvalidInput
from turnfold.testing.contract import build


def test_chain_lifts_step_by_step_and_leaves_what_is_newer() -> None:
    chain = Upcasters()
    chain.add("acme.note", 1, lambda data: {"text": data["t"]})
    chain.add("acme.note", 2, lambda data: {**data, "lang": "en"})
    assert chain.lift("acme.note", 1, {"t": "x"}) == (3, {"text": "x", "lang": "en"})
    assert chain.lift("acme.note", 2, {"text": "x"}) == (3, {"text": "x", "lang": "en"})
    assert chain.lift("acme.note", 7, {"future": True}) == (7, {"future": True})
    assert chain.lift("other", 1, {"t": 1}) == (1, {"t": 1})
    with pytest.raises(InvalidInput):
        chain.add("acme.note", 1, lambda data: data)
    with pytest.raises(InvalidInput):
        chain.add("acme.note", 0, lambda data: data)


def test_reading_lifts_and_the_stored_bytes_stay() -> None:
    @tf.upcaster("acme.order", from_version=1)
    def _cents(data: dict[str, float]) -> dict[str, int]:
        return {"cents": round(data["euro"] * 100)}

    with tf.connect("memory://") as client:
        session = client.open("s")
        session.append(tf.NewEvent(type="acme.order", data={"euro": 4.2}))
        session.append(tf.NewEvent(type="acme.order", version=2, data={"cents": 7}))
        old, new = session.events(types=["acme.order"])
        assert [tf.payload_of(event) for event in (old, new)] == [{"cents": 420}, {"cents": 7}]
        assert (old.version, old.data_raw) == (1, b'{"euro":4.2}')
        client.verify("s")


def test_built_in_types_are_lifted_before_they_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Upcasters()
    mine.add("title", 1, lambda data: {"title": data["name"]})
    monkeypatch.setattr(UPCASTERS, "_steps", mine._steps)
    with tf.connect("memory://") as client:
        session = client.open("s")
        session.append(tf.NewEvent(type="title", data={"name": "old shape"}))
        session.append(tf.NewEvent(type="acme.other", data=1))
        log = session.events().items
        assert session.info().title == fold_head("s", log).info.title == "old shape"


def test_unknown_newer_version_of_a_built_in_type_survives() -> None:
    event = build.event(tf.NewEvent(type="message", version=9, data={"role": "user", "parts": [], "hologram": [1]}))
    assert event.data == {"role": "user", "parts": [], "hologram": [1]}
    assert tf.payload_of(event).role == "user"
