"""Talking to the servers: connections, many calls in one exchange, redirections of a cluster, patience while a server is away.

Theory of operation. A call is one command, packed once, with the key that says which node it goes to. ``run`` sends all calls of a node in one
write and reads their answers; an answer that is an error is handed back as that. What cannot be answered now (no connection, loading, a
cluster without a master for that slot, a replica after a failover) is sent again, with growing pauses, for ``wait_s`` at most. That a call was
executed although its answer was lost cannot be told; so every call that writes is one that may be repeated: commits are recognised by their
events' ids, everything else compares before it writes.

redis-py makes, checks and closes connections and reads answers; its clients, which would cost twice the time of an exchange on top, are not
used (see the decision on the Redis store for the measurement).
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from turnfold.errors import InvalidInput, StoreClosed, StoreCorrupt, StoreUnavailable, TurnfoldError, missing_extra
from turnfold.stores.redis.address import Address, Node

try:
    import redis
    from redis import exceptions as refusals
    from redis.backoff import NoBackoff
    from redis.crc import key_slot
    from redis.retry import Retry
except ImportError as error:
    raise missing_extra("redis", "redis") from error

PAUSE_S_MIN: Final = 0.01
PAUSE_S_MAX: Final = 0.5
CONNECT_S_MAX: Final = 5.0
IDLE_LINKS_MAX: Final = 64
REDIRECTIONS_MAX: Final = 16
LATER = (
    refusals.BusyLoadingError,
    refusals.ClusterDownError,
    refusals.TryAgainError,
    refusals.MasterDownError,
    refusals.ReadOnlyError,
)
_REFUSALS: Final[tuple[tuple[str, type[TurnfoldError], str, str], ...]] = (
    ("NOAUTH", InvalidInput, "asks for a password", "redis://user:password@host:port/db"),
    ("WRONGPASS", InvalidInput, "refuses the user or password", "redis://user:password@host:port/db"),
    ("DB index", InvalidInput, "has no such database", "the number after the port is the database; most servers have 0 to 15"),
    ("NOPERM", StoreUnavailable, "does not allow it", "give the user the commands that the how-to on Redis lists"),
    ("no permissions", StoreUnavailable, "does not allow it", "give the user the commands that the how-to on Redis lists"),
    ("WRONGTYPE", StoreCorrupt, "holds something else under the keys of this store", "choose another prefix: ?prefix=…"),
    ("used memory >", StoreUnavailable, "is out of memory and takes no more writes", "raise maxmemory or delete sessions"),
    ("MISCONF", StoreUnavailable, "cannot write to its disk and takes no more writes", "look at the server's log and disk"),
)
"""What a refusal holds, and what it means."""
_ASKING: Final = b"*1\r\n$6\r\nASKING\r\n"


class Call:
    """One command: its bytes, the key that routes it, and, for a script, what to send where the server does not know it."""

    __slots__ = ("data", "fallback", "key")

    def __init__(self, data: bytes, key: bytes, fallback: Script | None = None) -> None:
        self.data = data
        self.key = key
        self.fallback = fallback


def pack(*words: bytes) -> bytes:
    """Return a command in the protocol's form."""
    return b"".join([b"*%d\r\n" % len(words), *[b"$%d\r\n%b\r\n" % (len(word), word) for word in words]])


def command(*words: bytes) -> Call:
    """Return a plain command whose first argument is the key."""
    return Call(pack(*words), words[1])


class Script:
    """A script with its digest."""

    __slots__ = ("_head", "sha", "text")

    def __init__(self, text: bytes) -> None:
        from hashlib import sha1  # the protocol's choice: a name, not a protection

        self.text = text
        self.sha = sha1(text, usedforsecurity=False).hexdigest().encode()
        self._head = b"$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % self.sha

    def call(self, keys: Sequence[bytes], *arguments: bytes) -> Call:
        """Return a call of the script by its digest."""
        body = [b"$%d\r\n%b\r\n" % (len(word), word) for word in (b"%d" % len(keys), *keys, *arguments)]
        return Call(b"*%d\r\n%b%b" % (2 + len(body), self._head, b"".join(body)), keys[0], self)

    def whole(self, data: bytes) -> bytes:
        """Return the same call with the script's text, which makes the server know it."""
        head, _, rest = data.partition(self._head)
        return b"%b$4\r\nEVAL\r\n$%d\r\n%b\r\n%b" % (head, len(self.text), self.text, rest)


class _Node:
    """The connections to one server; the last one given back is the first one taken."""

    def __init__(self, node: Node, pool: redis.ConnectionPool) -> None:
        self.node = node
        self._pool = pool
        self._free: list[Any] = []
        self.idle_max = IDLE_LINKS_MAX

    def exchange(self, data: bytes, count: int) -> list[Any]:
        """Send what is packed and return that many answers; refusals are among them."""
        link = self.take()
        answers: list[Any] = []
        try:
            try:
                link.send_packed_command([data], check_health=False)
            except refusals.ResponseError as refusal:  # of connecting: the database, for example
                link.disconnect()
                return [refusal] * count
            for _ in range(count):
                try:
                    answers.append(link.read_response())
                except refusals.ResponseError as refusal:
                    answers.append(refusal)
        except BaseException:
            link.disconnect()
            self.drop_free()  # they are as old as this one, and most often as dead
            raise
        self.give(link)
        return answers

    def take(self) -> Any:
        """Return a connection; it is connected when it is first used."""
        try:
            return self._free.pop()
        except IndexError:
            return self._pool.connection_class(**self._pool.connection_kwargs)

    def give(self, link: Any) -> None:
        """Take a connection back."""
        if len(self._free) < self.idle_max:
            self._free.append(link)
        else:
            link.disconnect()

    def drop_free(self) -> None:
        """Close the connections that nobody uses."""
        while self._free:
            try:
                self._free.pop().disconnect()
            except IndexError:
                return


class Links:
    """The servers of one store."""

    def __init__(self, address: Address) -> None:
        """Bind the address; nothing is connected yet."""
        self.address = address
        self._lock = threading.Lock()
        self._closed = False
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._nodes: dict[Node, _Node] = {}
        self._slots: list[Node] | None = None
        self._first = self._at(self.address.nodes[0])

    # ---- calls -----------------------------------------------------------------------------------------------------------------------
    def check_open(self) -> None:
        """Raise StoreClosed after ``close``."""
        if self._closed:
            raise StoreClosed(f"the store {self.address.name} is closed")

    def one(self, call: Call) -> Any:
        """Make one call and return its answer.

        Raises:
            StoreUnavailable: The server refused it, or did not answer in time.
        """
        answer = self.run((call,))[0]
        if isinstance(answer, Exception):
            raise self.translated(answer) from answer
        return answer

    def all(self, calls: Sequence[Call]) -> list[Any]:
        """Make several calls, each on its own, and return their answers in order."""
        if not calls:
            return []
        answers = self.run(calls)
        for answer in answers:
            if isinstance(answer, Exception):
                raise self.translated(answer) from answer
        return answers

    def run(self, calls: Sequence[Call], *, wait_s: float | None = None) -> list[Any]:
        """Make several calls in one exchange per node and return their answers, refusals among them, in order."""
        self.check_open()
        if self._pid != os.getpid():  # a forked child must not write into its parent's connections
            self._reset()
        if not calls:
            return []
        if not self.address.is_cluster:
            try:
                answers = self._first.exchange(calls[0].data if len(calls) == 1 else b"".join([call.data for call in calls]), len(calls))
            except (refusals.ConnectionError, refusals.TimeoutError, OSError) as failure:
                return self._patiently(calls, [None] * len(calls), list(range(len(calls))), failure, wait_s)
            again = [at for at, answer in enumerate(answers) if isinstance(answer, (*LATER, refusals.NoScriptError))]
            return answers if not again else self._patiently(calls, answers, again, answers[again[0]], wait_s)
        return self._patiently(calls, [None] * len(calls), list(range(len(calls))), None, wait_s)

    def _patiently(
        self, calls: Sequence[Call], answers: list[Any], again: list[int], failure: Exception | None, wait_s: float | None
    ) -> list[Any]:
        """Send what is not answered, until it is or the time is over."""
        wait_s = self.address.wait_s if wait_s is None else wait_s
        end = time.monotonic() + wait_s
        pause_s = PAUSE_S_MIN
        redirections = 0
        while again:
            if failure is not None and not isinstance(failure, (refusals.NoScriptError, refusals.AskError)):
                if isinstance(failure, (refusals.AuthenticationError, refusals.AuthorizationError)) or time.monotonic() >= end:
                    raise self.translated(failure) from failure
                time.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - spreads those that come back, guards nothing
                pause_s = min(pause_s * 2, PAUSE_S_MAX)
                self._slots = None
            elif failure is not None:
                redirections += 1
                if redirections > REDIRECTIONS_MAX:
                    raise self.translated(failure) from failure
            again, failure = self._attempt(calls, answers, again)
        return answers

    def _attempt(self, calls: Sequence[Call], answers: list[Any], wanted: list[int]) -> tuple[list[int], Exception | None]:
        """Make those calls once; return which are to be made again, and why."""
        again: list[int] = []
        failure: Exception | None = None
        try:
            groups = self._by_node(calls, wanted)
        except (refusals.ConnectionError, refusals.TimeoutError, refusals.ResponseError, OSError) as error:
            return wanted, error
        for node, places in groups.items():
            parts = [self._data(calls[at], answers[at]) for at in places]
            try:
                got = node.exchange(b"".join(parts), len(places))
            except (refusals.ConnectionError, refusals.TimeoutError, OSError) as error:
                again += places
                failure = error
                continue
            for at, answer in zip(places, got, strict=True):
                answers[at] = self._asked(calls[at], answer) if type(answer) is refusals.AskError else answer
                if isinstance(answers[at], refusals.MovedError):
                    self._moved(calls[at], answers[at])
                elif not isinstance(answers[at], (*LATER, refusals.NoScriptError)):
                    continue
                again.append(at)
                if failure is None or isinstance(failure, (refusals.NoScriptError, refusals.AskError)):
                    failure = answers[at]
        return again, failure

    @staticmethod
    def _data(call: Call, before: Any) -> bytes:
        if isinstance(before, refusals.NoScriptError) and call.fallback is not None:
            return call.fallback.whole(call.data)
        return call.data

    # ---- a cluster's nodes -----------------------------------------------------------------------------------------------------------
    def _by_node(self, calls: Sequence[Call], wanted: list[int]) -> dict[_Node, list[int]]:
        if not self.address.is_cluster:
            return {self._first: wanted}
        slots = self._slots or self._look_up()
        groups: dict[_Node, list[int]] = {}
        for at in wanted:
            groups.setdefault(self._at(slots[key_slot(calls[at].key)]), []).append(at)
        return groups

    def _look_up(self) -> list[Node]:
        """Ask any node where the slots are."""
        failure: Exception = StoreUnavailable("the cluster has no node")
        for node in dict.fromkeys([*self._nodes, *self.address.nodes]):
            try:
                answer = self._at(node).exchange(pack(b"CLUSTER", b"SLOTS"), 1)[0]
            except (refusals.ConnectionError, refusals.TimeoutError, OSError) as error:
                failure = error
                continue
            if isinstance(answer, Exception):
                if not isinstance(answer, LATER):
                    raise answer
                failure = answer
                continue
            slots: list[Node] = [node] * 16_384
            for first, last, master, *_ in answer:
                place = (master[0].decode() or node[0], int(master[1]))
                slots[first : last + 1] = [place] * (last - first + 1)
            self._slots = slots
            return slots
        raise failure

    def _moved(self, call: Call, answer: Any) -> None:
        slots = self._slots
        if slots is not None:
            slots[key_slot(call.key)] = (answer.host, int(answer.port))

    def _asked(self, call: Call, answer: Any) -> Any:
        """Ask the node that a slot is moving to."""
        node = self._at((answer.host, int(answer.port)))
        try:
            found = node.exchange(_ASKING + call.data, 2)[1]
            if isinstance(found, refusals.NoScriptError) and call.fallback is not None:
                found = node.exchange(_ASKING + call.fallback.whole(call.data), 2)[1]
        except (refusals.ConnectionError, refusals.TimeoutError, OSError):
            return refusals.TryAgainError("the node that has the slot next does not answer")
        return found

    def _at(self, node: Node) -> _Node:
        found = self._nodes.get(node)
        if found is None:
            found = self._nodes.setdefault(node, _Node(node, self._pool(node)))
        return found

    def _pool(self, node: Node) -> redis.ConnectionPool:
        address = self.address
        tls: dict[str, Any] = dict(address.tls)
        kind: Any = redis.SSLConnection if address.is_tls else redis.Connection
        return redis.ConnectionPool(
            connection_class=kind,
            host=node[0],
            port=node[1],
            db=address.db,
            username=address.username,
            password=address.password,
            protocol=2,
            socket_timeout=address.answer_s,
            socket_connect_timeout=min(CONNECT_S_MAX, address.answer_s),
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            **tls,
        )

    def masters(self) -> list[Node]:
        """The nodes that hold slots; the one server where there is no cluster."""
        if not self.address.is_cluster:
            return [self.address.nodes[0]]
        try:
            return sorted(set(self._slots or self._look_up()))
        except (refusals.ConnectionError, refusals.TimeoutError, refusals.ResponseError, OSError) as error:
            raise self.translated(error) from error

    def ask(self, node: Node, *words: bytes) -> Any:
        """Send a command without a key to one node; a refusal is returned.

        Raises:
            StoreUnavailable: It does not answer.
        """
        try:
            answer = self._at(node).exchange(pack(*words), 1)[0]
        except (refusals.ConnectionError, refusals.TimeoutError, OSError) as error:
            raise self.translated(error) from error
        if isinstance(answer, LATER):
            raise self.translated(answer) from answer
        return answer

    def now_us(self) -> int:
        """The time of one of the servers, microseconds since the epoch."""
        answer = self.one(Call(pack(b"TIME"), b""))
        return int(answer[0]) * 1_000_000 + int(answer[1])

    def link_of(self, node: Node) -> Any:
        """Return a connection that the caller keeps for itself and closes."""
        pool = self._pool(node)
        return pool.connection_class(**pool.connection_kwargs)

    def close(self) -> None:
        """Close what nobody uses; what is in use is closed when it comes back."""
        with self._lock:
            self._closed = True
        for node in list(self._nodes.values()):
            node.idle_max = 0
            node.drop_free()

    # ---- errors ----------------------------------------------------------------------------------------------------------------------
    def translated(self, error: Exception) -> TurnfoldError:
        """Say in our words what a server or the driver said."""
        name = self.address.name
        text = str(error)
        if isinstance(error, TurnfoldError):
            return error
        if isinstance(error, (refusals.AuthenticationError, refusals.AuthorizationError)):
            return InvalidInput(f"{name} refuses the user or password", hint="redis://user:password@host:port/db")
        if isinstance(error, refusals.MovedError):
            return StoreUnavailable(f"{name} is a node of a cluster", hint="redis+cluster://host:port names the cluster")
        for holds, kind, message, hint in _REFUSALS:
            if holds in text:
                return kind(f"{name} {message}" + (f": {text}" if kind is StoreUnavailable else ""), hint=hint)
        if isinstance(error, refusals.ResponseError):
            return StoreUnavailable(f"{name} refused: {text}")
        return StoreUnavailable(f"{name} does not answer: {text}", hint="is the server running, and reachable from here?")
