"""Views of the active branch, and what a branch sees of values that others removed."""

from __future__ import annotations

import pytest

from turnfold.core.fold import branches_of
from turnfold.core.state import decode_values, keyed_entries
from turnfold.errors import AlreadyExists, NotFound
from turnfold.model.event import NewEvent
from turnfold.model.query import ACTIVE_BRANCH
from turnfold.model.session import SessionKey
from turnfold.testing.contract import build
from turnfold.testing.contract.base import ContractBase


def _fork(name: str, fork_seq: int) -> NewEvent:
    return NewEvent(type="branch.created", data={"name": name, "parent": "main", "fork_seq": fork_seq}, branch=name)


def _switch(name: str) -> NewEvent:
    return NewEvent(type="branch.switched", data={"name": name}, branch=name)


class ViewCases(ContractBase):
    """Reads that the store resolves by itself."""

    def _texts(self, key: SessionKey, branch: str | None) -> list[str]:
        events = self.page(key, branch=branch, types=frozenset({"message"})).events
        return [event.data["parts"][0]["content"] for event in events]

    def test_active_branch_is_resolved_in_the_read(self) -> None:
        key = self.create()
        self.append(key, "a", "b")
        assert self._texts(key, ACTIVE_BRANCH) == ["a", "b"]
        self.append(key, _fork("side", 2), "c")
        assert self._texts(key, ACTIVE_BRANCH) == ["a", "b", "c"]
        self.append(key, _switch("side"))
        self.append(key, "d")
        assert self._texts(key, ACTIVE_BRANCH) == self._texts(key, "side") == ["a", "d"]
        assert self._texts(key, "main") == ["a", "b", "c"]
        assert self._texts(key, None) == ["a", "b", "c", "d"]

    def test_value_removed_after_a_fork_is_known_to_be_missing(self) -> None:
        key = self.create()
        self.append(key, build.state_event(step=1))
        self.append(key, _fork("side", 2))
        self.append(key, NewEvent(type="state.set", data={"removed": ["step"]}))
        head = self.head(key)
        values, exact = keyed_entries(head.entries, "state", {}, "main")
        assert (decode_values(values), exact) == ({}, True)
        removed = [entry for entry in head.entries if entry.kind == "state"]
        assert [(entry.name, entry.value, entry.branch, entry.seq) for entry in removed] == [("step", None, "main", 4)]

    def test_a_branch_that_is_not_counted_any_more_is_still_a_view(self) -> None:
        key = self.create()
        self.append(key, "a", _fork("side", 2))
        self.append(key, "b", branch="side")
        self.append(key, NewEvent(type="branch.abandoned", data={"name": "side"}), "c")
        assert self.head(key).info.branch_count == 1
        assert self._texts(key, "main") == self._texts(key, ACTIVE_BRANCH) == ["a", "c"]
        assert self._texts(key, "side") == ["a", "b"]
        with pytest.raises(AlreadyExists):
            self.append(key, NewEvent(type="branch.abandoned", data={"name": "side"}))
        self.append(key, NewEvent(type="branch.abandoned", data={"name": "side", "undone": True}))
        assert self.head(key).info.branch_count == 2
        with pytest.raises(NotFound):
            self.append(key, NewEvent(type="branch.abandoned", data={"name": "side", "undone": True}))

    def test_names_of_branches_are_unique_whatever_they_are_called_now(self) -> None:
        key = self.create()
        self.append(key, _fork("one", 1), _fork("two", 1))
        self.append(key, NewEvent(type="branch.renamed", data={"name": "one", "label": "uno"}))
        for name in ("one", "uno"):
            with pytest.raises(AlreadyExists):
                self.append(key, _fork(name, 1))
            with pytest.raises(AlreadyExists):
                self.append(key, NewEvent(type="branch.renamed", data={"name": "two", "label": name}))
        with pytest.raises(NotFound):
            self.append(key, NewEvent(type="branch.renamed", data={"name": "uno", "label": "three"}))
        self.append(key, NewEvent(type="branch.renamed", data={"name": "one", "label": "eins", "previous": "uno"}))
        self.append(key, _fork("uno", 1))
        head = self.head(key)
        assert [entry.name for entry in head.entries if entry.kind == "branch_name"] == ["eins"]
        assert sorted(branches_of(head)) == ["one", "two", "uno"]
