"""What can be seen in the raw store and in messages, and what happens when ciphertext is moved or changed."""

import base64
import logging
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

import turnfold as tf
from tests.encryption.conftest import InMemory, Place
from turnfold.codec.cipher import SessionCipher
from turnfold.codec.residual import part_ref
from turnfold.errors import IntegrityError, KeyUnavailable, NotSupported, TurnfoldError
from turnfold.model.commit import NO_CHANGE, Commit
from turnfold.model.event import Event, NewEvent
from turnfold.model.keys import DataKey
from turnfold.model.query import EventQuery
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.testing.contract import build

MARK = "Zanzibar7319"
replace = msgspec.structs.replace


def spell_out(client: tf.Client) -> None:
    """Put the marker everywhere where somebody's words can be."""
    session = client.open("s", title=f"title {MARK}", tags=[f"tag-{MARK}"], metadata={f"key-{MARK}": f"value {MARK}"}, agent="a")
    session.append([tf.user(f"text {MARK}"), tf.assistant(f"long {MARK} " * 1_000)])
    session.append(NewEvent(type="my.own", data={MARK: [MARK]}, meta={"env": MARK}, source=b"L" + MARK.encode()))
    session.state[f"state-{MARK}"] = MARK
    session.update(title=f"again {MARK}", system_prompt=MARK)
    session.append(NewEvent(type="session.updated", data={"handles": {f"handle-{MARK}": {"id": MARK}}}))
    session.tag(f"more-{MARK}")
    session.checkpoint("c")
    key = SessionKey("default", "s")
    content = MARK.encode() * 50
    run = Run(id="r", session_id="s", status="failed", data={"error": f"failed at {MARK}"})
    started = build.event(NewEvent(type="run.started", run_id="r"))
    client.store.commit(Commit(key=key, events=(started,), change=NO_CHANGE, runs=(run,), parts=((part_ref(content), content),)))
    session.close(reason="failed", error=MARK)


def raw_files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_plaintext_in_the_files(place: Place) -> None:
    with place.client(search="tokens") as client:
        spell_out(client)
        assert {hit.session_id for hit in client.search(MARK)} == {"s"}
        client.verify("s")
        client.seal("s")
        for when in ("while it is open", "when it was closed"):
            for name, data in raw_files(place.folder).items():
                where = f"{name} {when}"
                assert MARK.encode() not in data, where
                assert MARK.lower().encode() not in data, where
                assert base64.b64encode(MARK.encode())[:-4] not in data, where
                assert part_ref(MARK.encode() * 50)[7:].encode() not in data, where
            client.close()
    with place.client() as client:
        info = client.open("s", create=False).info()
        assert (info.title, info.tags) == (f"again {MARK}", (f"more-{MARK}", f"tag-{MARK}"))
        assert [one.id for one in client.sessions(tags=[f"tag-{MARK}"])] == ["s"]


def test_what_stays_visible(place: Place) -> None:
    """The documented list: what the store itself works with."""
    with place.client() as client:
        spell_out(client)
    inner = place.inner()
    head = inner.get_session(SessionKey("default", "s"))
    info = head.info
    assert (info.agent, info.status, info.message_count, info.branch_count) == ("a", "failed", 2, 1)
    assert {entry.kind for entry in head.entries} >= {"title", "tag", "metadata", "state", "handle", "system_prompt", "checkpoint"}
    page = inner.read_events(EventQuery(key=SessionKey("default", "s"), limit=1_000, with_source=True))
    assert [event.type for event in page.events[:4]] == ["session.created", "message", "message", "my.own"]
    assert all(event.meta_raw is None for event in page.events)
    inner.close()


def test_keys_are_in_no_message(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = place.client()
    spell_out(client)
    keyring = place.keyring()
    key = SessionKey("default", "s")
    data_key = keyring.current(key, client.open("s", create=False).info().incarnation)
    secrets = [data_key.secret, data_key.secret[:32], data_key.secret[32:], keyring.index_secret()]
    shown = [
        repr(one) for one in (client, client.store, keyring, data_key, SessionCipher(key, data_key, keyring.find), keyring.list_keys())
    ]
    shown += [str(one) for one in (client, client.store, keyring, data_key)]
    shown += [pretty_repr(one) for one in (client.store, keyring, data_key, keyring._lines.index, keyring._lines)]
    with pytest.raises(KeyUnavailable) as caught:
        keyring.find(key, "A" * 16)
    shown += [repr(caught.value), str(caught.value), str(caught.value.details), caught.value.hint, caplog.text]
    for secret in secrets:
        for form in (repr(secret)[2:-1], secret.hex(), base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode()):
            assert all(form not in text for text in shown)
    assert MARK not in str([repr(one) for one in (client.store, keyring)])
    client.close()


# ---- moved ----------------------------------------------------------------------------------------------------------------------------


def _put(memory: InMemory, session_id: str, seq: int, event: Event) -> None:
    """Change an event in the raw store."""
    memory.inner._sessions[SessionKey("default", session_id)].events[seq - 1] = event


def _raw(memory: InMemory, session_id: str, seq: int, tenant: str = "default") -> Event:
    key = SessionKey(tenant, session_id)
    return memory.inner.read_events(EventQuery(key=key, after=seq - 1, limit=1, with_source=True)).events[0]


def _read(memory: InMemory, session_id: str) -> list[Event]:
    return memory.store.read_events(EventQuery(key=SessionKey("default", session_id), limit=100, with_source=True)).events


def test_a_payload_moved_to_another_event_does_not_open(memory: InMemory) -> None:
    for name in ("one", "two"):
        memory.client.open(name).append([tf.user(f"{name} a"), tf.user(f"{name} b")])
    for session_id, seq, other, other_seq in (("one", 2, "one", 3), ("one", 2, "two", 2)):
        target, source = _raw(memory, session_id, seq), _raw(memory, other, other_seq)
        _put(memory, session_id, seq, replace(target, data_raw=source.data_raw))
        with pytest.raises((IntegrityError, KeyUnavailable)) as caught:
            _read(memory, session_id)
        assert caught.value.details["seq"] == seq
        assert "one" in str(caught.value)
        _put(memory, session_id, seq, target)
    assert len(_read(memory, "one")) == 3


@pytest.mark.parametrize("change", [{"id": "another"}, {"type": "note"}, {"version": 2}, {"redacted": True}])
def test_an_event_whose_envelope_was_changed_does_not_open(memory: InMemory, change: dict[str, object]) -> None:
    memory.client.open("s").append(tf.user("a"))
    _put(memory, "s", 2, replace(_raw(memory, "s", 2), **change))
    with pytest.raises(IntegrityError, match="does not open") as caught:
        _read(memory, "s")
    assert caught.value.details["seq"] == 2
    assert len(caught.value.details["kid"]) == 16


def test_a_whole_event_moved_to_another_session_or_tenant_does_not_open(memory: InMemory) -> None:
    for name in ("one", "two"):
        memory.client.open(name).append(tf.user(name))
    _put(memory, "one", 2, _raw(memory, "two", 2))
    with pytest.raises((IntegrityError, KeyUnavailable)):
        _read(memory, "one")
    with tf.Client(memory.store, tenant="other", close_store=False, settings=tf.Settings(upkeep=False)) as other:
        other.open("two").append(tf.user("theirs"))
    _put(memory, "two", 2, _raw(memory, "two", 2, "other"))
    with pytest.raises((IntegrityError, KeyUnavailable)):
        _read(memory, "two")


def test_a_plain_payload_put_in_place_of_a_sealed_one_is_refused(memory: InMemory) -> None:
    memory.client.open("s").append([tf.user("a"), tf.user("b")])
    _put(memory, "s", 2, build.event("forged"))
    with pytest.raises(IntegrityError, match="not sealed") as caught:
        _read(memory, "s")
    assert caught.value.details["seq"] == 0 or caught.value.details["seq"] == 2


def test_a_page_with_one_bad_event_fails_wholly(memory: InMemory) -> None:
    memory.client.open("s").append([tf.user(f"{index}") for index in range(50)])
    _put(memory, "s", 30, replace(_raw(memory, "s", 30), data_raw=_raw(memory, "s", 31).data_raw))
    with pytest.raises(IntegrityError) as caught:
        _read(memory, "s")
    assert caught.value.details["seq"] == 30
    assert len(memory.store.read_events(EventQuery(key=SessionKey("default", "s"), limit=29)).events) == 29


def test_entries_runs_and_parts_do_not_open_elsewhere(memory: InMemory) -> None:
    for name in ("one", "two"):
        session = memory.client.open(name, title=f"title of {name}")
        session.state["k"] = f"state of {name}"
        content = name.encode()
        run = Run(id="r", session_id=name, data={"error": name})
        memory.store.commit(Commit(key=SessionKey("default", name), runs=(run,), parts=((part_ref(content), content),)))
    one, two = (memory.inner._sessions[SessionKey("default", name)] for name in ("one", "two"))
    for kind in ("title", "state"):
        kept = dict(one.entries)
        mine = next(place for place in one.entries if place[0] == kind)
        theirs = next(place for place in two.entries if place[0] == kind)
        one.entries[mine] = replace(one.entries[mine], value=two.entries[theirs].value)
        with pytest.raises((IntegrityError, KeyUnavailable)):
            memory.store.get_session(SessionKey("default", "one"))
        one.entries = kept
    one.runs["r"] = replace(one.runs["r"], data=two.runs["r"].data)
    with pytest.raises((IntegrityError, KeyUnavailable)):
        memory.store.get_run(SessionKey("default", "one"), "r")
    ref, other = next(iter(one.parts)), next(iter(two.parts.values()))
    one.parts[ref] = other
    with pytest.raises((IntegrityError, KeyUnavailable)):
        memory.store.read_part(SessionKey("default", "one"), part_ref(b"one"))


# ---- changed --------------------------------------------------------------------------------------------------------------------------

KEY = SessionKey("default", "s")
OTHER = DataKey("K" * 16, bytes(range(64)))


def _lost(key: SessionKey, kid: str) -> DataKey:
    raise KeyUnavailable(f"no key {kid}", kid=kid)


def _cipher() -> SessionCipher:
    return SessionCipher(KEY, OTHER, _lost)


SAMPLES = [
    build.event("short"),
    build.event(NewEvent(type="note", data={"a": 1}, meta={"b": 2}, source=b"Lline\xff")),
    build.event("long " * 4_000),
]


@given(st.sampled_from(SAMPLES), st.data())
def test_no_bit_of_a_sealed_event_is_free(event: Event, data: st.DataObject) -> None:
    """Whatever byte of payload or kept line is changed, dropped or added, nothing opens."""
    cipher = _cipher()
    sealed = replace(cipher.seal_event(event), seq=7)
    assert cipher.open_events([sealed]) == [replace(event, seq=7)]
    field = data.draw(st.sampled_from(["data_raw", "source"] if event.source else ["data_raw"]))
    raw = getattr(sealed, field)
    at = data.draw(st.integers(0, len(raw) - 1))
    how = data.draw(st.sampled_from(["flip", "drop", "add", "cut"]))
    if how == "flip":
        changed = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    elif how == "drop":
        changed = raw[:at] + raw[at + 1 :]
    elif how == "add":
        changed = raw[:at] + bytes([data.draw(st.integers(0, 255))]) + raw[at:]
    else:
        changed = raw[:at]
    if changed == raw:
        return
    with pytest.raises((IntegrityError, KeyUnavailable)) as caught:
        cipher.open_events([replace(sealed, **{field: changed})])
    assert caught.value.details["seq"] == 7
    assert "'s'" in str(caught.value) or "no key" in str(caught.value)


@given(st.binary(max_size=200), st.text(max_size=20))
def test_values_come_back_and_are_sealed_each_time_anew(value: bytes, name: str) -> None:
    cipher = _cipher()
    one, two = cipher.seal_value("state", name, value), cipher.seal_value("state", name, value)
    assert one != two
    assert cipher.open_value("state", name, one) == value
    assert cipher.open_name("state", cipher.seal_name("state", name)) == name
    assert cipher.seal_name("state", name) != cipher.seal_name("metadata", name)
    with pytest.raises(IntegrityError):
        cipher.open_value("state", name + "x", one)
    assert cipher.open_part("r", cipher.seal_part("r", value)) == value


def test_another_key_of_the_same_name(memory: InMemory) -> None:
    sealed = _cipher().seal_event(build.event("a"))
    with pytest.raises(IntegrityError, match=r"event 0 \(key K{16}\) does not open"):
        SessionCipher(KEY, DataKey(OTHER.kid, bytes(64)), _lost).open_events([sealed])


def test_nonces_do_not_repeat() -> None:
    cipher = _cipher()
    event = build.event("a")
    nonces = {base64.b64decode(cipher.seal_event(event).data_raw[25:41]) for _ in range(5_000)}
    assert len(nonces) == 5_000


# ---- what goes on working ------------------------------------------------------------------------------------------------------------


def test_retries_prepared_anew_are_recognised(memory: InMemory) -> None:
    session = memory.client.open("s")
    at = 1_700_000_000_000_000
    first = session.append(NewEvent(type="message", data=tf.user("a"), id="x", at=at))
    again = session.append(NewEvent(type="message", data=tf.user("a"), id="x", at=at))
    assert (again.first_seq, again.repeated) == (first.first_seq, True)
    with pytest.raises(tf.IdempotencyConflict):
        session.append(NewEvent(type="message", data=tf.user("b"), id="x", at=at))


def test_digest_and_salt_are_those_of_the_plaintext(memory: InMemory) -> None:
    memory.client.open("s").append(tf.user("yes"))
    event, raw = _read(memory, "s")[1], _raw(memory, "s", 2)
    assert event.digest == raw.digest
    assert len(event.salt) == 16
    assert event.salt not in raw.salt + raw.data_raw, "who has the salt can guess the text from the digest"
    memory.client.seal("s")
    assert memory.client.verify("s").sealed_through == 2


def test_redaction_takes_salt_and_fingerprint(memory: InMemory) -> None:
    session = memory.client.open("s")
    session.append(tf.user("secret words here"))
    session.redact(2)
    raw = _raw(memory, "s", 2)
    assert (raw.salt, raw.source, raw.redacted) == (b"", None, True)
    assert _read(memory, "s")[1].data == {"role": "user", "parts": [], "ext": {"redacted": True}}
    assert memory.client.verify("s").redacted_count == 1


def test_an_integrity_key_and_a_bundle_go_through(place: Place, tmp_path: Path) -> None:
    with tf.connect(place.store(), integrity_key=b"k" * 32, upkeep=False) as client:
        client.open("s", title="t", tags=["x"]).append([tf.user("a"), tf.assistant("b")])
        client.seal("s")
        assert client.verify("s").keyed
        client.export("s", tmp_path / "b.turnfold")
        client.store.close()
    with tf.connect("memory://", integrity_key=b"k" * 32) as other:
        other.import_files([tmp_path / "b.turnfold"])
        assert [message.text for message in other.open("s").messages()] == ["a", "b"]


def test_searching_is_refused_unless_it_was_asked_for(place: Place) -> None:
    with place.client() as client:
        client.open("s").append(tf.user("words"))
        with pytest.raises(NotSupported, match="does not search"):
            client.search("words")


def test_a_plain_store_is_not_taken_for_an_encrypted_one(place: Place) -> None:
    with tf.Client(place.inner(), settings=tf.Settings(upkeep=False)) as plain:
        plain.open("s", title="t").append(tf.user("words"))
    with place.client() as client:
        for call in (lambda: client.open("s", create=False), client.sessions):
            with pytest.raises(TurnfoldError, match="not in the keyring"):
                call()


def test_an_encrypted_store_opened_without_its_wrapper_says_so(place: Place) -> None:
    with place.client(search="tokens") as client:
        client.open("s", title="t").append(tf.user("words"))
    with tf.Client(place.inner()) as plain:
        for call in (
            lambda: list(plain.open("s", create=False).messages()),
            lambda: plain.search("words"),
            lambda: plain.verify("s"),
            lambda: tf.payload_of(plain.open("s", create=False).event(1)),
        ):
            with pytest.raises(KeyUnavailable, match="encrypted"):
                call()
    with place.client(search="tokens") as client:
        assert len(client.search("words")) == 1, "the index was not moved on by who cannot read"


def test_one_damaged_head_does_not_hide_the_other_sessions(place: Place) -> None:
    with place.client() as client:
        client.open("good", title="good", tags=["x"]).append(tf.user("words"))
        client.open("bad", title="bad").append(tf.user("words"))
    with tf.Client(place.inner(), settings=tf.Settings(upkeep=False)) as plain:
        plain.open("bad").tag("plain")
    with place.client() as client:
        assert {info.id: (info.title, info.metadata) for info in client.sessions()} == {
            "good": ("good", {}),
            "bad": (None, {"turnfold:key": "does not fit"}),
        }
        with pytest.raises(IntegrityError, match="tag plain"):
            client.open("bad")
