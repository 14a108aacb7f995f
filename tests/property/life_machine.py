"""Random lives of a session, told by several clients at once to a store and to the memory store: whatever they answer, they answer alike.

What is random by itself (ids, times, salts) is left out of the comparison; seqs, names, payloads, refusals, views, state and heads are in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import turnfold as tf
from turnfold.errors import TurnfoldError
from turnfold.model.event import Event
from turnfold.model.session import Entry

CLIENTS = 3
LIMITS: dict[str, Any] = {"branches_max": 6, "checkpoints_max": 4, "upkeep": False}
BRANCHES = ("main", "a", "b", "c", "new")
CHOICES = (None, "ours", "theirs", "both")
clients = st.integers(0, CLIENTS - 1)
texts = st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=3)


class LifeMachine(RuleBasedStateMachine):
    """Every rule runs on both; their answers, or the kinds of their refusals, must be equal."""

    def __init__(self) -> None:
        super().__init__()
        first = tf.connect("memory://", **LIMITS)
        self.memory = [first, *(tf.connect(first.store, **LIMITS) for _ in range(CLIENTS - 1))]
        url = self.new_url()
        self.subject = [tf.connect(url, **LIMITS) for _ in range(CLIENTS)]
        self.begin(0)

    def new_url(self) -> str:
        """Return the URL of an empty store."""
        raise NotImplementedError

    def teardown(self) -> None:
        for client in (*self.memory[1:], *self.memory[:1], *self.subject):
            client.close()

    def both(self, client: int, call: Callable[[tf.Session], Any], branch: str | None = None) -> Any:
        """Do the same to both."""
        answers = [_answer(side[client], call, branch) for side in (self.memory, self.subject)]
        assert answers[0] == answers[1]
        return answers[0]

    def branch(self, data: st.DataObject) -> str:
        """Choose a branch that there is; now and then one that there may not be."""
        found = [name for one in self.memory[0].open("s").branches(abandoned=True) for name in (one.name, one.created_as) if name]
        return str(data.draw(st.sampled_from([*found, *found, "nowhere"]), label="branch"))

    def where(self, data: st.DataObject) -> str | None:
        """Choose how a handle is opened: floating, or pinned to a branch."""
        return None if data.draw(st.booleans(), label="floating") else self.branch(data)

    def seq(self, data: st.DataObject) -> int:
        """Choose a place, sometimes one beyond the end."""
        return int(data.draw(st.integers(0, self.memory[0].open("s").info().last_seq + 1), label="seq"))

    def mark(self, data: st.DataObject) -> str:
        """Choose a checkpoint, if there is one."""
        return str(data.draw(st.sampled_from([*(mark.name for mark in self.memory[0].open("s").checkpoints()), "m"]), label="mark"))

    # ---- what is said ----------------------------------------------------------------------------------------------------------------
    @rule(client=clients, data=st.data(), words=texts)
    def append(self, client: int, data: st.DataObject, words: list[str]) -> None:
        self.both(client, lambda session: session.append([tf.user(word) for word in words]), self.where(data))

    @rule(client=clients, data=st.data(), call=st.sampled_from(["k", "l"]), kind=st.sampled_from(["both", "call", "result"]))
    def use_a_tool(self, client: int, data: st.DataObject, call: str, kind: str) -> None:
        items = [tf.tool_call(call, "look")] * (kind != "result") + [tf.tool_result(call, kind)] * (kind != "call")
        self.both(client, lambda session: session.append(items), self.where(data))

    @rule(client=clients, data=st.data(), key=st.sampled_from(["k", "l"]), value=st.none() | st.integers(0, 3))
    def set_state(self, client: int, data: st.DataObject, key: str, value: int | None) -> None:
        where = self.where(data)
        self.both(client, lambda session: session.state.remove(key) if value == 0 else session.state.set({key: value}), where)

    @rule(client=clients, data=st.data(), what=st.sampled_from(["retract", "pin", "unpin", "redact", "reset"]))
    def take_back(self, client: int, data: st.DataObject, what: str) -> None:
        where, seq = self.where(data), self.seq(data)

        def call(session: tf.Session) -> Any:
            if what == "reset":
                return session.reset()
            if what == "redact" and session.event(seq).type != "message":
                return None
            return getattr(session, what)(seq)

        self.both(client, call, where)

    # ---- where it goes ---------------------------------------------------------------------------------------------------------------
    @rule(client=clients, data=st.data(), name=st.sampled_from(BRANCHES), at=st.sampled_from(["end", "end", "seq", "mark"]))
    def fork(self, client: int, data: st.DataObject, name: str, at: str) -> None:
        place = None if at == "end" else self.seq(data) if at == "seq" else self.mark(data)
        where = self.where(data)
        self.both(client, lambda session: session.fork(name, at=place).branch, where)

    @rule(client=clients, data=st.data(), what=st.sampled_from(["switch", "abandon", "rename"]), new=st.sampled_from(BRANCHES))
    def handle_branches(self, client: int, data: st.DataObject, what: str, new: str) -> None:
        arguments = (self.branch(data), new)[: 2 if what == "rename" else 1]
        self.both(client, lambda session: getattr(session, what)(*arguments))

    @rule(client=clients, data=st.data(), name=st.sampled_from(["m", "n", None, None]))
    def checkpoint(self, client: int, data: st.DataObject, name: str | None) -> None:
        self.both(client, lambda session: session.checkpoint(name), self.where(data))

    @rule(client=clients, data=st.data())
    def delete_checkpoint(self, client: int, data: st.DataObject) -> None:
        mark = self.mark(data)
        self.both(client, lambda session: session.delete_checkpoint(mark))

    @rule(client=clients, data=st.data(), by_name=st.sampled_from([True, False]))
    def restore(self, client: int, data: st.DataObject, by_name: bool) -> None:  # noqa: FBT001  # drawn by hypothesis
        mark = self.mark(data) if by_name else self.seq(data)
        self.both(client, lambda session: session.restore(mark).branch)

    @rule(client=clients, data=st.data(), state=st.sampled_from(CHOICES), into=st.booleans())
    def merge(self, client: int, data: st.DataObject, state: Any, into: bool) -> None:  # noqa: FBT001  # drawn by hypothesis
        source, target = self.branch(data), self.branch(data) if into else None
        done = self.both(client, lambda session: session.merge(source, into=target, state=state))
        if isinstance(done, tf.Merged):
            again = self.both((client + 1) % CLIENTS, lambda session: session.merge(source, into=done.into))
            assert again.merged_seq is None, "merging twice adds nothing"

    @rule(client=clients, data=st.data(), state=st.sampled_from(CHOICES))
    def merge_some(self, client: int, data: st.DataObject, state: Any) -> None:
        source = self.branch(data)
        shown = [
            message.seq for side in self.memory[:1] for message in _answer(side, lambda s: s.messages(), source) if hasattr(message, "seq")
        ]
        seqs = data.draw(st.lists(st.sampled_from(shown), min_size=1, max_size=3), label="seqs") if shown else [1]
        self.both(client, lambda session: session.merge(source, strategy="selective", events=seqs, state=state))

    @rule(client=clients, data=st.data())
    def compare(self, client: int, data: st.DataObject) -> None:
        one, other = self.branch(data), self.branch(data)
        self.both(client, lambda session: (session.diff(one, other), session.common_ancestor(one, other), session.lineage(one)))

    # ---- how it ends -----------------------------------------------------------------------------------------------------------------
    @rule(client=clients, end=st.sampled_from(["suspend", "close", "delete", "resume", "resume"]), really=st.integers(0, 4))
    def end(self, client: int, end: str, really: int) -> None:
        if end == "delete" and not really:
            for side in (self.memory, self.subject):
                side[client].delete("s")
            self.begin(client)
        elif end in {"suspend", "resume"} or (end == "close" and not really):
            self.both(client, lambda session: getattr(session, end)())

    def begin(self, client: int) -> None:
        """Give both sides a session with two branches that have something to say."""
        self.both(client, lambda session: session.append([tf.user("first"), tf.assistant("second")]))
        self.both(client, lambda session: session.fork("a").append([tf.user("aside")]))
        self.both(client, lambda session: session.append([tf.user("third")]))

    # ---- what is left ----------------------------------------------------------------------------------------------------------------
    @invariant()
    def logs_and_heads_are_equal(self) -> None:
        assert _log(self.memory[0]) == _log(self.subject[-1])

    @invariant()
    def views_are_equal(self) -> None:
        names = [one.name for one in self.memory[0].open("s").branches(abandoned=True)]
        for branch in (None, *names):
            self.both(CLIENTS - 1, _view, branch)

    @invariant()
    def limits_hold(self) -> None:
        info = self.subject[0].open("s").info()
        assert info.branch_count <= LIMITS["branches_max"]
        assert len(self.subject[0].open("s").checkpoints()) <= LIMITS["checkpoints_max"]


def _answer(client: tf.Client, call: Callable[[tf.Session], Any], branch: str | None) -> Any:
    try:
        return call(client.open("s", branch=branch))
    except TurnfoldError as error:
        return type(error), error.details.get("conflicts")


def _view(session: tf.Session) -> Any:
    messages = [(message.seq, message.role, message.parts) for message in session.messages()]
    assert [message.seq for message in session.messages(last=3)] == [seq for seq, _, _ in messages[-3:]]
    return messages, dict(session.state), session.pins(), session.branches(abandoned=True), session.checkpoints()


def _log(client: tf.Client) -> Any:
    """The whole log and head, but for what is random."""
    session = client.open("s")
    events = session.events(limit=1_000).items
    seqs = {event.id: event.seq for event in events}
    head = session.head()
    info = msgspec.structs.replace(head.info, incarnation="", created_at_us=0, updated_at_us=0, expires_at_us=None)
    client.verify("s")
    return [_plain(event, seqs) for event in events], info, [_entry(entry) for entry in head.entries]


def _plain(event: Event, seqs: dict[str, int]) -> Any:
    data = event.data
    if event.type == "redaction":
        data = [target["seq"] for target in data["targets"]]
    caused = seqs.get(event.causation_id or "")
    return event.seq, event.type, event.branch, data, event.meta, caused, event.usage, event.message_count, event.turn_count, event.redacted


def _entry(entry: Entry) -> Any:
    return entry.kind, entry.name, entry.branch, entry.seq, None if entry.value is None else msgspec.json.decode(entry.value)
