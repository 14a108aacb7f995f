"""Reading: pages and their cursors, every condition of a query, and what stays true while others write."""

from __future__ import annotations

import threading

import pytest

from turnfold.errors import InvalidInput, NotFound, SessionNotFound
from turnfold.limits import PAGE_EVENTS_MAX
from turnfold.model.event import NewEvent
from turnfold.model.session import SessionKey
from turnfold.testing.contract import build
from turnfold.testing.contract.base import ContractBase


class ReadCases(ContractBase):
    """``read_events`` on sessions without branches."""

    def test_missing_session(self) -> None:
        with pytest.raises(SessionNotFound):
            self.page(self.key("missing"))
        with pytest.raises(SessionNotFound):
            self.head(self.key("missing"))

    def test_page_and_cursor(self) -> None:
        key = self.create()
        self.fill(key, 9)
        page = self.page(key, limit=4)
        assert ([event.seq for event in page.events], page.through_seq, page.more) == ([1, 2, 3, 4], 4, True)
        page = self.page(key, after=page.through_seq, limit=4)
        assert ([event.seq for event in page.events], page.through_seq, page.more) == ([5, 6, 7, 8], 8, True)
        page = self.page(key, after=page.through_seq, limit=4)
        assert ([event.seq for event in page.events], page.through_seq, page.more) == ([9, 10], 10, False)
        assert (page.last_seq, page.incarnation) == (10, self.head(key).info.incarnation)
        page = self.page(key, after=page.through_seq, limit=4)
        assert (page.events, page.through_seq, page.more) == ([], 10, False)

    def test_full_last_page_has_no_more(self) -> None:
        key = self.create()
        self.fill(key, 3)
        page = self.page(key, limit=4)
        assert (len(page.events), page.through_seq, page.more) == (4, 4, False)

    def test_cursor_steps_over_what_does_not_match(self) -> None:
        key = self.create()
        self.append(key, NewEvent(type="note"), "a", NewEvent(type="note"), NewEvent(type="other"), NewEvent(type="other"))
        page = self.page(key, types=frozenset({"note"}), limit=1)
        assert ([event.seq for event in page.events], page.through_seq, page.more) == ([2], 2, True)
        page = self.page(key, types=frozenset({"note"}), limit=1, after=2)
        assert ([event.seq for event in page.events], page.through_seq, page.more) == ([4], 6, False)

    def test_cursor_beyond_the_end_does_not_move_back(self) -> None:
        page = self.page(self.create(), after=50)
        assert (page.events, page.through_seq, page.last_seq, page.more) == ([], 50, 1, False)

    def test_bounds_are_strict(self) -> None:
        key = self.create()
        self.fill(key, 9)
        assert self.seqs(key, after=3, before=7) == [4, 5, 6]
        assert self.seqs(key, after=3, before=4) == []
        page = self.page(key, before=7)
        assert (page.through_seq, page.more) == (6, False)

    def test_newest_first(self) -> None:
        key = self.create()
        self.fill(key, 9)
        page = self.page(key, descending=True, limit=4)
        assert ([event.seq for event in page.events], page.through_seq, page.more) == ([10, 9, 8, 7], 7, True)
        page = self.page(key, descending=True, limit=4, before=page.through_seq)
        assert ([event.seq for event in page.events], page.more) == ([6, 5, 4, 3], True)
        page = self.page(key, descending=True, limit=4, before=page.through_seq)
        assert ([event.seq for event in page.events], page.through_seq, page.more) == ([2, 1], 1, False)
        assert self.seqs(key, descending=True, after=7, limit=2) == [10, 9]
        assert self.page(key, descending=True, after=7).through_seq == 8

    def test_by_type(self) -> None:
        key = self.create()
        self.append(key, "a", NewEvent(type="note"), NewEvent(type="my.own"), "b")
        assert self.seqs(key, types=frozenset({"message"})) == [2, 5]
        assert self.seqs(key, types=frozenset({"note", "my.own"})) == [3, 4]
        assert self.seqs(key, types=frozenset({"message"}), descending=True, limit=1) == [5]
        assert self.seqs(key, types=frozenset({"none.such"})) == []
        assert self.seqs(key, types=frozenset()) == []

    def test_by_run(self) -> None:
        key = self.create()
        self.append(key, NewEvent(type="x", run_id="r1"), NewEvent(type="x", run_id="r2"), "no run")
        assert self.seqs(key, run_id="r1") == [2]

    def test_by_the_sources_time(self) -> None:
        key = self.create()
        self.append(key, *(build.event(f"{at}", at_us=at) for at in (30, 10, 20, 40)))
        assert self.seqs(key, since_us=20, until_us=40, after=1) == [2, 4]
        assert self.seqs(key, until_us=20) == [3]
        assert self.seqs(key, since_us=40, after=1) == [5]

    def test_conditions_hold_together(self) -> None:
        key = self.create()
        self.append(key, *(NewEvent(type=kind, run_id=run) for kind in ("a", "b") for run in ("r", "s", "r")))
        assert self.seqs(key, types=frozenset({"b"}), run_id="r", after=5) == [7]
        assert self.seqs(key, types=frozenset({"a"}), run_id="r", descending=True) == [4, 2]

    def test_source_only_on_demand(self) -> None:
        key = self.create()
        self.append(key, NewEvent(type="x", source=b"Lkept"))
        assert [event.source for event in self.page(key, after=1).events] == [None]
        assert [event.source for event in self.page(key, after=1, with_source=True).events] == [b"Lkept"]
        assert [event.source for event in self.page(key, after=1).events] == [None]

    @pytest.mark.parametrize("limit", [0, -1, PAGE_EVENTS_MAX + 1])
    def test_page_size_has_bounds(self, limit: int) -> None:
        key = self.create()
        with pytest.raises(InvalidInput):
            self.page(key, limit=limit)

    def test_other_incarnation(self) -> None:
        key = self.create()
        self.page(key, incarnation=self.head(key).info.incarnation)
        with pytest.raises(SessionNotFound):
            self.page(key, incarnation="another")

    def test_last_seqs(self) -> None:
        first, second = self.create("a"), self.create("b", "t2")
        self.append(second, "x")
        found = self.store.last_seqs([first, second, SessionKey("default", "missing")])
        assert found == {first: (self.head(first).info.incarnation, 1), second: (self.head(second).info.incarnation, 2)}
        assert self.store.last_seqs([]) == {}

    def test_pages_while_somebody_writes(self) -> None:
        key = self.create()
        done = threading.Event()

        def write() -> None:
            for turn in range(60):
                self.append(key, *[f"{turn}"] * 3)
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        seen: list[int] = []
        after = 0
        while True:
            finished = done.is_set()
            page = self.page(key, after=after, limit=7)
            seen += [event.seq for event in page.events]
            after = page.through_seq
            if finished and not page.more:
                break
        writer.join()
        assert seen == list(range(1, 182))


class BranchCases(ContractBase):
    """Views of branches, and where events without a branch go."""

    def _tree(self) -> SessionKey:
        """Build a session with a branch of main, a branch of that one, and more events on each.

        main: 2 3 4 . . 7 . . . 11, a from 3: 5 6 8, b from 6 of a: 9 10, and a once more: 12.
        """
        key = self.create()
        self.append(key, "m2", "m3", "m4")
        self.append(key, build.replace(build.event(build.branch_event("a", "main", 3)), branch="a"), branch="a")
        self.append(key, "a6", branch="a")
        self.append(key, "m7")
        self.append(key, "a8", branch="a")
        self.append(key, build.branch_event("b", "a", 6), branch="b")
        self.append(key, "b10", branch="b")
        self.append(key, "m11", branch="main")
        self.append(key, "a12", branch="a")
        return key

    def test_views(self) -> None:
        key = self._tree()
        assert self.seqs(key, branch="main") == [1, 2, 3, 4, 7, 11]
        assert self.seqs(key, branch="a") == [1, 2, 3, 5, 6, 8, 12]
        assert self.seqs(key, branch="b") == [1, 2, 3, 5, 6, 9, 10]
        assert self.seqs(key) == list(range(1, 13))

    def test_views_backwards_with_bounds_and_filters(self) -> None:
        key = self._tree()
        assert self.seqs(key, branch="b", descending=True, limit=3) == [10, 9, 6]
        assert self.seqs(key, branch="b", after=2, before=9) == [3, 5, 6]
        assert self.seqs(key, branch="a", types=frozenset({"message"})) == [2, 3, 6, 8, 12]
        page = self.page(key, branch="b", limit=3, after=3)
        assert ([event.seq for event in page.events], page.through_seq, page.more) == ([5, 6, 9], 9, True)
        page = self.page(key, branch="b", limit=3, after=page.through_seq)
        assert ([event.seq for event in page.events], page.through_seq, page.more) == ([10], 12, False)

    def test_fork_of_a_fork_before_its_own_start(self) -> None:
        key = self._tree()
        self.append(key, build.branch_event("c", "b", 2), "c14", branch="c")
        assert self.seqs(key, branch="c") == [1, 2, 13, 14]

    def test_unknown_branch(self) -> None:
        key = self._tree()
        with pytest.raises(NotFound):
            self.page(key, branch="nowhere")

    def test_events_know_their_branch(self) -> None:
        key = self._tree()
        assert [event.branch for event in self.log(key)] == ["main"] * 4 + ["a"] * 2 + ["main", "a", "b", "b", "main", "a"]

    def test_switch_moves_where_events_go(self) -> None:
        key = self._tree()
        assert self.append(key, build.switch_event("b")).branch == "main"
        place = self.append(key, "where?")
        assert (place.branch, self.head(key).info.active_branch) == ("b", "b")
        assert self.seqs(key, branch="b")[-1] == place.first_seq
        assert self.append(key, "there", branch="main").branch == "main"

    def test_restore_is_one_commit(self) -> None:
        key = self.create()
        self.append(key, "m2", "m3")
        self.append(key, build.branch_event("back", "main", 2), build.switch_event("back"))
        assert self.append(key, "new").branch == "back"
        assert self.seqs(key, branch="back") == [1, 2, 6]

    def test_an_events_branch_wins_over_the_commits(self) -> None:
        key = self._tree()
        self.append(key, NewEvent(type="note", branch="b"), "to a", branch="a")
        assert [event.branch for event in self.page(key, after=12).events] == ["b", "a"]

    def test_branches_in_the_head(self) -> None:
        key = self._tree()
        head = self.head(key)
        assert set(head.named("branch")) == {"a", "b"}
        assert head.info.branch_count == 3

    def test_many_branches(self) -> None:
        key = self.create()
        for index in range(30):
            self.append(key, build.branch_event(f"b{index}", "main" if index == 0 else f"b{index - 1}", 2 * index + 1), branch="main")
            self.append(key, f"text {index}", branch=f"b{index}")
        assert self.seqs(key, branch="b29")[-2:] == [59, 61]
        assert [event.branch for event in self.page(key, branch="b29", types=frozenset({"message"})).events] == [f"b{i}" for i in range(30)]

    def test_branch_names_of_any_kind(self) -> None:
        key = self.create()
        names = ["a/b", "a b", "Ä", "ä", "a\u0308", "%", "..", "main ", "x" * 256]
        for name in names:
            self.append(key, build.branch_event(name, "main", 1), branch="main")
            self.append(key, f"on {name}", branch=name)
        for name in names:
            texts = [event.data["parts"][0]["content"] for event in self.page(key, branch=name, types=frozenset({"message"})).events]
            assert texts == [f"on {name}"]


class VisibilityCases(ContractBase):
    """``visible`` and the viewer rule, in the one read path."""

    def test_visibility_filter(self) -> None:
        key = self.create()
        self.append(key, *(NewEvent(type="x", visibility=kind) for kind in ("both", "model", "ui", "none")))
        assert self.seqs(key, after=1, visible=frozenset({"both", "model"})) == [2, 3]
        assert self.seqs(key, after=1, visible=frozenset({"none"})) == [5]
        assert self.seqs(key, after=1) == [2, 3, 4, 5]

    def test_viewer(self) -> None:
        key = self.create()
        self.append(
            key,
            NewEvent(type="x"),
            NewEvent(type="x", visible_to=("ann", "bob")),
            NewEvent(type="x", hidden_from=("ann",)),
            NewEvent(type="x", visible_to=("ann", "bob"), hidden_from=("bob",)),
            NewEvent(type="x", visible_to=()),
        )
        assert self.seqs(key, after=1, viewer="ann") == [2, 3, 5]
        assert self.seqs(key, after=1, viewer="bob") == [2, 3, 4]
        assert self.seqs(key, after=1, viewer="an") == [2, 4]
        assert self.seqs(key, after=1, viewer="eve", descending=True, limit=1) == [4]
        assert self.seqs(key, after=1) == [2, 3, 4, 5, 6]

    def test_cursor_steps_over_what_is_hidden(self) -> None:
        key = self.create()
        self.append(key, "a", NewEvent(type="x", visible_to=("bob",)), NewEvent(type="x", visible_to=("bob",)))
        page = self.page(key, viewer="ann", after=1, limit=1)
        assert ([event.seq for event in page.events], page.through_seq, page.more) == ([2], 4, False)

    def test_names_with_odd_characters(self) -> None:
        key = self.create()
        names = ('a"b', "a,b", "ä", "%", "_", "[x]", "it's")
        for name in names:
            self.append(key, NewEvent(type="x", visible_to=(name,)))
        for place, name in enumerate(names, 2):
            assert self.seqs(key, viewer=name, after=1) == [place]
