"""Clients and servers that die in mid-commit."""

from __future__ import annotations

import random
import time

import msgspec
import pytest

from turnfold.client import Client
from turnfold.errors import LeaseLost
from turnfold.model.session import SessionKey
from turnfold.testing.faults.cases.base import RETRY_S, FaultBase
from turnfold.testing.writers import TENANT, insist

ROUNDS = 3
MANY_ROUNDS = 15
SERVER_ROUNDS = 6
LEASE_S = 600.0


class KilledClientCases(FaultBase):
    """A process that writes is killed."""

    def test_killed_client(self) -> None:
        """Some victims."""
        self._kill_some(ROUNDS)

    @pytest.mark.crash
    @pytest.mark.timeout(600)
    def test_killed_client_many_times(self) -> None:
        """Many of them."""
        self._kill_some(MANY_ROUNDS)

    def _kill_some(self, rounds: int) -> None:
        """Kill writers at random moments, while another one goes on; all it was told is there, and so is what they were told."""
        self.need_processes()
        chance = random.Random(rounds)
        survivor = self.writer("survivor", count=20 * rounds, retry_s=RETRY_S)
        for number in range(rounds):
            victim = self.writer(f"victim{number}")
            victim.wait_for(1)
            time.sleep(chance.uniform(0, 0.03))
            victim.kill()
        survivor.finish(RETRY_S + rounds)
        found = self.check()
        assert found.acknowledged_count >= 21 * rounds
        assert found.unknown_there_count + found.unknown_absent_count == rounds, "each victim had one commit on its way"


class KilledServerCases(FaultBase):
    """The server dies, or is restarted, while processes write."""

    def test_killed_server(self) -> None:
        """SIGKILL to all its processes."""
        self._bring_down_once(kill=True)

    def test_restarted_server(self) -> None:
        """Stopped politely, and started again."""
        self._bring_down_once(kill=False)

    def test_lease_outlives_the_server(self) -> None:
        """A lease that was given is held after the server's death, with its fence."""
        server = self.can(lambda: self.place.server)
        store = self.opened()
        key = SessionKey(TENANT, self.session_id)
        self.ledger.write(store, self.offer(0))
        spent = store.acquire_lease(key, "earlier", LEASE_S)
        store.release_lease(spent)
        lease = store.acquire_lease(key, "holder", LEASE_S)
        server.kill()
        server.start()
        heir = self.opened()
        for token in (None, spent.fence):
            with pytest.raises(LeaseLost):
                heir.commit(msgspec.structs.replace(self.offer(1).commit(), lease=token))
        with pytest.raises(LeaseLost):
            heir.acquire_lease(key, "another", LEASE_S)
        offer = self.offer(1)
        done = insist(store, msgspec.structs.replace(self.ledger.offer(offer), lease=lease.fence), RETRY_S)
        self.ledger.acknowledge(offer, done.first_seq, done.last_seq)
        store.release_lease(store.renew_lease(lease, LEASE_S))
        self.check()

    def test_follower_outlives_the_server(self) -> None:
        """Who follows gets each event once, though the server was away and the events came from elsewhere."""
        server = self.can(lambda: self.place.server)
        self.ledger.write(self.opened(), self.offer(0))
        seen: list[int] = []
        with Client(self.opened(), close_store=False) as client:
            follower = self.beside(lambda: self.follow(client, seen))
            writer = self.writer("w", count=60, retry_s=RETRY_S)
            writer.wait_for(10)
            server.kill()
            server.start()
            writer.finish(RETRY_S)
            self.insist(self.opened(), self.offer(1))
            client.open(self.session_id).close()
            follower.join(RETRY_S)
            assert not follower.is_alive(), f"the follower is at {seen[-1:]}"
        assert seen == list(range(1, len(seen) + 1))
        assert seen[-1] == self.opened().last_seqs([SessionKey(TENANT, self.session_id)])[SessionKey(TENANT, self.session_id)][1]

    @pytest.mark.crash
    @pytest.mark.timeout(600)
    def test_killed_server_many_times(self) -> None:
        """Several times under four writers."""
        server = self.can(lambda: self.place.server)
        chance = random.Random(8)
        writers = [self.writer(name, retry_s=RETRY_S) for name in "abcd"]
        for writer in writers:
            writer.wait_ready()
        for number in range(SERVER_ROUNDS):
            writers[number % 4].wait_for(10 * number + 1, RETRY_S)
            time.sleep(chance.uniform(0, 0.05))
            server.kill()
            server.start()
        for writer in writers:
            writer.kill()
        self.check()

    def _bring_down_once(self, *, kill: bool) -> None:
        server = self.can(lambda: self.place.server)
        mine = self.opened()
        self.ledger.write(mine, self.offer(0))
        writers = [self.writer(name, count=60, retry_s=RETRY_S) for name in "ab"]
        for writer in writers:
            writer.wait_for(5)
        if kill:
            server.kill()
        else:
            server.stop()
        error = self.attempt(mine, self.offer(1))
        assert isinstance(error, Exception), "the server is away, and a commit was taken"
        server.start()
        assert self.insist(mine, self.offer(1)).first_seq, "a store that was open does not come back"
        for writer in writers:
            writer.finish(RETRY_S)
        found = self.check()
        assert found.acknowledged_count == 122
        assert (found.unknown_there_count, found.unknown_absent_count) == (0, 0)


class FailoverCases(FaultBase):
    """A standby takes over from a server that dies."""

    @pytest.mark.timeout(180)
    def test_fail_over(self) -> None:
        """What was acknowledged is on the standby; writers that insist go on there."""
        if not self.place.has_standby:
            pytest.skip(f"{self.place.name} has no standby")
        mine = self.opened()
        self.ledger.write(mine, self.offer(0))
        writers = [self.writer(name, count=60, retry_s=RETRY_S) for name in "ab"]
        for writer in writers:
            writer.wait_for(10)
        self.place.fail_over()
        self.insist(mine, self.offer(1))
        for writer in writers:
            writer.finish(RETRY_S)
        assert self.check().acknowledged_count == 122
