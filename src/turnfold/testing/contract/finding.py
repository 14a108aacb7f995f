"""Finding sessions and events: lists with keyset pages and filters, search with the same hits in the same order on every store."""

from __future__ import annotations

import pytest

from turnfold.core.tokens import terms
from turnfold.errors import InvalidInput
from turnfold.limits import PAGE_SESSIONS_MAX
from turnfold.model.event import NewEvent
from turnfold.model.message import Message, message, tool_call, tool_result, user
from turnfold.model.parts import ReasoningPart, TextPart
from turnfold.model.query import SearchQuery, SessionQuery
from turnfold.testing.contract import build
from turnfold.testing.contract.base import SECOND_US, ContractBase


class ListCases(ContractBase):
    """Newest first, page by page."""

    def _ids(self, **fields: object) -> list[str]:
        rows, cursor = self.store.list_sessions(SessionQuery(tenant="default", **fields))  # type: ignore[arg-type]
        assert cursor is None
        return [row.id for row in rows]

    def _pages(self, limit: int, **fields: object) -> list[str]:
        ids: list[str] = []
        cursor: str | None = None
        while True:
            query = SessionQuery(tenant="default", limit=limit, cursor=cursor, **fields)  # type: ignore[arg-type]
            rows, cursor = self.store.list_sessions(query)
            assert len(rows) <= limit
            ids += [row.id for row in rows]
            if cursor is None:
                return ids

    def test_empty(self) -> None:
        assert self.store.list_sessions(SessionQuery(tenant="default")) == ([], None)

    def test_newest_first(self) -> None:
        for name in ("a", "b", "c"):
            self.create(name)
            self.clock.advance(SECOND_US)
        assert self._ids() == ["c", "b", "a"]
        self.append(self.key("a"), "x")
        assert self._ids() == ["a", "c", "b"]
        self.clock.advance(1)
        self.append(self.key("b"), "x")
        assert self._ids() == ["b", "a", "c"]

    def test_rows_are_the_heads_info(self) -> None:
        key = self.create("a", title="t", tags=["x", "b"], metadata={"k": [1]}, agent="ag", owner="al", native={"id": "n"})
        self.append(key, "hello", build.branch_event("b", "main", 1), build.switch_event("b"))
        rows, _ = self.store.list_sessions(SessionQuery(tenant="default"))
        assert rows == [self.head(key).info]

    def test_order_is_exact_after_small_moves(self) -> None:
        names = [f"s{index:02}" for index in range(20)]
        for name in names:
            self.create(name)
            self.clock.advance(SECOND_US)
        order = list(reversed(names))
        for name in ("s03", "s17", "s03", "s00", "s11", "s10"):
            self.clock.advance(3 * SECOND_US)
            self.append(self.key(name), "x")
            order.remove(name)
            order.insert(0, name)
            assert self._ids() == order
            assert self._pages(3) == order

    @pytest.mark.parametrize("limit", [1, 3, 10, 11])
    def test_pages_hold_each_once(self, limit: int) -> None:
        for index in range(11):
            self.create(f"s{index}")
            if index % 3:
                self.clock.advance(SECOND_US)
        ids = self._pages(limit)
        assert sorted(ids) == sorted(f"s{index}" for index in range(11))
        assert ids == self._ids(limit=100)

    def test_pages_while_others_change(self) -> None:
        for index in range(20):
            self.create(f"s{index:02}")
            self.clock.advance(SECOND_US)
        rows, cursor = self.store.list_sessions(SessionQuery(tenant="default", limit=7))
        seen = [row.id for row in rows]
        self.append(self.key("s19"), "seen before: moves to the front")
        self.append(self.key("s05"), "not seen yet: moves to the front too")
        self.create("new")
        self.store.delete_session(self.key("s08"))
        while cursor is not None:
            rows, cursor = self.store.list_sessions(SessionQuery(tenant="default", limit=7, cursor=cursor))
            seen += [row.id for row in rows]
        assert len(seen) == len(set(seen))
        moved = {"s05", "s08"}
        assert [name for name in seen if name not in moved] == [
            f"s{index:02}" for index in reversed(range(20)) if f"s{index:02}" not in moved
        ]

    def test_filters(self) -> None:
        self.create("a", owner="alice", agent="x", tags=["vip", "eu"])
        self.create("b", owner="alice", agent="y", tags=["vip"], parent={"session_id": "a", "relation": "fork"})
        self.create("c", owner="bob", agent="x")
        self.step(self.key("c"), "completed")
        self.create("d", kind="scope")
        assert self._ids(owner="alice") == ["b", "a"]
        assert self._ids(agent="x") == ["c", "a"]
        assert self._ids(owner="alice", agent="x") == ["a"]
        assert self._ids(tags=("vip",)) == ["b", "a"]
        assert self._ids(tags=("eu", "vip")) == ["a"]
        assert self._ids(tags=("none",)) == []
        assert self._ids(status="active") == ["b", "a"]
        assert self._ids(status="completed") == ["c"]
        assert self._ids(parent_id="a") == ["b"]
        assert self._ids(kind="scope") == ["d"]
        assert self._ids(status="completed", owner="alice") == []

    def test_tags_follow_their_events(self) -> None:
        key = self.create("a", tags=["old"])
        self.append(key, NewEvent(type="tag", data={"added": ["new"], "removed": ["old"]}))
        assert (self._ids(tags=("new",)), self._ids(tags=("old",))) == (["a"], [])

    def test_id_prefix_is_literal(self) -> None:
        for name in ("ab", "abc", "aB", "a%", "a_", "a%c", "é", "b"):
            self.create(name)
        assert sorted(self._ids(id_prefix="ab")) == ["ab", "abc"]
        assert sorted(self._ids(id_prefix="a%")) == ["a%", "a%c"]
        assert self._ids(id_prefix="a_") == ["a_"]
        assert self._ids(id_prefix="é") == ["é"]
        assert self._ids(id_prefix="zz") == []

    def test_filtered_pages(self) -> None:
        for index in range(30):
            self.create(f"s{index:02}", owner="alice" if index % 3 == 0 else "bob", tags=["even"] if index % 2 == 0 else [])
            self.clock.advance(SECOND_US)
        assert self._pages(2, owner="alice") == [f"s{index:02}" for index in range(27, -1, -3)]
        assert self._pages(3, tags=("even",), owner="alice") == [f"s{index:02}" for index in range(24, -1, -6)]

    @pytest.mark.parametrize("limit", [0, -1, PAGE_SESSIONS_MAX + 1])
    def test_page_size_has_bounds(self, limit: int) -> None:
        with pytest.raises(InvalidInput):
            self.store.list_sessions(SessionQuery(tenant="default", limit=limit))

    @pytest.mark.parametrize("cursor", ["", "x", "????", "e30", "ä"])
    def test_cursor_that_is_none(self, cursor: str) -> None:
        with pytest.raises(InvalidInput):
            self.store.list_sessions(SessionQuery(tenant="default", cursor=cursor))


class SearchCases(ContractBase):
    """All terms, phrase first, the same everywhere."""

    def _found(self, text: str, **fields: object) -> list[tuple[int, str, int]]:
        self.index_all()
        query = SearchQuery(tenant="default", terms=tuple(terms(text)), **fields)  # type: ignore[arg-type]
        return [(row.bucket, row.session_id, row.seq) for row in self.store.search(query)]

    def test_all_terms_and_phrase_first(self) -> None:
        first, second = self.create("b"), self.create("a")
        self.append(first, "order 4711 please", "please, the order: 4711", "order 47110", "ordering 4711")
        self.append(second, "4711 order", "ORDER   4711!", "nothing")
        assert self._found("order 4711") == [(0, "a", 3), (0, "b", 2), (0, "b", 3), (1, "a", 2)]
        assert self._found("nothing at all") == []
        assert self._found("nothing") == [(0, "a", 4)]

    def test_no_terms(self) -> None:
        self.append(self.create(), "x")
        assert self._found("") == []
        assert self._found("!?") == []

    def test_limit_and_after(self) -> None:
        for name in ("b", "a", "c"):
            self.append(self.create(name), "word one", "one word word", "word")
        everything = self._found("word")
        assert everything == [(0, name, seq) for name in "abc" for seq in (2, 3, 4)]
        assert self._found("word", limit=4) == everything[:4]
        assert self._found("word", limit=4, after=everything[3]) == everything[4:8]
        assert self._found("word", after=everything[-1]) == []
        mixed = self._found("one word")
        assert mixed == [(0, "a", 3), (0, "b", 3), (0, "c", 3), (1, "a", 2), (1, "b", 2), (1, "c", 2)]
        assert self._found("one word", limit=2, after=mixed[2]) == mixed[3:5]

    def test_filters(self) -> None:
        self.append(self.create("a", owner="alice", agent="x"), "word")
        self.append(self.create("b", owner="bob", agent="y"), "word")
        assert self._found("word", owner="alice") == [(0, "a", 2)]
        assert self._found("word", agent="y") == [(0, "b", 2)]
        assert self._found("word", session_id="a") == [(0, "a", 2)]
        assert self._found("word", session_id="a", owner="bob") == []

    def test_viewer(self) -> None:
        key = self.create()
        hidden = NewEvent(type="message", data=user("word"), visible_to=("ann",))
        self.append(key, hidden, NewEvent(type="message", data=user("word"), hidden_from=("ann",)))
        assert self._found("word", viewer="ann") == [(0, "s1", 2)]
        assert self._found("word", viewer="bob") == [(0, "s1", 3)]
        assert self._found("word") == [(0, "s1", 2), (0, "s1", 3)]

    @pytest.mark.parametrize(
        ("text", "query"),
        [
            ("Die STRASSE ist lang", "straße"),
            ("naïve café", "NAÏVE"),
            ("cafe\u0301", "café"),
            ("ｆｕｌｌｗｉｄｔｈ", "fullwidth"),
            ("検索エンジンを作る", "エンジン"),
            ("日本語のテキスト", "本"),
            ("안녕하세요 세계", "하세요"),
            ("ภาษาไทย", "ไทย"),
            ("हिन्दी में", "हिन्दी"),
            ("foo_bar(baz-qux) v1.2.3", "foo_bar"),
            ("path/to/file.py", "file py"),
            ("İstanbul", "i̇stanbul"),
            ("5 ² ½", "2"),
        ],
    )
    def test_words_of_the_world(self, text: str, query: str) -> None:
        key = self.create()
        self.append(key, "other", text)
        assert self._found(query) == [(0, "s1", 3)]

    def test_query_syntax_is_text(self) -> None:
        key = self.create()
        self.append(key, "alpha beta", "alpha near beta", "alpha or gamma", "not alpha", "x*")
        assert self._found("alpha OR gamma") == [(0, "s1", 4)]
        assert self._found("alpha NEAR beta") == [(0, "s1", 3)]
        assert self._found("NOT alpha") == [(0, "s1", 5)]
        assert self._found('"alpha beta"') == [(0, "s1", 2), (1, "s1", 3)]
        assert self._found("alph*") == []
        assert self._found("data_raw:alpha") == []
        assert self._found("a'); DROP") == []

    def test_what_is_searched(self) -> None:
        key = self.create(title="genesis title")
        thinking: Message = message("assistant", [ReasoningPart("pondering"), TextPart("spoken")])
        self.append(
            key,
            thinking,
            tool_call("c1", "lookup_order", {"city": "Zürich", "deep": [{"n": 4711}]}),
            tool_result("c1", {"items": ["umbrella", 12]}),
            tool_result("c2", "plain answer"),
            NewEvent(type="title", data={"title": "renamed"}),
            NewEvent(type="compaction", data={"summary": "summarised"}),
            build.state_event(secret="stateful"),
        )
        for text, seq in (
            ("genesis", 1),
            ("spoken", 2),
            ("lookup_order", 3),
            ("zürich", 3),
            ("4711", 3),
            ("umbrella 12", 4),
            ("plain", 5),
            ("renamed", 6),
            ("summarised", 7),
        ):
            assert self._found(text) == [(0, "s1", seq)], text
        assert self._found("pondering") == []
        assert self._found("stateful") == []

    def test_new_text_is_found_and_pruned_text_is_not(self) -> None:
        key = self.create()
        self.append(key, "first word", "second word")
        assert len(self._found("word")) == 2
        events = self.log(key)
        self.append(key, "third word")
        assert len(self._found("word")) == 3
        self.append(key, prune=(build.range_of(events[1:2]),), lifecycle=True, change=build.without_counts(events[1:2]))
        assert self._found("word") == [(0, "s1", 3), (0, "s1", 4)]
        assert self.store.follower_seq("search", key) == self.head(key).info.last_seq

    def test_same_on_any_branch(self) -> None:
        key = self.create()
        self.append(key, build.branch_event("b", "main", 1))
        self.append(key, "word", branch="b")
        assert self._found("word") == [(0, "s1", 3)]

    def test_long_text(self) -> None:
        key = self.create()
        self.append(key, " ".join(f"w{index}" for index in range(20_000)))
        assert self._found("w19999") == [(0, "s1", 2)]
        assert self._found("w19998 w19999") == [(0, "s1", 2)]
        assert self._found("w1 w3") == [(1, "s1", 2)]
