"""Servers on a disk that is full: what they acknowledged before is there when there is room again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import turnfold as tf
from tests.support import skip_or_fail
from turnfold.errors import StoreUnavailable, TurnfoldError
from turnfold.ports.store import Store
from turnfold.testing.faults import Ledger, Offer, SmallDisk
from turnfold.testing.servers.base import Server
from turnfold.testing.servers.postgres import PostgresServer, binaries
from turnfold.testing.servers.redis import RedisServer, executable
from turnfold.testing.writers import insist

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]

MIB = 1024 * 1024
ATTEMPTS = 3_000


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a server's own user can reach; pytest's are its user's alone."""
    with tempfile.TemporaryDirectory(prefix="turnfold-full-") as name:
        Path(name).chmod(0o755)
        yield Path(name) / "disk"


def mounted(folder: Path, size_bytes: int) -> SmallDisk:
    try:
        return SmallDisk(folder, size_bytes)
    except OSError as error:
        pytest.skip(f"no small disk: {error}")


def refusal(store: Store, ledger: Ledger, offer: Offer) -> TurnfoldError | None:
    try:
        ledger.write(store, offer)
    except TurnfoldError as error:
        return error
    return None


def write_until_refused(store: Store, ledger: Ledger, first: int) -> int:
    for number in range(first, first + ATTEMPTS):
        error = refusal(store, ledger, Offer("full", "w", number))
        if error is not None:
            assert (error.retryable, error.fault) == (True, "store"), repr(error)
            return number
    raise AssertionError("the disk is full, and everything was taken")


def survive(server: Server, disk: SmallDisk, options: str, *, press: str = "") -> None:
    """Fill the disk under a server that is written to; make room; see that what was acknowledged is there."""
    ledger = Ledger()
    with server, tf.connect(server.url + options, upkeep=False) as client:
        for number in range(10):
            ledger.write(client.store, Offer("full", "w", number))
        filler = disk.fill()
        if press and isinstance(server, PostgresServer):
            with suppress(StoreUnavailable):
                server.execute(press)
        refused = write_until_refused(client.store, ledger, 10)
        filler.unlink()
        server.kill()  # most are dead by then
        server.start()
        offer = Offer("full", "w", refused)
        done = insist(client.store, ledger.offer(offer), 60)
        ledger.acknowledge(offer, done.first_seq, done.last_seq)
        assert ledger.check(client.store).acknowledged_count == refused + 1


def test_redis(folder: Path) -> None:
    if executable() is None:
        skip_or_fail("no redis-server is installed")
    with mounted(folder, 6 * MIB) as disk:
        survive(RedisServer(folder / "redis"), disk, "?wait_s=2&answer_s=3")


def test_postgres(folder: Path) -> None:
    if binaries() is None:
        skip_or_fail("no PostgreSQL server is installed")
    with mounted(folder, 160 * MIB) as disk:
        server = PostgresServer(folder / "postgres", settings={"min_wal_size": "32MB", "max_wal_size": "48MB", "wal_recycle": "off"})
        survive(server, disk, "?reconnect_s=2&statement_timeout_s=5", press="SELECT pg_switch_wal()")
