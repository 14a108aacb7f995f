"""Object storage that answers with errors: conflicts, failures and silence, before it did what was asked or after."""

from __future__ import annotations

import random
import time

import pytest

from turnfold.errors import TurnfoldError
from turnfold.ports.store import Store
from turnfold.testing.faults.cases.base import FaultBase
from turnfold.testing.faults.http_proxy import Answer, HttpProxy

STATUSES = (409, 412, 500, 503, 0)
WRITERS = 3
APPENDS = 15


class AnswerCases(FaultBase):
    """Of stores whose server speaks HTTP."""

    @pytest.mark.parametrize("status", STATUSES)
    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_error_answer(self, status: int, *, after: bool) -> None:
        """One write is answered with an error; whether it was done or not, it is there once in the end."""
        with self._http_proxy() as proxy:
            store = self._warm_http(proxy)
            for number in range(1, 4):
                proxy.fail_next(Answer(status, after))
                begin = time.monotonic()
                self.attempt(store, self.offer(number))
                assert proxy.struck_count == 1, "the fault met no write"
                assert time.monotonic() - begin < self.place.answer_s_max
                self.insist(store, self.offer(number))
            self.check()

    @pytest.mark.parametrize("status", [500, 503])
    def test_error_answers_for_a_while(self, status: int) -> None:
        """Several writes in a row fail."""
        with self._http_proxy() as proxy:
            store = self._warm_http(proxy)
            proxy.fail_next(Answer(status, after=False), count=4)
            self.insist(store, self.offer(1))
            self.check()

    @pytest.mark.timeout(180)
    def test_any_request_may_fail(self) -> None:
        """Every fifth request fails somehow under writers that insist."""
        with self._http_proxy() as proxy:
            stores = [self._warm_http(proxy), *(self.opened(self.place.through(proxy.port)) for _ in range(WRITERS - 1))]
            chance = random.Random(409)

            def choose(method: str, _path: str) -> Answer | None:
                if chance.random() > 0.2:
                    return None
                return Answer(chance.choice(STATUSES if method == "PUT" else (500, 503, 0)), after=chance.random() < 0.5)

            errors: list[BaseException] = []

            def write(store: Store, name: str) -> None:
                try:
                    for number in range(APPENDS):
                        self.insist(store, self.offer(number, name))
                except (TurnfoldError, AssertionError) as error:
                    errors.append(error)

            proxy.choose = choose
            threads = [self.beside(lambda store=store, name=name: write(store, name)) for store, name in zip(stores, "abc", strict=True)]  # type: ignore[misc]
            for thread in threads:
                thread.join(120)
                assert not thread.is_alive(), "a writer did not come to its end"
            assert errors == []
            assert self.check().acknowledged_count == WRITERS * APPENDS + 1

    def _http_proxy(self) -> HttpProxy:
        if not self.place.http:
            pytest.skip(f"{self.place.name} does not speak HTTP")
        return HttpProxy(self.place.port)

    def _warm_http(self, proxy: HttpProxy) -> Store:
        store = self.opened(self.place.through(proxy.port))
        self.insist(store, self.offer(0))
        return store
