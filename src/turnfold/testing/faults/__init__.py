"""Faults as a test suite: what a store keeps when processes, servers, networks, disks and clocks fail.

The whole test file of a store::

    from turnfold.testing.faults import FaultCases, FolderPlace


    class TestMyStore(FaultCases):
        def make_place(self, folder):
            return FolderPlace(folder, "sqlite")

A ``Place`` says where the store is and how it can be broken; what it cannot do is skipped by name. After each fault ``Ledger.check`` looks whether
every acknowledged event is there exactly once and every other one wholly or not at all. Needs pytest; the tools (``Proxy``, ``SmallDisk``,
``Ledger``, ``Writer``) work without it. Long cases have the markers ``slow``, ``crash`` and ``load``: register them in your pytest settings.
"""

from __future__ import annotations

from turnfold.testing.faults.cases.answers import AnswerCases
from turnfold.testing.faults.cases.clocks import ClockCases
from turnfold.testing.faults.cases.disk import DiskCases, ReadOnlyCases
from turnfold.testing.faults.cases.killing import FailoverCases, KilledClientCases, KilledServerCases
from turnfold.testing.faults.cases.many import ManyWriterCases
from turnfold.testing.faults.cases.network import NetworkCases
from turnfold.testing.faults.children import Writer
from turnfold.testing.faults.disk import SmallDisk
from turnfold.testing.faults.http_proxy import Answer, HttpProxy
from turnfold.testing.faults.ledger import Found, Ledger, Offer
from turnfold.testing.faults.place import CannotBreak, FolderPlace, MemoryPlace, Place
from turnfold.testing.faults.proxy import Fault, Proxy
from turnfold.testing.faults.servers import PostgresPlace, RedisPlace, S3Place, StandbyPlace


class FaultCases(
    KilledClientCases,
    KilledServerCases,
    FailoverCases,
    NetworkCases,
    AnswerCases,
    DiskCases,
    ReadOnlyCases,
    ClockCases,
    ManyWriterCases,
):
    """All themes."""


__all__ = [
    "Answer",
    "CannotBreak",
    "Fault",
    "FaultCases",
    "FolderPlace",
    "Found",
    "HttpProxy",
    "Ledger",
    "MemoryPlace",
    "Offer",
    "Place",
    "PostgresPlace",
    "Proxy",
    "RedisPlace",
    "S3Place",
    "SmallDisk",
    "StandbyPlace",
    "Writer",
]
