"""The PostgreSQL server that tests start for themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import skip_or_fail
from turnfold.testing.servers.postgres import PostgresServer, binaries


@pytest.fixture(autouse=True)
def _installed() -> None:
    if binaries() is None:
        skip_or_fail("no PostgreSQL server is installed")


def test_what_was_committed_survives_a_kill_and_a_restart(tmp_path: Path) -> None:
    with PostgresServer(tmp_path / "server") as server:
        server.execute("CREATE TABLE t(i int)")
        server.execute("INSERT INTO t VALUES (1)")
        server.kill()
        server.start()
        server.execute("INSERT INTO t VALUES (2)")
        server.restart()
        assert server.execute("SELECT i FROM t ORDER BY i").split() == ["1", "2"]


def test_a_standby_takes_over(tmp_path: Path) -> None:
    with PostgresServer(tmp_path / "primary") as primary:
        primary.execute("CREATE TABLE t(i int)")
        with primary.standby(tmp_path / "standby") as standby:
            assert standby.execute("SELECT pg_is_in_recovery()") == "t"
            primary.kill()
            standby.promote()
            standby.execute("INSERT INTO t VALUES (1)")
            assert standby.execute("SELECT count(*) FROM t") == "1"
