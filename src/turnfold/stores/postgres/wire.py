"""One connection, and round trips on it: any number of statements go out together, and their answers come back together.

Theory of operation. What is sent between two syncs is one transaction, whether or not it says BEGIN: so ``set_config(…, true)`` in front of
a statement holds for it, an error undoes all of it, and there is one round trip. Statements are prepared when a connection first runs them.
The driver's connection is used for connecting and its protocol layer (``psycopg.pq``) for talking: its cursors cost 10 µs per round trip
more. The wait for an answer is ours, so that it has an end even where the network says nothing, and can be interrupted.

Through PgBouncer nothing may outlive a transaction: statements are sent whole, and the search path goes in front of each round trip.
"""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, LiteralString

from turnfold.errors import (
    InvalidInput,
    MissingExtra,
    PermissionDenied,
    StoreCorrupt,
    StoreUnavailable,
    TurnfoldError,
    missing_extra,
)
from turnfold.limits import POSTGRES_ANSWER_S
from turnfold.stores.postgres.options import Options
from turnfold.stores.postgres.values import BINARY_FORMAT, Parameter, name, parameters

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGresult

try:
    from psycopg import Error as DriverError
    from psycopg import OperationalError, pq
    from psycopg import connect as driver_connect
    from psycopg.adapt import Transformer
except ImportError as error:  # the registry's caller sees the hint, whoever imports this module by name the reason
    raise missing_extra("postgres", "psycopg") from error

Step = tuple[LiteralString, Sequence[Any]]
"""A statement with $1, $2 … and its values."""

STATEMENTS_MAX: Final = 500
"""Prepared statements of one connection."""
UNIQUE_VIOLATION: Final = "23505"
REFUSED: Final = "TF001"
"""Raised by our own functions: a check did not hold."""
UNDEFINED_TABLE: Final = "42P01"
UNDEFINED_FUNCTION: Final = "42883"
_READ_ONLY: Final = "25006"
_NO_PRIVILEGE: Final = "42501"
_GONE: Final = ("08", "57P")
"""Classes of states after which the connection is of no use: connection exceptions, and shutdowns of the server."""
_TRY_AGAIN: Final = ("40", "53", "55", "57", "58")
"""Deadlocks and the like, resources, locks, cancellation, the system."""
_CORRUPT: Final = "XX"

SET_TENANT: Final = "SELECT set_config('turnfold.tenant', $1, true)"
_SET_PATH: Final = "SELECT set_config('search_path', $1, true)"
BEGIN_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"


class Refused(Exception):
    """The server answered a statement with an error; the connection is fine, and nothing of the round trip happened."""

    def __init__(self, state: str, text: str) -> None:
        """Keep the SQLSTATE and the message."""
        super().__init__(text)
        self.state = state


class Lost(Exception):
    """The connection broke, or cannot be made. ``sent``: something may have been done."""

    def __init__(self, text: str, *, sent: bool) -> None:
        """Keep why."""
        super().__init__(text)
        self.sent = sent


def translate(where: str, error: Refused | Lost) -> TurnfoldError:
    """Return the error that a caller gets: what, where, what to do."""
    if isinstance(error, Lost):
        return StoreUnavailable(f"{where}: {error}", hint="is the server running, and reachable from here?", path=where)
    state = error.state
    if state == _NO_PRIVILEGE:
        return PermissionDenied(f"{where}: {error}", hint="the owner of the schema grants it: SELECT grant_to('<role>')", path=where)
    if state.startswith("22") or state in {"54000", "21000"}:
        return InvalidInput(f"{where}: a value cannot be stored: {error}", path=where)
    if state.startswith(_CORRUPT):
        return StoreCorrupt(f"{where}: {error}", hint="look at the server's log; restore from a backup", path=where)
    if state == _READ_ONLY:
        return StoreUnavailable(f"{where}: {error}", hint="the server is a standby, or was made read-only", path=where)
    hint = "try again" if state.startswith(_TRY_AGAIN) else f"SQLSTATE {state}"
    return StoreUnavailable(f"{where}: {error}", hint=hint, path=where)


class Wire:
    """A connection in use by one thread at a time."""

    __slots__ = ("_both_ways", "_path", "_poll", "_prepared", "_renamed", "_together", "born_pid", "connection", "deadline_s", "pg")

    def __init__(self, options: Options, server: str | None = None) -> None:
        """Connect.

        Args:
            options: Of the store.
            server: Another URL than the options' (a direct one, for LISTEN).

        Raises:
            Lost: Nobody answers, or we are not let in.
        """
        bouncer = options.pgbouncer and server is None
        settings = {"client_encoding": "utf8", "connect_timeout": str(options.connect_timeout_s)}
        if not bouncer:
            settings["options"] = _startup(options)
        settings |= {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
        settings["tcp_user_timeout"] = str(int((options.statement_timeout_s + POSTGRES_ANSWER_S) * 1_000))
        if "application_name=" not in options.server:
            settings["application_name"] = "turnfold"
        try:
            self.connection: psycopg.Connection[Any] = driver_connect(server or options.server, autocommit=True, **settings)  # type: ignore[arg-type]
        except DriverError as error:
            raise Lost(_line(str(error)), sent=False) from error
        self.pg = self.connection.pgconn
        self._prepared: dict[str, bytes] | None = None if bouncer else {}
        self._renamed = 0
        self._path = name(options.schema) if bouncer else None
        self.deadline_s = options.statement_timeout_s + POSTGRES_ANSWER_S
        """How long an answer is waited for."""
        self._poll = select.poll()
        self._poll.register(self.pg.socket, select.POLLIN)
        self._both_ways = select.poll()
        self._both_ways.register(self.pg.socket, select.POLLIN | select.POLLOUT)
        self._together = False
        self.born_pid = os.getpid()

    def close(self) -> None:
        """Let go of it."""
        self.connection.close()

    def is_idle(self) -> bool:
        """Whether no transaction is open on it."""
        return self.pg.transaction_status == pq.TransactionStatus.IDLE

    def is_worn(self) -> bool:
        """Whether the server keeps so many statements for it that a new connection is better: lists have their limits in their text."""
        return self._prepared is not None and len(self._prepared) > STATEMENTS_MAX

    def is_broken(self) -> bool:
        """Whether it is of no use: closed, or the server said something unasked. That is good-bye, or else so rare that connecting anew is cheap."""
        return self.pg.status != pq.ConnStatus.OK or bool(self._poll.poll(0))

    # ---- round trips -----------------------------------------------------------------------------------------------------------------
    def ask(self, steps: Sequence[Step]) -> list[list[tuple[Any, ...]]]:
        """Run statements in one round trip, and one transaction unless they say otherwise; return the rows of each.

        Raises:
            Refused: The server refused one; nothing happened. A transaction begun by BEGIN before is to be rolled back.
            Lost: The connection broke.
        """
        return [self.rows(result) for result in self.run([(sql, *parameters(values)) for sql, values in steps])]

    def read(self, tenant: str, steps: Sequence[Step]) -> list[list[tuple[Any, ...]]]:
        """Run reading statements for a tenant on one snapshot."""
        return self.ask([(BEGIN_READ, ()), (SET_TENANT, (tenant,)), *steps, (COMMIT, ())])[2:-1]

    def rows(self, result: PGresult) -> list[tuple[Any, ...]]:
        """Return the rows of a result as Python values."""
        count = result.ntuples
        if not count:
            return []
        transformer = Transformer(self.connection)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, count, tuple)

    def run(self, calls: Sequence[tuple[str, Sequence[Parameter], Sequence[int]]]) -> list[PGresult]:
        """Send statements with wire values and return their results, in one round trip."""
        if self._path is None and len(calls) == 1:
            return [self.call(*calls[0])]
        pg = self.pg
        skip: list[bool] = []
        sent = False
        try:
            if not self._together:
                pg.enter_pipeline_mode()
                self._together = True
            path_set = self._path is None
            for sql, values, formats in calls:
                if not path_set and not sql.startswith("BEGIN"):  # behind BEGIN: an isolation level comes before everything else
                    pg.send_query_params(_SET_PATH.encode(), (self._path,), param_formats=(0,), result_format=BINARY_FORMAT)
                    skip.append(True)
                    path_set = True
                if self._prepared is None:
                    pg.send_query_params(sql.encode(), values, param_formats=formats, result_format=BINARY_FORMAT)
                else:
                    key = self._prepared.get(sql)
                    if key is None:
                        key = b"t%d_%d" % (self._renamed, len(self._prepared))
                        pg.send_prepare(key, sql.encode())
                        self._prepared[sql] = key
                        skip.append(True)
                    pg.send_query_prepared(key, values, formats, BINARY_FORMAT)
                skip.append(False)
            pg.pipeline_sync()
            sent = True
            results = self._answers()
        except DriverError as error:
            raise self._lost(error, sent=sent) from error
        for result in results:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                if self._prepared is not None and True in skip:
                    self._prepared.clear()  # which of them were prepared is not worth finding out: they get new names
                    self._rename()
                raise self._refused(result)
        return [result for result, left_out in zip(results, skip, strict=True) if not left_out]

    def call(self, sql: str, values: Sequence[Parameter], formats: Sequence[int]) -> PGresult:
        """Run one statement, in one round trip and a transaction of its own."""
        prepared = self._prepared
        assert prepared is not None, "through PgBouncer every round trip sets the search path"
        pg = self.pg
        try:
            if self._together:
                pg.exit_pipeline_mode()
                self._together = False
            key = prepared.get(sql)
            if key is None:
                key = b"t%d_%d" % (self._renamed, len(prepared))
                pg.send_prepare(key, sql.encode())
                self._one(self._answer())
                prepared[sql] = key
            pg.send_query_prepared(key, values, formats, BINARY_FORMAT)
            return self._one(self._answer())
        except DriverError as error:
            raise self._lost(error, sent=True) from error

    def script(self, sql: str) -> None:
        """Run statements without values or results, of ours: a migration.

        Raises:
            Refused: The server refused one; a transaction around them is to be rolled back.
        """
        try:
            if self._together:
                self.pg.exit_pipeline_mode()
                self._together = False
            self._one(self.pg.exec_(sql.encode()))
        except DriverError as error:
            raise self._lost(error, sent=True) from error

    def notified(self) -> set[str]:
        """Take in what LISTEN brought: the payloads.

        Raises:
            Lost: The connection broke.
        """
        found: set[str] = set()
        try:
            self.pg.consume_input()
            while (notice := self.pg.notifies()) is not None:
                found.add(notice.extra.decode())
        except DriverError as error:
            raise self._lost(error, sent=False) from error
        return found

    def _rename(self) -> None:
        assert self._prepared is not None
        self.pg.exit_pipeline_mode()
        self._together = False
        self._renamed += 1  # in a transaction that failed, nothing can be forgotten: those names go with the connection
        if self.is_idle():
            self.pg.exec_(b"DEALLOCATE ALL")

    def _one(self, result: PGresult) -> PGresult:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise self._refused(result)
        return result

    def _answer(self) -> PGresult:
        """Wait for the result of the one statement that was sent."""
        pg = self.pg
        self._flush()
        self._wait()
        result = pg.get_result()
        assert result is not None, "a statement has a result"
        while True:
            self._wait()
            if pg.get_result() is None:
                return result

    def _answers(self) -> list[PGresult]:
        """Wait for the results of everything up to the sync."""
        pg = self.pg
        self._flush()
        out: list[PGresult] = []
        while True:
            self._wait()
            result = pg.get_result()
            if result is None:  # between two statements
                continue
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                return out
            out.append(result)

    def _flush(self) -> None:
        """Send everything; answers are taken in meanwhile, or both sides would wait for each other to read."""
        while self.pg.flush():
            for _, ready in self._look(self._both_ways):
                if ready & select.POLLIN:
                    self.pg.consume_input()

    def _wait(self) -> None:
        """Wait until a result can be taken without waiting."""
        pg = self.pg
        while pg.is_busy():
            self._look(self._poll)
            pg.consume_input()

    def _look(self, poll: select.poll) -> list[tuple[int, int]]:
        ready = poll.poll(self.deadline_s * 1_000)
        if not ready:
            raise OperationalError(f"no answer within {self.deadline_s:.0f} s")
        return ready

    # ---- what went wrong -------------------------------------------------------------------------------------------------------------
    def _refused(self, result: PGresult) -> Refused | Lost:
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        text = _line((result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode(errors="replace"))
        if not state or state.startswith(_GONE) or state == _READ_ONLY or self.pg.status != pq.ConnStatus.OK:
            self.close()
            return Lost(text or _line(self.pg.get_error_message()), sent=state != _READ_ONLY)
        return Refused(state, text)

    def _lost(self, error: Exception, *, sent: bool) -> Lost:
        self.close()
        return Lost(_line(str(error)), sent=sent)


def _startup(options: Options) -> str:
    """The settings that a connection of ours begins with."""
    timeout_ms = int(options.statement_timeout_s * 1_000)
    return (
        f"-c search_path={options.schema} -c statement_timeout={timeout_ms} -c idle_in_transaction_session_timeout={timeout_ms} "
        "-c default_transaction_isolation=read\\ committed -c plan_cache_mode=force_generic_plan -c jit=off"
    )


def _line(text: str) -> str:
    """The first line of a message; the driver's go on with hints of its own."""
    return text.strip().partition("\n")[0]


__all__ = ["Lost", "MissingExtra", "Refused", "Step", "Wire", "translate"]
