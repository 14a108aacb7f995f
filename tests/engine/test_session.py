from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import turnfold as tf
from turnfold.data.sample import folders
from turnfold.model.parts import BlobPart, GenericPart, TextPart


def texts(messages: list[tf.Message]) -> list[str]:
    return [message.text for message in messages]


def test_open_writes_nothing_before_the_first_commit(client: tf.Client) -> None:
    session = client.open("s", owner="alice", agent="support")
    assert (session.messages(), session.info().status, client.sessions().items) == ([], "active", [])
    with pytest.raises(tf.SessionNotFound):
        client.open("s", create=False)
    assert session.append(tf.user("hello")) == (2, 2, False)
    info = client.sessions(owner="alice").items[0]
    assert (info.id, info.agent, info.message_count, info.last_seq) == ("s", "support", 1, 2)


def test_persist_writes_at_once(client: tf.Client) -> None:
    client.open("s", persist=True)
    assert client.sessions().items[0].last_seq == 1


def test_two_handles_join_one_session(client: tf.Client) -> None:
    one, two = client.open("s", agent="a"), client.open("s", agent="b")
    one.append(tf.user("1"))
    two.append(tf.user("2"))
    assert texts(one.messages()) == texts(two.messages()) == ["1", "2"]
    assert one.info().agent == "a"


def test_append_repeats_by_id_and_refuses_other_content(client: tf.Client) -> None:
    session = client.open("s")
    event = tf.NewEvent(type="acme.note", id="n1", data={"text": "x"}, at=1)
    first = session.append(event)
    again = session.append(event)
    assert (again.first_seq, again.repeated) == (first.first_seq, True)
    with pytest.raises(tf.IdempotencyConflict):
        session.append(tf.NewEvent(type="acme.note", id="n1", data={"text": "y"}, at=1))


def test_expected_seq_conflict_says_where_the_session_is(client: tf.Client) -> None:
    session = client.open("s")
    session.append(tf.user("1"))
    with pytest.raises(tf.SequenceConflict) as caught:
        session.append(tf.user("2"), expected_seq=1)
    assert caught.value.current_seq == 2
    assert len(session.messages()) == 1
    session.append(tf.user("2"), expected_seq=2)


def test_messages_tail_reads_whole_messages(client: tf.Client) -> None:
    session = client.open("s")
    for turn in range(120):
        session.append([tf.user(f"u{turn}"), tf.assistant(f"a{turn}")])
    assert texts(session.messages(last=3)) == ["a118", "u119", "a119"]
    assert texts(session.messages(last=500)) == texts(session.messages())
    assert session.messages(last=0) == []


def test_lines_of_one_message_are_joined_at_the_first(client: tf.Client) -> None:
    session = client.open("s")
    session.append(
        [
            tf.NewEvent(type="message", message_id="m", data={"role": "assistant", "parts": [{"type": "text", "content": "a"}]}),
            tf.NewEvent(type="tool.progress", data={"n": 1}),
            tf.NewEvent(
                type="message",
                message_id="m",
                message_count=0,
                data={"role": "assistant", "parts": [{"type": "text", "content": "b"}]},
            ),
        ],
    )
    assert [(m.seq, m.text) for m in session.messages()] == [(2, "ab")]
    assert [(m.seq, m.text) for m in session.messages(last=1)] == [(2, "ab")]
    assert session.info().message_count == 1


def test_unknown_part_types_survive(client: tf.Client) -> None:
    session = client.open("s")
    data = {"role": "user", "parts": [{"type": "hologram", "depth": 3}, {"type": "text", "content": "x", "later": True}]}
    session.append(tf.NewEvent(type="message", data=data))
    part = session.messages()[0].parts[0]
    assert isinstance(part, GenericPart)
    assert part["depth"] == 3
    assert session.events(types=["message"]).items[0].data == data


def test_large_blobs_go_out_of_line_once(client: tf.Client) -> None:
    session = client.open("s")
    content = "QUJD" * 20_000
    for _ in range(2):
        session.append(tf.user([TextPart("look"), BlobPart("image", "image/png", content)]))
    blobs = [message.parts[1] for message in session.messages()]
    refs = {blob.blob_ref for blob in blobs if isinstance(blob, BlobPart)}
    assert len(refs) == 1
    assert session.part(str(refs.pop())) == content.encode()
    assert all(len(event.data_raw) < 1_000 for event in session.events().items)


def test_window_keeps_prompt_pins_and_pairs_under_the_budget(client: tf.Client) -> None:
    session = client.open("s")
    session.update(system_prompt="Be brief.")
    session.append(tf.user("the rule: never guess"))
    rule = session.messages()[0].seq
    for turn in range(50):
        session.append(
            [tf.user(f"question {turn} " * 5), tf.tool_call(f"c{turn}", "look", {"n": turn}), tf.tool_result(f"c{turn}", "x" * 200)]
        )
        session.append(tf.assistant(f"answer {turn}"))
    session.pin(rule)
    for budget in (60, 200, 700, 10_000):
        window = session.window(budget)
        assert window.token_count <= budget
        assert (window[0].role, window[0].text, window[1].text) == ("system", "Be brief.", "the rule: never guess")
        calls = {part.id for message in window for part in message.tool_calls}
        assert calls == {part.id for message in window for part in message.tool_results}
    assert session.window(10_000)[-1].text == "answer 49"
    with pytest.raises(tf.LimitExceeded):
        session.window(5)


def test_window_clips_the_newest_message_rather_than_dropping_it(client: tf.Client) -> None:
    session = client.open("s")
    session.append([tf.user("old"), tf.user("x" * 10_000)])
    window = session.window(200)
    assert len(window) == 1
    assert window[0].text.startswith("xxx")
    assert window[0].text.endswith("[… clipped to fit the window]")


def test_window_begins_after_a_compaction(client: tf.Client) -> None:
    session = client.open("s")
    session.append([tf.user("old"), tf.NewEvent(type="compaction", data={"summary": "They said old."}), tf.user("new")])
    assert texts(session.window(1_000)) == ["They said old.", "new"]
    assert texts(session.messages()) == ["old", "new"]


def test_events_filter_page_and_cursor(client: tf.Client) -> None:
    session = client.open("s")
    for number in range(119):
        session.append(tf.user(str(number)))
    sizes, cursor = [], 0
    seen: list[int] = []
    for _ in range(4):
        page = session.events(after=cursor, limit=50)
        sizes.append(len(page))
        seen += [event.seq for event in page]
        cursor = page.cursor
    assert (sizes, seen) == ([50, 50, 20, 0], list(range(1, 121)))
    assert [e.seq for e in session.events(after=100, before=111)] == list(range(101, 111))
    assert [e.seq for e in session.events(order="desc", limit=2)] == [120, 119]
    token = session.events(limit=7).cursor.token()
    assert session.events(after=token).items[0].seq == 8
    with pytest.raises(tf.InvalidInput):
        session.events(after=token[:-3] + "AAA")
    future = datetime.now(tz=UTC) + timedelta(hours=1)
    assert session.events(since=future).items == []
    assert len(session.events(until=future, types="message", limit=200)) == 119


def test_cursor_of_a_dead_incarnation_is_not_found(client: tf.Client) -> None:
    session = client.open("s")
    session.append(tf.user("1"))
    cursor = session.events().cursor
    client.delete("s")
    with pytest.raises(tf.SessionNotFound):
        session.append(tf.user("2"))
    again = client.open("s")
    again.append(tf.user("new life"))
    with pytest.raises(tf.SessionNotFound):
        again.events(after=cursor)


def test_follow_sees_each_event_once_in_order(client: tf.Client) -> None:
    session = client.open("s")
    session.append(tf.user("0"))
    seen: list[int] = []
    ready = threading.Event()

    def follow() -> None:
        for event in client.open("s").follow(wait_s=2):
            seen.append(event.seq)
            ready.set()
            if len(seen) == 62:
                return

    thread = threading.Thread(target=follow)
    thread.start()
    assert ready.wait(5)
    writers = [threading.Thread(target=lambda: [client.open("s").append(tf.user("x")) for _ in range(20)]) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in [*writers, thread]:
        writer.join(20)
    assert seen == list(range(1, 63))


def test_follow_ends_with_the_session(client: tf.Client) -> None:
    session = client.open("s")
    session.append(tf.user("1"))
    timer = threading.Timer(0.1, session.close)
    timer.start()
    events = list(session.follow(wait_s=10))
    timer.join()
    assert [event.type for event in events] == ["session.created", "message", "session.status_changed"]
    assert [event.seq for event in session.follow(after=2)] == [3]


def test_checkpoint_fork_restore(client: tf.Client) -> None:
    session = client.open("s")
    session.append([tf.user("a"), tf.assistant("b")])
    mark = session.checkpoint("here")
    session.append(tf.user("c"))
    side = session.fork("side", at="here")
    side.append(tf.user("d"))
    assert texts(side.messages()) == ["a", "b", "d"]
    assert texts(session.messages()) == ["a", "b", "c"]
    deeper = side.fork("deeper")
    deeper.append(tf.user("e"))
    side.append(tf.user("f"))
    assert texts(deeper.messages()) == ["a", "b", "d", "e"]
    back = session.restore(mark)
    assert texts(back.messages()) == texts(session.messages()) == ["a", "b"]
    session.append(tf.user("g"))
    assert texts(client.open("s").messages()) == ["a", "b", "g"]
    assert texts(client.open("s", branch="main").messages()) == ["a", "b", "c"]
    assert next(m.name for m in session.checkpoints()) == "here"
    assert any(m.name.startswith("before-restore") for m in session.checkpoints())
    with pytest.raises(tf.AlreadyExists):
        session.fork("side")
    with pytest.raises(tf.AlreadyExists):
        session.checkpoint("here")
    with pytest.raises(tf.NotFound):
        session.restore("nowhere")
    diff = session.diff("main", "side")
    assert (texts(diff.ours), texts(diff.theirs)) == (["c"], ["d", "f"])


def test_state_is_branch_keyed_and_shared_scopes_are_not(client: tf.Client) -> None:
    session = client.open("s", owner="alice", agent="bot")
    session.state["step"] = 1
    side = session.fork("side")
    session.state["step"] = 2
    side.state["only"] = None
    assert (dict(session.state), dict(side.state)) == ({"step": 2}, {"step": 1, "only": None})
    del session.state["step"]
    assert (dict(session.state), dict(side.state)) == ({}, {"step": 1, "only": None})
    session.state.set({"a": 1}, owner={"tea": "green"}, agent={"version": 3})
    other = client.open("t", owner="alice", agent="bot")
    assert (other.state.owner.all(), other.state.agent.all()) == ({"tea": "green"}, {"version": 3})
    other.state.owner["tea"] = "black"
    assert session.state.owner["tea"] == "black"
    assert client.open("u", owner="bob", agent="bot").state.owner.all() == {}
    session.state.temp["x"] = 1
    assert session.state.temp == {"x": 1}
    assert [info.id for info in client.sessions()] == ["s"]
    with pytest.raises(tf.InvalidInput):
        client.open("~state/owner/alice")


def test_update_tags_title_metadata(client: tf.Client) -> None:
    session = client.open("s", tags=["old"], metadata={"k": 1})
    session.append(tf.user("x"))
    session.update(title="T", tags=["b", "a"], metadata={"k": None, "n": 2})
    info = session.info()
    assert (info.title, info.tags, info.metadata) == ("T", ("a", "b"), {"n": 2})
    session.tag("c", remove=["a"])
    assert session.info().tags == ("b", "c")
    assert [info.id for info in client.sessions(tags=["b", "c"])] == ["s"]
    assert client.sessions(tags=["a"]).items == []


def test_lifecycle_steps_are_enforced_and_idempotent(client: tf.Client) -> None:
    session = client.open("s", activate=False, persist=True)
    with pytest.raises(tf.InvalidTransition):
        session.append(tf.user("x"))
    with pytest.raises(tf.InvalidTransition):
        session.close()
    session.activate()
    session.resume()
    session.suspend()
    with pytest.raises(tf.SessionSuspended):
        session.append(tf.user("x"))
    session.resume()
    session.append(tf.user("x"))
    session.close("failed", error="boom")
    session.close("failed")
    assert (session.info().status, session.info().end_reason) == ("failed", "failed")
    with pytest.raises(tf.SessionClosed):
        session.append(tf.user("x"))
    with pytest.raises(tf.InvalidTransition):
        session.resume()
    session.archive()
    assert session.info().status == "archived"
    assert texts(session.messages()) == ["x"]


def test_reset_keeps_pins_and_prompt(client: tf.Client) -> None:
    session = client.open("s")
    session.update(system_prompt="P")
    session.append([tf.user("keep"), tf.user("go")])
    session.pin(session.messages()[0].seq)
    session.close("reset")
    session.append(tf.user("new"))
    assert texts(session.messages()) == ["keep", "new"]
    assert session.window(1_000)[0].text == "P"
    assert session.info().status == "active"


def test_redaction_leaves_nothing_and_verifies(client: tf.Client) -> None:
    session = client.open("s")
    session.append([tf.user("my secret is swordfish"), tf.assistant("noted"), tf.tool_call("c", "save", {"word": "swordfish"})])
    assert len(client.search("swordfish")) == 2
    seq = session.messages()[0].seq
    assert session.redact(seq, reason="pii") == [seq]
    assert session.redact(seq) == []
    session.close()
    call = session.messages()[2].seq
    session.redact(call)
    assert client.search("swordfish").items == []
    assert all(b"swordfish" not in event.data_raw for event in session.events())
    assert session.messages()[2].tool_calls[0].id == "c"
    assert client.verify("s").redacted_count == 2


def test_search_is_scoped_and_ordered(client: tf.Client) -> None:
    for name, owner in (("b", "alice"), ("a", "alice"), ("c", "bob")):
        session = client.open(name, owner=owner)
        session.append([tf.user("refund of the order"), tf.assistant("order: refund")])
    found = [(hit.session_id, hit.seq) for hit in client.search("order refund", owner="alice")]
    assert found == [("a", 3), ("b", 3), ("a", 2), ("b", 2)]
    page = client.search("refund", owner="alice", limit=3)
    rest = client.search("refund", owner="alice", limit=3, cursor=page.cursor)
    assert len(page) + len(rest) == 4
    assert client.search("nothing like it").items == []
    assert "refund" in client.search("refund").items[0].snippet


def test_owner_scope(store_url: str) -> None:
    with tf.connect(store_url) as everybody:
        everybody.open("s", owner="alice").append(tf.user("private"))
        bob = tf.connect(everybody.store, owner="bob")
        calls: list[Callable[[], object]] = [
            lambda: bob.open("s").append(tf.user("y")),
            lambda: bob.open("s", create=False),
            lambda: bob.delete("s"),
            lambda: bob.verify("s"),
            lambda: bob.open("x", owner="alice"),
        ]
        for call in calls:
            with pytest.raises(tf.SessionNotFound):
                call()
        assert (bob.sessions().items, bob.search("private").items) == ([], [])
        assert tf.connect(everybody.store, tenant="other").sessions().items == []
        bob.close()
        assert texts(everybody.open("s").messages()) == ["private"]


def test_limits_and_ttl(client: tf.Client) -> None:
    with tf.override(turns_max=2, checkpoints_max=1, branches_max=2, owner_sessions_max=1):
        session = client.open("s", owner="alice")
        session.append([tf.user("1"), tf.user("2")])
        with pytest.raises(tf.LimitExceeded) as caught:
            session.append(tf.user("3"))
        assert caught.value.details == {"limit": "turns_max", "value": 2}
        session.append(tf.assistant("fine"))
        session.checkpoint("one")
        with pytest.raises(tf.LimitExceeded):
            session.checkpoint("two")
        session.fork("f")
        with pytest.raises(tf.LimitExceeded):
            session.fork("g")
        with pytest.raises(tf.LimitExceeded):
            client.open("t", owner="alice").append(tf.user("x"))
    with tf.override(session_ttl_s=0.05):
        short = client.open("short")
    short.append(tf.user("x"))
    threading.Event().wait(0.1)
    with pytest.raises(tf.SessionExpired):
        short.append(tf.user("y"))
    assert short.info().status == "expired"


def test_usage_rolls_up(client: tf.Client) -> None:
    for name, model in (("a", "m1"), ("b", "m2"), ("c", "m1")):
        session = client.open(name, agent=name)
        session.append(tf.assistant("x", usage=tf.Usage(input_tokens=10, output_tokens=5, cost_microusd=7), model=model))
    rows = {row.name: (row.usage.total_tokens, row.session_count) for row in client.usage(by="model")}
    assert rows == {"m1": (30, 2), "m2": (15, 1)}
    assert sum(row.usage.cost_microusd for row in client.usage(by="day")) == 21
    assert [row.name for row in client.usage(by="agent")] == ["a", "b", "c"]


def test_verify_on_read_and_keys(store_url: str) -> None:
    with tf.connect(store_url, integrity_key="k", verify_on_read=True) as client:
        session = client.open("s")
        session.append(tf.user("x"))
        assert texts(session.messages()) == ["x"]
        session.checkpoint()
        client.seal("s")
        assert client.verify("s").keyed
        wrong = tf.connect(client.store, integrity_key="other")
        with pytest.raises(tf.IntegrityError) as caught:
            wrong.verify("s")
        assert caught.value.details["seq"] == 1
        wrong.close()


def test_closed_client_says_so(store_url: str) -> None:
    client = tf.connect(store_url)
    session = client.open("s")
    session.append(tf.user("x"))
    client.close()
    client.close()
    with pytest.raises(tf.StoreClosed):
        session.append(tf.user("y"))


def test_bad_items_are_refused_with_reasons(client: tf.Client) -> None:
    session = client.open("s")
    bads: list[Any] = ["text", {"role": "user"}, tf.NewEvent(type="x", data=object()), tf.Message("alien"), tf.user("\ud800"), []]
    for bad in bads:
        with pytest.raises(tf.InvalidInput):
            session.append(bad)
    with pytest.raises(tf.InvalidInput):
        client.open("")
    with pytest.raises(tf.InvalidInput):
        client.open("x" * 2_000)


def test_a_payload_that_does_not_fit_its_type_is_refused(client: tf.Client) -> None:
    session = client.open("s")
    for kind, data in (("message", {"foo": 1}), ("message", 7), ("title", {"title": 3}), ("retract", {"seqs": "all"}), ("pin", None)):
        with pytest.raises(tf.InvalidInput, match=f"does not fit a {kind} event"):
            session.append(tf.NewEvent(type=kind, data=data))
    session.append([tf.NewEvent(type="context", data={"mine": 1}), tf.NewEvent(type="acme.any", data=7), tf.user("fine")])
    assert texts(session.messages()) == texts(session.window(1_000)) == ["fine"]


def test_underscore_names_are_accepted_with_their_payloads(client: tf.Client) -> None:
    session = client.open("s")
    session.append(tf.NewEvent(type="message_sent", data={"role": "user", "content": "Hello"}))
    session.append(tf.NewEvent(type="message_received", data={"content": "Hi"}))
    session.append(tf.NewEvent(type="token_usage_updated", data={"input_tokens": 3}))
    assert [(message.role, message.text) for message in session.messages()] == [("user", "Hello"), ("assistant", "Hi")]
    assert [event.type for event in session.events().items[1:]] == ["message", "message", "usage"]


def test_redaction_reaches_the_second_records_of_an_imported_message(client: tf.Client, tmp_path: Path) -> None:
    with folders() as sample:
        client.import_files(sample)
        for info in client.sessions(parent=None).items:
            session = client.open(info.id)
            prompt = next(message for message in session.messages() if message.role == "user" and len(message.text) > 30)
            words = prompt.text[10:30]
            session.redact(prompt.seq)
            assert client.verify(info.id).redacted_count > 0
            left = [event.seq for event in session.events(limit=1_000) if words in event.data_raw.decode() or words in str(event.meta)]
            quoted = [message.seq for message in session.messages() if words in str(message.to_dict())]
            assert left == quoted, "only other messages may still hold the words"
            assert words not in str(session.info().to_dict())
            assert all(words not in bytes(entry.value or b"").decode() for entry in session.head().entries)
        assert client.import_files(sample).outcomes() == {"unchanged": 3}


def test_names_that_nobody_gave_never_clash(client: tf.Client) -> None:
    session = client.open("s")
    session.append(tf.user("one"))
    taken = session.fork(f"branch-{session.info().last_seq + 2}")
    assert session.fork().branch != taken.branch
    assert session.checkpoint(f"checkpoint-{session.info().last_seq + 1}").name != session.checkpoint().name
    session.fork(f"restore-{session.info().last_seq + 2}")
    session.restore(2)
    assert len(session.branches()) == 5
    with pytest.raises(tf.AlreadyExists):
        session.fork(taken.branch)
    with pytest.raises(tf.AlreadyExists):
        session.checkpoint(session.checkpoints()[0].name)
