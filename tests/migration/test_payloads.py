"""Old payload versions: kept as they were written on every store, lifted when they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

import turnfold as tf
from turnfold.core.upcasting import UPCASTERS, Upcasters

URLS = ("memory://", "sqlite:///{}/s.db", "files:///{}/sessions")


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Upcasters:
    made = Upcasters()
    monkeypatch.setattr(UPCASTERS, "_steps", made._steps)
    return made


@pytest.mark.parametrize("url", URLS)
def test_an_old_payload_is_lifted_and_stays_what_it_was(url: str, tmp_path: Path, chain: Upcasters) -> None:
    with tf.connect(url.format(tmp_path)) as client:
        session = client.open("s")
        session.append(tf.NewEvent(type="acme.order", data={"euro": 4.2}))
        chain.add("acme.order", 1, lambda data: {"cents": round(data["euro"] * 100)})
        chain.add("acme.order", 2, lambda data: {**data, "currency": "EUR"})
        session.append(tf.NewEvent(type="acme.order", version=3, data={"cents": 7, "currency": "CHF"}))
        session.append(tf.NewEvent(type="acme.order", version=9, data={"from": "the future"}))
        events = session.events(types=["acme.order"]).items
        assert [tf.payload_of(event) for event in events] == [
            {"cents": 420, "currency": "EUR"},
            {"cents": 7, "currency": "CHF"},
            {"from": "the future"},
        ]
        assert [event.version for event in events] == [1, 3, 9]
        assert events[0].data_raw == b'{"euro":4.2}'
        client.verify("s")


@pytest.mark.parametrize("url", URLS)
def test_a_head_made_of_old_payloads_is_the_fold_of_them(url: str, tmp_path: Path, chain: Upcasters) -> None:
    chain.add("title", 1, lambda data: {"title": data["name"]})
    with tf.connect(url.format(tmp_path)) as client:
        session = client.open("s")
        session.append(tf.NewEvent(type="title", version=1, data={"name": "old shape"}))
        assert session.info().title == "old shape"
        session.append(tf.NewEvent(type="title", version=2, data={"title": "new shape"}))
        assert session.info().title == "new shape"
