"""The contract of stores as a test suite: a store is done when it is green here.

A new store's whole test file::

    from turnfold.testing.contract import StoreContract


    class TestMyStore(StoreContract):
        def make_store(self, clock):
            return MyStore(f"my://{self.tmp_path}", clock=clock)

``make_store`` is called once per test with a fake clock; ``self.tmp_path`` is a fresh folder. Needs pytest. After each test the suite reads every
session that the test wrote and compares its head with the fold of its log, so a case need not say so. The themes are in modules of their own
and may be used one by one while a store grows. Cases of a capability (``turnfold.ports.store``) that the store does not claim are skipped.
"""

from __future__ import annotations

from turnfold.testing.contract.appending import AppendCases
from turnfold.testing.contract.artifacts import ArtifactContract
from turnfold.testing.contract.base import ContractBase
from turnfold.testing.contract.erasing import RangeCases, RedactionCases
from turnfold.testing.contract.expiry import ExpiryCases
from turnfold.testing.contract.finding import ListCases, SearchCases
from turnfold.testing.contract.following import EndCases, FollowerCases, SealCases, WatchCases
from turnfold.testing.contract.heads import AlsoCases, EntryCases, PartCases
from turnfold.testing.contract.idempotency import IdempotencyCases
from turnfold.testing.contract.isolation import IsolationCases
from turnfold.testing.contract.leases import LeaseCases
from turnfold.testing.contract.reading import BranchCases, ReadCases, VisibilityCases
from turnfold.testing.contract.refusals import RefusalCases
from turnfold.testing.contract.scoping import IncarnationCases, NameCases, ScopeCases
from turnfold.testing.contract.statuses import LifecycleCases, LimitCases, RunCases
from turnfold.testing.contract.upkeep import CompactCases, MigrateCases
from turnfold.testing.contract.verbatim import ContinuedCases, VerbatimCases
from turnfold.testing.contract.views import ViewCases


class StoreContract(
    AppendCases,
    IdempotencyCases,
    RefusalCases,
    LeaseCases,
    LifecycleCases,
    LimitCases,
    RunCases,
    ExpiryCases,
    ReadCases,
    BranchCases,
    VisibilityCases,
    EntryCases,
    PartCases,
    AlsoCases,
    ScopeCases,
    IsolationCases,
    IncarnationCases,
    NameCases,
    RedactionCases,
    RangeCases,
    VerbatimCases,
    ContinuedCases,
    FollowerCases,
    SealCases,
    WatchCases,
    EndCases,
    ListCases,
    SearchCases,
    ViewCases,
    CompactCases,
    MigrateCases,
):
    """All themes."""


__all__ = ["ArtifactContract", "ContractBase", "StoreContract"]
