"""Rewriting what is cold and bringing the schema up to date: neither changes anything that can be read."""

from __future__ import annotations

from typing import Any

from turnfold.errors import TurnfoldError
from turnfold.model.commit import Commit
from turnfold.model.event import Event, NewEvent
from turnfold.model.message import assistant
from turnfold.model.query import Compacted
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.model.usage import Usage
from turnfold.testing.contract import build
from turnfold.testing.contract.base import ContractBase

STEPS_MAX = 100
MONTH_US = 30 * 86_400_000_000
WRITERS = 4
APPENDS = 15


class CompactCases(ContractBase):
    """``compact`` is invisible."""

    def compact_all(self) -> list[Compacted]:
        """Compact until there is nothing more to do."""
        steps: list[Compacted] = []
        while len(steps) < STEPS_MAX:
            steps.append(self.store.compact())
            if not steps[-1].more:
                assert self.store.check().problems == ()
                return steps
        raise AssertionError(f"compact says after {STEPS_MAX} steps that there is more")

    def everything(self, key: SessionKey) -> Any:
        """All that can be read of a session."""
        views = [self.page(key, branch=name, limit=1_000) for name in ("main", "b")]
        filtered = [
            self.page(key, types=frozenset({"message"}), limit=7),
            self.page(key, types=frozenset({"note", "tag"}), limit=1_000),
            self.page(key, run_id="r", limit=1_000),
            self.page(key, since_us=build.AT_US, limit=1_000, descending=True),
            self.page(key, visible=frozenset({"both"}), viewer="ann", limit=1_000),
            self.page(key, before=9, limit=3, descending=True),
            self.page(key, after=5, limit=3),
        ]
        return self.snapshot(key), views, filtered, self.store.last_seqs([key])

    def varied(self, key: SessionKey) -> list[Event]:
        """Fill a session with one of everything; return its log."""
        self.append(key, *(f"message {index}" for index in range(12)))
        self.append(
            key, build.event(assistant("answer", usage=Usage(3, 2, model="m")), run_id="r"), runs=(Run(id="r", session_id=key.session_id),)
        )
        self.append(key, build.event(NewEvent(type="note", data={"n": 1}, source=b"a kept line", meta={"env": "x"})))
        self.append(key, build.event("for ann", visible_to=("ann",)), build.event("not for ann", hidden_from=("ann",)))
        self.append(key, build.branch_event("b", "main", 6))
        self.append(key, "on b", "on b too", branch="b")
        return self.fill(key, 20, "later")

    def test_nothing_that_can_be_read_changes(self) -> None:
        key = self.create()
        log = self.varied(key)
        self.write(build.redaction(key, log[3]))
        self.append(key, prune=(build.range_of(log[8:11]),), lifecycle=True, change=build.without_counts(log[8:11]))
        self.index_all()
        before = self.everything(key)
        self.clock.advance(MONTH_US)
        steps = self.compact_all()
        assert self.everything(key) == before
        assert all(step.segment_count >= step.session_count >= 0 for step in steps)

    def test_it_comes_to_an_end(self) -> None:
        for index in range(3):
            self.varied(self.create(f"s{index}"))
        self.clock.advance(MONTH_US)
        self.compact_all()
        again = self.store.compact()
        assert (again.session_count, again.more) == (0, False)

    def test_a_repeat_is_still_a_repeat(self) -> None:
        key = self.create()
        commit = build.commit(key, "first", "second")
        done = self.write(commit)
        self.fill(key, 20)
        self.clock.advance(MONTH_US)
        self.compact_all()
        again = self.write(commit)
        assert again.repeated
        assert (again.first_seq, again.last_seq) == (done.first_seq, done.last_seq)

    def test_redacting_and_pruning_afterwards(self) -> None:
        key = self.create()
        log = self.varied(key)
        self.clock.advance(MONTH_US)
        self.compact_all()
        self.write(build.redaction(key, log[5]))
        self.append(key, prune=(build.range_of(log[9:12]),), lifecycle=True, change=build.without_counts(log[9:12]))
        after = self.log(key)
        assert [event for event in after if event.seq < 6] == log[:5]
        assert after[5].redacted
        assert after[5].digest == log[5].digest
        assert after[5].salt == b""
        assert [event.seq for event in after[:12]] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15]
        before = self.everything(key)
        self.compact_all()
        assert self.everything(key) == before

    def test_deleting_and_beginning_anew(self) -> None:
        key = self.create()
        self.varied(key)
        self.clock.advance(MONTH_US)
        self.compact_all()
        self.store.delete_session(key)
        self.create()
        self.append(key, "fresh")
        assert [event.seq for event in self.log(key)] == [1, 2]
        self.compact_all()
        assert self.store.check().problems == ()

    def test_while_others_write(self) -> None:
        key = self.create()
        self.fill(key, 40)
        self.clock.advance(MONTH_US)
        sent: list[list[Commit]] = [[] for _ in range(WRITERS)]

        def work(index: int) -> None:
            for turn in range(APPENDS):
                if index == 0:
                    self.store.compact()
                else:
                    commit = build.commit(key, f"writer {index} turn {turn}")
                    self.store.commit(commit)
                    sent[index].append(commit)

        errors = [item for item in self.together(WRITERS, work) if isinstance(item, Exception)]
        assert not [error for error in errors if not isinstance(error, TurnfoldError)]
        assert errors == []
        self.compact_all()
        log = self.log(key)
        assert [event.seq for event in log] == list(range(1, 42 + (WRITERS - 1) * APPENDS))
        found = [event.id for event in log]
        for commits in sent:
            places = [found.index(commit.events[0].id) for commit in commits]
            assert places == sorted(places)


class MigrateCases(ContractBase):
    """``migrate`` on data that is up to date."""

    def test_there_is_nothing_to_do(self) -> None:
        key = self.create()
        self.fill(key, 3)
        before = self.snapshot(key)
        for report in (self.store.migrate(dry_run=True, post=True), self.store.migrate(), self.store.migrate(post=True)):
            assert report.applied == ()
            assert report.pending == ()
            assert report.before == report.after == report.known >= 1
        assert self.snapshot(key) == before

    def test_a_dry_run_says_so(self) -> None:
        assert self.store.migrate(dry_run=True).dry_run
        assert not self.store.migrate().dry_run
