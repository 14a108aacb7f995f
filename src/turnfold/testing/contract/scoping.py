"""Who sees what: tenants and owners on every call, incarnations, deletion, names of any kind."""

from __future__ import annotations

import pytest

from turnfold.codec.residual import part_ref
from turnfold.errors import InvalidInput, NotFound, SessionNotFound
from turnfold.model.event import NewEvent
from turnfold.model.query import SearchQuery, SessionQuery
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.testing.contract import build
from turnfold.testing.contract.base import ContractBase

ODD_IDS = (
    "a",
    "A",
    "a ",
    "a.",
    " a",
    ".",
    "..",
    "...",
    "a/b",
    "a/b/",
    "a\\b",
    "/",
    "../../etc",
    "a:b:c",
    "a%3Ab",
    "a%",
    "%2F",
    "CON",
    "con.json",
    "a\x00b",
    "a\x00",
    "\n",
    "é",
    "e\u0301",
    "ß",
    "ss",
    "日本語",
    "🧵",
    "\u202ex",
    "'; drop table sessions; --",
    "*",
    "?",
    "[a]",
    "{a}",
    "_",
    "-",
    "~",
    "x" * 1024,
    "x" * 1023,
    "x" * 1023 + "y",
    "é" * 512,
    "%" * 1024,
    "main",
    "null",
    "0",
)


class ScopeCases(ContractBase):
    """Who a session belongs to. That nobody else reaches it by any call is in ``isolation``."""

    def test_session_without_owner_is_not_an_owners(self) -> None:
        key = self.create()
        with pytest.raises(SessionNotFound):
            self.store.get_session(key, owner="alice")
        self.refused(SessionNotFound, build.commit(key, "x", owner="alice", genesis=build.genesis(owner="alice")))

    def test_joining_genesis_of_another_owner(self) -> None:
        key = self.create(owner="alice")
        self.refused(SessionNotFound, build.commit(key, "x", genesis=build.genesis(owner="bob")))

    def test_same_id_in_two_tenants(self) -> None:
        first, second = self.create("s1", "t1", owner="alice"), self.create("s1", "t2", owner="bob")
        self.append(first, "one")
        self.append(second, "two", "three")
        assert (self.head(first).info.last_seq, self.head(second).info.last_seq) == (2, 3)
        self.store.delete_session(first)
        assert self.head(second).info.owner == "bob"


class IncarnationCases(ContractBase):
    """Deletion is at once, and what comes after is another creation."""

    def test_delete(self) -> None:
        key = self.create()
        part = (part_ref(b"x"), b"x")
        self.append(key, "words", runs=(Run(id="r", session_id="s1"),), parts=(part,))
        self.index_all()
        self.store.delete_session(key)
        for call in (
            lambda: self.head(key),
            lambda: self.page(key),
            lambda: self.store.list_runs(key),
            lambda: self.store.read_part(key, part[0]),
            lambda: self.store.read_seals(key),
            lambda: self.append(key, "x"),
            lambda: self.store.delete_session(key),
        ):
            with pytest.raises(SessionNotFound):
                call()
        assert self.store.list_sessions(SessionQuery(tenant="default")) == ([], None)
        assert self.store.search(SearchQuery(tenant="default", terms=("words",))) == []
        assert self.store.last_seqs([key]) == {}
        assert [item for item in self.store.changed_sessions("f", 10) if item.key == key] == []

    def test_created_again_it_is_another_one(self) -> None:
        key = self.create(title="old", tags=["old"])
        old = self.append(key, build.event("old", id="same"), runs=(Run(id="r", session_id="s1"),), parts=((part_ref(b"x"), b"x"),))
        self.index_all()
        self.store.delete_session(key)
        place = self.append(key, build.event("new", id="same"), genesis=build.genesis(agent="b"))
        assert (place.created, place.repeated, place.first_seq) == (True, False, 2)
        assert place.incarnation != old.incarnation
        head = self.head(key)
        assert (head.info.title, head.info.tags, head.info.agent, head.entries) == (None, (), "b", ())
        assert self.store.list_runs(key) == []
        with pytest.raises(NotFound):
            self.store.read_part(key, part_ref(b"x"))
        assert [event.data for event in self.page(key, types=frozenset({"message"})).events] == [build.event("new").data]
        assert self.store.follower_seq("search", key) == 0

    def test_handle_of_a_dead_incarnation(self) -> None:
        key = self.create()
        old = self.head(key).info.incarnation
        self.append(key, "x", incarnation=old)
        self.store.delete_session(key)
        self.refused(SessionNotFound, build.commit(key, "x", incarnation=old))
        self.refused(SessionNotFound, build.commit(key, "x", incarnation=old, genesis=build.genesis()))
        self.create()
        self.refused(SessionNotFound, build.commit(key, "x", incarnation=old))
        with pytest.raises(SessionNotFound):
            self.page(key, incarnation=old)

    def test_incarnation_is_genesis_one(self) -> None:
        key = self.key()
        assert self.append(key, "x", genesis=build.genesis(incarnation="mine")).incarnation == "mine"
        assert self.append(key, "y", incarnation="mine").incarnation == "mine"


class NameCases(ContractBase):
    """Two different ids never share data."""

    def test_ids_of_any_kind(self) -> None:
        for name in ODD_IDS:
            self.append(self.key(name), f"text of {name}", genesis=build.genesis(title=name, owner=name[:200]))
        for name in ODD_IDS:
            key = SessionKey("default", name)
            assert self.head(key).info.title == name
            assert self.log(key)[1].data["parts"][0]["content"] == f"text of {name}"
        rows, _ = self.store.list_sessions(SessionQuery(tenant="default", limit=len(ODD_IDS) + 1))
        assert sorted(row.id for row in rows) == sorted(ODD_IDS)

    def test_deleting_one_leaves_the_others(self) -> None:
        for name in ODD_IDS:
            self.create(name)
        for name in ODD_IDS[::2]:
            self.store.delete_session(SessionKey("default", name))
        rows, _ = self.store.list_sessions(SessionQuery(tenant="default", limit=1_000))
        assert sorted(row.id for row in rows) == sorted(ODD_IDS[1::2])

    def test_tenant_and_id_do_not_run_together(self) -> None:
        pairs = [("a", "b/c"), ("a/b", "c"), ("a", "b:c"), ("a:b", "c"), ("a%", "b"), ("..", "x"), ("ä" * 128, "x")]
        for tenant, session_id in pairs:
            self.create(session_id, tenant, title=f"{tenant}|{session_id}")
        for tenant, session_id in pairs:
            assert self.head(SessionKey(tenant, session_id)).info.title == f"{tenant}|{session_id}"

    @pytest.mark.parametrize("session_id", ["", "x" * 1025, "é" * 513, "\ud800"])
    def test_ids_that_cannot_be(self, session_id: str) -> None:
        with pytest.raises(InvalidInput):
            self.store.commit(build.commit(SessionKey("default", session_id), genesis=build.genesis()))

    def test_event_ids_of_any_kind(self) -> None:
        key = self.create()
        for name in ODD_IDS:
            if len(name.encode()) <= 512:
                self.append(key, build.event(name, id=name))
        for event in self.log(key)[1:]:
            assert event.id == event.data["parts"][0]["content"]
            assert self.append(key, build.event(event.id, id=event.id)).first_seq == event.seq

    def test_fields_of_any_kind(self) -> None:
        key = self.create()
        odd = "a\x00b ' \" % \u202e 🧵"
        self.append(key, NewEvent(type=odd, run_id=odd, actor=odd, message_id=odd, meta={odd: odd}))
        event = self.page(key, types=frozenset({odd}), run_id=odd).events[0]
        assert (event.actor, event.message_id, event.meta) == (odd, odd, {odd: odd})
