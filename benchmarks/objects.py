"""``python -m benchmarks.objects [URL]``: what the store on object storage costs in requests, and how fast it is on a server.

Requests are counted by a proxy before the server, and are the same everywhere; times are informational and go without the proxy. Without a
URL a moto server is started. URL names a bucket on an ``http://`` endpoint, for example ``s3://bucket?endpoint=http://127.0.0.1:9000``.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import turnfold as tf
from turnfold.model.session import SessionKey
from turnfold.stores.s3 import S3Store
from turnfold.testing.contract import build
from turnfold.testing.faults.http_proxy import HttpProxy
from turnfold.testing.servers.s3 import MotoServer

KEY = SessionKey("default", "s")
TEXT = "x" * 400
APPENDS = 400
THREADS = 16
EVENTS = 10_000


def in_prefix(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/bench-{secrets.token_hex(4)}").geturl()


def requests_of(proxy: HttpProxy, work: Callable[[], object]) -> int:
    before = proxy.requests.total()
    work()
    return proxy.requests.total() - before


def count(url: str, proxy: HttpProxy) -> None:
    store = S3Store(url)
    opened = requests_of(proxy, lambda: S3Store(url).close())
    created = requests_of(proxy, lambda: store.commit(build.commit(KEY, genesis=build.genesis())))
    appends = [requests_of(proxy, lambda: store.commit(build.commit(KEY, TEXT))) for _ in range(2_000)]
    store.close()
    print(f"requests: open {opened}, create {created}, append mean {statistics.mean(appends):.3f}, most {max(appends)}")


def resume(url: str, proxy: HttpProxy) -> None:
    for batch in (1, 100):
        place = in_prefix(url)
        store = S3Store(place)
        store.commit(build.commit(KEY, genesis=build.genesis()))
        if batch == 1:
            store.commit_many([build.commit(KEY, TEXT) for _ in range(EVENTS)])
        else:
            for _ in range(EVENTS // batch):
                store.commit(build.commit(KEY, *[TEXT] * batch))
        store.close()
        before = proxy.requests.total()
        begun_s = time.perf_counter()
        with tf.connect(place) as client:
            found = sum(1 for _ in client.open("s", create=False).messages())
        took_s = time.perf_counter() - begun_s
        made = proxy.requests.total() - before
        print(f"resume: {found} messages written {batch} at a time: {made} requests with opening and closing, {took_s * 1_000:.0f} ms")


def speed(url: str) -> None:
    store = S3Store(in_prefix(url))
    store.commit(build.commit(KEY, genesis=build.genesis()))
    times: list[float] = []
    for _ in range(APPENDS):
        commit = build.commit(KEY, TEXT)
        begun_s = time.perf_counter()
        store.commit(commit)
        times.append(time.perf_counter() - begun_s)
    times.sort()
    print(
        f"append: {APPENDS / sum(times):.0f}/s, p50 {times[APPENDS // 2] * 1_000:.2f} ms, p99 {times[APPENDS * 99 // 100] * 1_000:.2f} ms"
    )
    begun_s = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: [store.commit(build.commit(KEY, TEXT)) for _ in range(APPENDS // 4)], range(THREADS)))
    took_s = time.perf_counter() - begun_s
    print(f"append from {THREADS} threads to one session: {THREADS * APPENDS // 4 / took_s:.0f}/s")
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.objects", description=__doc__)
    parser.add_argument("url", nargs="?", help="a bucket on a real server; credentials from the environment")
    given = parser.parse_args().url
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = given or stack.enter_context(MotoServer(Path(folder))).url
        endpoint = urlsplit(parse_qs(urlsplit(url).query)["endpoint"][0])
        proxy = stack.enter_context(HttpProxy(endpoint.port or 80))
        counted = url.replace(endpoint.netloc, f"127.0.0.1:{proxy.port}")
        count(in_prefix(counted), proxy)
        resume(counted, proxy)
        speed(url)


if __name__ == "__main__":
    main()
