"""Nobody reaches another's session by any call: every method of the port that takes a key or a tenant is tried by strangers.

The table names each method of ``ports.store.Store``; a method that is added to the port and to neither table fails here. Every probe is also made by
the session's own owner and by its whole tenant, where it must work: a probe that always fails would prove nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import pytest

from turnfold.codec.residual import part_ref
from turnfold.codec.seal import leaf, seal_root
from turnfold.core.redaction import redact_of
from turnfold.errors import LeaseLost, SessionNotFound
from turnfold.model.commit import Commit
from turnfold.model.event import NewEvent, Seal
from turnfold.model.query import EventQuery, SearchQuery, SessionQuery
from turnfold.model.run import Run
from turnfold.model.session import Lease, SessionKey
from turnfold.ports.store import ATOMIC_ALSO, Store
from turnfold.testing.contract import build
from turnfold.testing.contract.base import ContractBase

UNSCOPED: Final = frozenset({"changed_sessions", "watch", "check", "close", "compact", "migrate"})
"""Methods of the store as a whole: for the engine's followers and for whoever operates the store, never called with a user's words."""

TENANTS: Final = ("other", "DEFAULT", "defaul_", "%", "default/s1")
"""Strangers; some look like the tenant ``default`` to a careless comparison."""
OWNERS: Final = ("bob", "ALICE", "alic_", "%")
"""The same for the owner ``alice``."""

_PART = (part_ref(b"a part"), b"a part")
_LEASE_S = 30.0


class Someone(NamedTuple):
    """Who calls: with what key, for what owner (None: the whole tenant), knowing what of the session."""

    key: SessionKey
    owner: str | None
    fence: int
    incarnation: str

    @property
    def lease(self) -> Lease:
        """The session's lease as it would have to be under this one's key."""
        return Lease(*self.key, "worker", self.fence, 0)


class Probe(NamedTuple):
    """One way to call a method.

    Attributes:
        call: Makes the call.
        answer: What a stranger gets: an error, or the answer where there is nothing.
        by_owner: Whether the method takes an owner's part; else only another tenant is a stranger.
        by_tenant: False where another tenant's call is no intrusion, since it makes a session of its own.
        capability: Only for stores that have it.
    """

    call: Callable[[IsolationCases, Someone], object]
    answer: object = SessionNotFound
    by_owner: bool = True
    by_tenant: bool = True
    capability: str | None = None


def _query(who: Someone, **fields: Any) -> EventQuery:
    return EventQuery(key=who.key, owner=who.owner, **fields)


def _commit(who: Someone, *items: build.Item, **fields: Any) -> Commit:
    return build.commit(who.key, *items, owner=who.owner, lease=who.fence, **fields)


def _redact(cases: IsolationCases, who: Someone) -> object:
    event = cases.victim_log[1]
    erasing = NewEvent(type="redaction", data={"targets": [{"seq": event.seq, "digest": event.digest.hex()}]})
    return cases.store.commit(_commit(who, erasing, redacts=(redact_of(event),), lifecycle=True))


def _prune(cases: IsolationCases, who: Someone) -> object:
    gone = cases.victim_log[1:2]
    return cases.store.commit(_commit(who, prune=(build.range_of(gone),), lifecycle=True, change=build.without_counts(gone)))


def _also(cases: IsolationCases, who: Someone) -> object:
    own = SessionKey(who.key.tenant, f"own of {who.owner}")
    cases.keys[own] = None
    also = (_commit(who, "by the way"),)
    return cases.store.commit(build.commit(own, "x", owner=who.owner, genesis=build.genesis(owner=who.owner), also=also))


def _many(cases: IsolationCases, who: Someone) -> object:
    (outcome,) = cases.store.commit_many([_commit(who, "x")])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _listed(cases: IsolationCases, who: Someone, **fields: Any) -> object:
    return cases.store.list_sessions(SessionQuery(tenant=who.key.tenant, owner=who.owner, **fields))[0]


def _found(cases: IsolationCases, who: Someone, **fields: Any) -> object:
    return cases.store.search(SearchQuery(tenant=who.key.tenant, owner=who.owner, terms=("secret",), **fields))


def _seal(cases: IsolationCases, who: Someone) -> object:
    upto = len(cases.victim_log)
    seal = Seal(upto, b"", seal_root(b"", upto, map(leaf, cases.victim_log)), 1)
    return cases.store.add_seal(who.key, seal, incarnation=who.incarnation)


PROBES: Final = MappingProxyType(
    {
        "commit": (
            Probe(lambda cases, who: cases.store.commit(_commit(who, "x"))),
            Probe(lambda cases, who: cases.store.commit(_commit(who, "x", incarnation=who.incarnation))),
            Probe(lambda cases, who: cases.store.commit(_commit(who, build.event("secret word", id="known")))),
            Probe(lambda cases, who: cases.store.commit(_commit(who, build.status_event("completed"), lifecycle=True))),
            Probe(lambda cases, who: cases.store.commit(_commit(who, runs=(Run(id="r1", session_id="s1", status="failed"),)))),
            Probe(
                lambda cases, who: cases.store.commit(
                    build.commit(who.key, "x", owner=who.owner, lease=who.fence, genesis=build.genesis(owner=who.owner))
                ),
                by_tenant=False,
            ),
            Probe(_redact),
            Probe(_prune),
            Probe(_also, capability=ATOMIC_ALSO),
        ),
        "commit_many": (Probe(_many),),
        "read_events": (
            Probe(lambda cases, who: cases.store.read_events(_query(who))),
            Probe(lambda cases, who: cases.store.read_events(_query(who, with_source=True, descending=True))),
            Probe(lambda cases, who: cases.store.read_events(_query(who, after=1, incarnation=who.incarnation))),
        ),
        "get_session": (Probe(lambda cases, who: cases.store.get_session(who.key, owner=who.owner)),),
        "list_sessions": (
            Probe(_listed, []),
            Probe(lambda cases, who: _listed(cases, who, id_prefix="s"), []),
            Probe(lambda cases, who: _listed(cases, who, tags=("private",)), []),
            Probe(lambda cases, who: _listed(cases, who, parent_id="origin"), []),
            Probe(lambda cases, who: _listed(cases, who, agent="support"), []),
            Probe(lambda cases, who: _listed(cases, who, status="active"), []),
        ),
        "last_seqs": (Probe(lambda cases, who: cases.store.last_seqs([who.key]), {}, by_owner=False),),
        "get_run": (Probe(lambda cases, who: cases.store.get_run(who.key, "r1", owner=who.owner)),),
        "list_runs": (Probe(lambda cases, who: cases.store.list_runs(who.key, owner=who.owner)),),
        "read_part": (Probe(lambda cases, who: cases.store.read_part(who.key, _PART[0], owner=who.owner)),),
        "search": (
            Probe(_found, []),
            Probe(lambda cases, who: _found(cases, who, session_id="s1"), []),
            Probe(lambda cases, who: _found(cases, who, agent="support"), []),
        ),
        "delete_session": (Probe(lambda cases, who: cases.store.delete_session(who.key, owner=who.owner)),),
        "acquire_lease": (Probe(lambda cases, who: cases.store.acquire_lease(who.key, "worker", 1, owner=who.owner)),),
        "renew_lease": (Probe(lambda cases, who: cases.store.renew_lease(who.lease, 60), (LeaseLost, SessionNotFound), by_owner=False),),
        "release_lease": (Probe(lambda cases, who: cases.store.release_lease(who.lease), None, by_owner=False),),
        "advance": (
            Probe(
                lambda cases, who: cases.store.advance("f", who.key, incarnation=who.incarnation, from_seq=0, to_seq=1),
                answer=False,
                by_owner=False,
            ),
        ),
        "follower_seq": (Probe(lambda cases, who: cases.store.follower_seq("search", who.key), 0, by_owner=False),),
        "read_seals": (Probe(lambda cases, who: cases.store.read_seals(who.key), by_owner=False),),
        "add_seal": (Probe(_seal, answer=False, by_owner=False),),
    }
)
"""Every method of the port with a key, a tenant or a lease, and how it is tried."""


def scoped_methods() -> frozenset[str]:
    """The methods of the port but those of the store as a whole."""
    methods = {name for name, _ in inspect.getmembers(Store, inspect.isfunction) if not name.startswith("_")}
    return frozenset(methods - UNSCOPED)


class IsolationCases(ContractBase):
    """Another tenant's or owner's session is not there, whatever is called; and nothing of it changes."""

    def victim(self) -> Someone:
        """A session of alice's with something of every kind in it, seen by whoever may see it."""
        key = self.create(owner="alice", agent="support", tags=["private"], parent={"session_id": "origin", "relation": "fork"})
        self.append(key, build.event("secret word", id="known"), runs=(Run(id="r1", session_id="s1"),), parts=(_PART,))
        self.index_all()
        self.victim_log = self.log(key)
        lease = self.store.acquire_lease(key, "worker", _LEASE_S)
        return Someone(key, None, lease.fence, self.head(key).info.incarnation)

    def test_every_method_of_the_port_is_tried(self) -> None:
        assert scoped_methods() == PROBES.keys(), "a method of the port needs a probe here, or its reason in UNSCOPED"
        for name, probes in PROBES.items():
            takes_owner = "owner" in inspect.signature(getattr(Store, name)).parameters
            assert not takes_owner or all(probe.by_owner for probe in probes), f"{name} takes an owner: other owners must be tried"

    @pytest.mark.parametrize("method", sorted(PROBES))
    def test_other_tenant(self, method: str) -> None:
        someone = self.victim()
        strangers = [someone._replace(key=SessionKey(tenant, "s1"), owner=owner) for tenant in TENANTS for owner in (None, "alice")]
        self._try(method, someone, strangers, lambda probe: probe.by_tenant)

    @pytest.mark.parametrize("method", sorted(name for name, probes in PROBES.items() if any(probe.by_owner for probe in probes)))
    def test_other_owner(self, method: str) -> None:
        someone = self.victim()
        self._try(method, someone, [someone._replace(owner=owner) for owner in OWNERS], lambda probe: probe.by_owner)

    @pytest.mark.parametrize("method", sorted(PROBES))
    def test_those_who_may(self, method: str) -> None:
        for probe in self._probes(method):
            for owner in ("alice", None):
                someone = self.victim()._replace(owner=owner)
                before = self.snapshot(someone.key)
                answer = probe.call(self, someone)
                assert answer != probe.answer or method in {"release_lease", "delete_session"}
                if method == "release_lease":
                    assert self.append(someone.key, "unleased").first_seq == len(self.victim_log) + 1
                elif method == "delete_session":
                    assert self.snapshot(someone.key) is None is not before
                if method != "delete_session":
                    self.store.delete_session(someone.key)

    def _probes(self, method: str) -> list[Probe]:
        return [probe for probe in PROBES[method] if probe.capability is None or probe.capability in self.store.capabilities]

    def _try(self, method: str, victim: Someone, strangers: list[Someone], applies: Callable[[Probe], bool]) -> None:
        before = self._everything(victim)
        for probe in filter(applies, self._probes(method)):
            for stranger in strangers:
                self._intrude(probe, stranger)
                assert self._everything(victim) == before, f"{method} by {stranger} changed the session"
        assert self.store.renew_lease(victim.lease, _LEASE_S).fence == victim.fence, f"{method} took the lease away"

    def _intrude(self, probe: Probe, stranger: Someone) -> None:
        if isinstance(probe.answer, type | tuple):
            with pytest.raises(probe.answer) as caught:
                probe.call(self, stranger)
            told = f"{caught.value} {caught.value.hint} {caught.value.details}"
            assert "alice" not in told or stranger.owner == "alice", "the error tells whose session it is"
            assert not any(word in told for word in ("secret", "worker", "support")), "the error tells what is in the session"
        else:
            assert probe.call(self, stranger) == probe.answer

    def _everything(self, victim: Someone) -> object:
        places = [self.store.follower_seq(name, victim.key) for name in ("search", "f")]
        return self.snapshot(victim.key), places, self.store.read_part(victim.key, _PART[0])
