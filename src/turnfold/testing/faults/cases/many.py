"""Eight processes and one session: none lost, none doubled, no gap; the same while the server goes away twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from turnfold.model.session import SessionKey
from turnfold.testing.faults.cases.base import FaultBase
from turnfold.testing.faults.children import Writer
from turnfold.testing.faults.ledger import Offer
from turnfold.testing.writers import TENANT

PROCESSES = 8
APPENDS = 500
WAIT_S = 600.0


class ManyWriterCases(FaultBase):
    """Plain appends never meet a conflict."""

    @pytest.mark.load
    @pytest.mark.timeout(1800)
    def test_many_processes(self) -> None:
        """All write at once."""
        self.need_processes()
        self._write_all(lambda _: None)

    @pytest.mark.load
    @pytest.mark.timeout(1800)
    def test_many_processes_through_a_restart(self) -> None:
        """The server is killed when a fifth is written, and restarted when three fifths are."""
        server = self.can(lambda: self.place.server)

        def bring_down(writers: list[Writer]) -> None:
            writers[0].wait_for(APPENDS // 5, WAIT_S)
            server.kill()
            server.start()
            writers[0].wait_for(APPENDS * 3 // 5, WAIT_S)
            server.restart()

        self._write_all(bring_down)

    def _write_all(self, meanwhile: Callable[[list[Writer]], None]) -> None:
        names = [f"writer{number}" for number in range(PROCESSES)]
        writers = [self.writer(name, count=APPENDS, single=True, retry_s=WAIT_S) for name in names]
        meanwhile(writers)
        for writer in writers:
            writer.finish(WAIT_S)
        store = self.opened()
        found = self.check(store)
        assert (found.acknowledged_count, found.event_count) == (PROCESSES * APPENDS, PROCESSES * APPENDS)
        info = store.get_session(SessionKey(TENANT, self.session_id)).info
        assert (info.last_seq, info.message_count) == (PROCESSES * APPENDS + 1, PROCESSES * APPENDS)
        for name in names:
            places = [self.ledger.offers[Offer(self.session_id, name, number, single=True)] for number in range(APPENDS)]
            assert places == sorted(places, key=lambda place: place or (0, 0)), f"{name} did not keep its own order"
