"""What the head holds beside counts: entries, keyed and last by seq; parts by their hash; several logs in one commit."""

from __future__ import annotations

import pytest

from turnfold.codec.residual import part_ref
from turnfold.errors import NotFound, SequenceConflict, SessionNotFound
from turnfold.model.event import NewEvent
from turnfold.model.session import Entry
from turnfold.ports.store import ATOMIC_ALSO
from turnfold.testing.contract import build
from turnfold.testing.contract.base import ContractBase


class EntryCases(ContractBase):
    """Entries are last by seq per key."""

    def test_fields_of_genesis(self) -> None:
        key = self.create(
            agent="support",
            owner="alice",
            title="Refunds",
            tags=["vip", "new"],
            metadata={"a": 1, "b": {"c": [None]}},
            native={"format": "codex", "id": "x"},
            parent={"session_id": "p", "relation": "fork"},
        )
        info = self.head(key).info
        assert (info.agent, info.owner, info.title, info.tags) == ("support", "alice", "Refunds", ("new", "vip"))
        assert (info.metadata, info.native) == ({"a": 1, "b": {"c": [None]}}, {"format": "codex", "id": "x"})
        assert info.parent == {"session_id": "p", "relation": "fork"}
        assert (info.kind, info.status, info.branch_count, info.active_branch) == ("session", "active", 1, "main")

    def test_updates_win_by_seq(self) -> None:
        key = self.create(title="one", tags=["a", "b"], metadata={"x": 1, "y": 2})
        self.append(key, NewEvent(type="title", data={"title": "two"}))
        self.append(key, NewEvent(type="tag", data={"added": ["c"], "removed": ["a"]}))
        self.append(
            key,
            NewEvent(type="session.updated", data={"title": "three", "metadata": {"x": None, "z": 3}, "handles": {"codex": {"id": 7}}}),
            NewEvent(type="session.updated", data={"system_prompt": "Be kind."}),
        )
        head = self.head(key)
        assert (head.info.title, head.info.tags, head.info.metadata) == ("three", ("b", "c"), {"y": 2, "z": 3})
        assert head.entry("handle", "codex") == Entry("handle", "codex", b'{"id":7}', 4)
        assert head.entry("system_prompt", "") == Entry("system_prompt", "", b'"Be kind."', 5)

    def test_removed_entries_are_gone_and_may_return(self) -> None:
        key = self.create(title="one", tags=["a"])
        self.append(key, NewEvent(type="session.updated", data={"title": "", "system_prompt": "x"}))
        self.append(key, NewEvent(type="tag", data={"removed": ["a"]}))
        self.append(key, NewEvent(type="session.updated", data={"system_prompt": ""}))
        head = self.head(key)
        assert (head.info.title, head.info.tags, head.entries) == (None, (), ())
        self.append(key, NewEvent(type="tag", data={"added": ["a"]}))
        assert self.head(key).entry("tag", "a") is not None

    def test_last_of_one_commit_wins(self) -> None:
        key = self.create()
        self.append(key, build.state_event(a=1), build.state_event(a=2), NewEvent(type="state.set", data={"removed": ["b"]}))
        assert self.head(key).entries == (Entry("state", "a", b"2", 3, "main"), Entry("state", "b", None, 4, "main"))

    def test_state_is_keyed_by_branch(self) -> None:
        key = self.create()
        self.append(key, build.state_event(a=1, b=None))
        self.append(key, build.branch_event("x", "main", 2))
        self.append(key, build.state_event(a=2), NewEvent(type="pin", data={"target_seq": 2}), branch="x")
        self.append(key, build.state_event("x", c="by event"))
        assert self.head(key).entries == (
            Entry("branch", "x", b'{"parent":"main","fork_seq":2}', 3),
            Entry("pin", "2", b"2", 5, "x"),
            Entry("state", "a", b"1", 2, "main"),
            Entry("state", "a", b"2", 4, "x"),
            Entry("state", "b", b"null", 2, "main"),
            Entry("state", "c", b'"by event"', 6, "x"),
        )

    def test_state_goes_to_the_active_branch(self) -> None:
        key = self.create()
        self.append(key, build.branch_event("x", "main", 1), build.switch_event("x"))
        self.append(key, build.state_event(a=1))
        assert self.head(key).entry("state", "a", "x") == Entry("state", "a", b"1", 4, "x")

    def test_pins_come_and_go(self) -> None:
        key = self.create()
        self.append(key, "a", NewEvent(type="pin", data={"target_seq": 2}), NewEvent(type="pin", data={"target_seq": 1}))
        self.append(key, NewEvent(type="unpin", data={"target_seq": 2}))
        assert [(entry.name, entry.value, entry.seq) for entry in self.head(key).entries] == [("1", b"1", 4), ("2", None, 5)]

    def test_removed_branch_keyed_entries_stay_as_marks(self) -> None:
        """A branch that forked before the removal must see that it has to look further."""
        key = self.create()
        self.append(key, build.state_event(a=1), build.branch_event("b", "main", 2), NewEvent(type="state.set", data={"removed": ["a"]}))
        assert [entry for entry in self.head(key).entries if entry.kind == "state"] == [Entry("state", "a", None, 4, "main")]
        assert self.head(key).entry("state", "a", "main") is None

    def test_checkpoints(self) -> None:
        key = self.create()
        self.append(key, "a", build.checkpoint_event("c", "main", 2))
        assert self.head(key).entry("checkpoint", "c") == Entry("checkpoint", "c", b'{"branch":"main","seq":2}', 3)

    def test_names_of_any_kind(self) -> None:
        key = self.create()
        names = ["", "a/b", "ä", "a\u0308", "A", "a", "%", "'", '"', "\x00", "x" * 256]
        self.append(key, NewEvent(type="state.set", data={"values": {name: name for name in names}}))
        assert {entry.name for entry in self.head(key).entries} == set(names)

    def test_large_state(self) -> None:
        key = self.create()
        self.append(key, build.state_event(big="x" * 1_000_000))
        entry = self.head(key).entry("state", "big", "main")
        assert entry is not None
        assert len(entry.value or b"") == 1_000_002

    def test_many_entries(self) -> None:
        key = self.create()
        self.append(key, NewEvent(type="state.set", data={"values": {f"k{index}": index for index in range(2_000)}}))
        assert len(self.head(key).entries) == 2_000

    def test_import_cursor(self) -> None:
        key = self.create()
        self.append(key, NewEvent(type="import.cursor", data={"source": "f", "offset": 5}))
        self.append(key, NewEvent(type="import.cursor", data={"source": "f", "offset": 9}))
        assert self.head(key).entries == (Entry("import", "f", b'{"source":"f","offset":9}', 3),)

    def test_retract_is_an_ordinary_event(self) -> None:
        key = self.create()
        self.append(key, "a", "b", NewEvent(type="retract", data={"seqs": [3]}))
        assert self.seqs(key) == [1, 2, 3, 4]
        assert self.head(key).info.message_count == 2


class PartCases(ContractBase):
    """Out-of-line payloads by sha256."""

    def test_kept_once_and_read_by_reference(self) -> None:
        key = self.create()
        content = bytes(range(256)) * 5_000
        ref = part_ref(content)
        self.append(key, "a", parts=((ref, content),))
        self.append(key, "b", parts=((ref, content), (part_ref(b""), b"")))
        assert self.store.read_part(key, ref) == content
        assert self.store.read_part(key, part_ref(b"")) == b""

    def test_keyed_name(self) -> None:
        """What an encrypting wrapper gives: a name of the same length that is not the hash of the content."""
        key = self.create()
        ref = "keyed:" + "0f" * 32
        self.append(key, "a", parts=((ref, b"sealed \x00\xff"),))
        assert self.store.read_part(key, ref) == b"sealed \x00\xff"
        with pytest.raises(NotFound):
            self.store.read_part(key, part_ref(b"sealed \x00\xff"))

    def test_missing(self) -> None:
        key = self.create()
        with pytest.raises(NotFound):
            self.store.read_part(key, part_ref(b"x"))
        with pytest.raises(SessionNotFound):
            self.store.read_part(self.key("missing"), part_ref(b"x"))

    def test_refused_commit_leaves_none(self) -> None:
        key = self.create()
        self.refused(SequenceConflict, build.commit(key, "a", expected_seq=9, parts=((part_ref(b"x"), b"x"),)))
        with pytest.raises(NotFound):
            self.store.read_part(key, part_ref(b"x"))

    def test_sessions_have_their_own(self) -> None:
        first, second = self.create("a"), self.create("b")
        part = (part_ref(b"x"), b"x")
        self.append(first, "a", parts=(part,))
        with pytest.raises(NotFound):
            self.store.read_part(second, part[0])
        self.append(second, "a", parts=(part,))
        self.store.delete_session(first)
        assert self.store.read_part(second, part[0]) == b"x"

    def test_come_with_the_first_commit(self) -> None:
        key = self.key()
        self.append(key, "a", genesis=build.genesis(), parts=((part_ref(b"x"), b"x"),))
        assert self.store.read_part(key, part_ref(b"x")) == b"x"


class AlsoCases(ContractBase):
    """Commits to other logs in one transaction."""

    def test_both_logs_are_written(self) -> None:
        key, scope = self.create(), self.key("scope:owner")
        also = build.commit(scope, build.state_event(theme="dark"), genesis=build.genesis(kind="scope"))
        place = self.append(key, build.state_event(step=1), also=(also,))
        assert (place.first_seq, place.incarnation) == (2, self.head(key).info.incarnation)
        assert self.head(scope).entry("state", "theme", "main") is not None
        assert self.head(scope).info.kind == "scope"

    def test_refusal_of_either_writes_neither(self) -> None:
        self.need(ATOMIC_ALSO)
        key, scope = self.create(), self.create("scope", kind="scope")
        bad_scope = build.commit(scope, build.state_event(a=1), expected_seq=9)
        before = self.snapshot(scope)
        self.refused(SequenceConflict, build.commit(key, "x", also=(bad_scope,)))
        good_scope = build.commit(scope, build.state_event(a=1))
        self.refused(SequenceConflict, build.commit(key, "x", expected_seq=9, also=(good_scope,)))
        assert self.snapshot(scope) == before

    def test_repeat(self) -> None:
        key, scope = self.create(), self.create("scope", kind="scope")
        commit = build.commit(key, "x", also=(build.commit(scope, build.state_event(a=1)),))
        self.write(commit)
        assert self.write(commit).repeated
        assert (self.head(key).info.last_seq, self.head(scope).info.last_seq) == (2, 2)

    def test_two_sessions_and_one_scope_race(self) -> None:
        self.need(ATOMIC_ALSO)
        keys = [self.create("a"), self.create("b")]
        scope = self.create("scope", kind="scope")
        results = self.together(
            10,
            lambda index: self.append(keys[index % 2], f"{index}", also=(build.commit(scope, build.state_event(n=index)),)),
        )
        assert not any(isinstance(item, Exception) for item in results)
        assert [self.head(item).info.last_seq for item in (*keys, scope)] == [6, 6, 11]
