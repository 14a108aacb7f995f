"""Turnfold on Redis, and the floor that it is held to. The runner starts the servers and leaves their URLs beside the contestants' folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.contestant import Contestant, contestant
from benchmarks.conversation import Item
from benchmarks.floors import Bytes
from benchmarks.ours import Ours, OursAsync

URL_FILE = "redis-url"
_APPEND = """
local at = redis.call('LLEN', KEYS[1])
if ARGV[1] ~= '' and at ~= tonumber(ARGV[1]) then return -1 end
redis.call('RPUSH', KEYS[1], unpack(ARGV, 2))
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'at', at)
return at
"""
"""Compare and append in one script; a stream wakes followers."""


def server_url(who: Contestant) -> str:
    """The URL of the run's server."""
    path = who.folder.parent / URL_FILE
    if not path.exists():
        raise ModuleNotFoundError("no redis-server is installed", name="redis-server")
    return path.read_text(encoding="utf-8")


class _Redis:
    SCHEME = "redis"

    def url(self: Any) -> str:
        return f"{server_url(self)}?prefix={self.folder.name}"


@contestant
class Redis(_Redis, Ours):
    """Redis, sync."""

    NAME = "turnfold-redis"


@contestant
class RedisAsync(_Redis, OursAsync):
    """Redis, async."""

    NAME = "turnfold-redis-async"


@contestant
class RawRedis(Bytes):
    """redis-py, one script per append: compare the length, push, wake. JSON by the standard library, which any program must make too."""

    NAME = "raw-redis"

    def open(self) -> Any:
        import redis

        self.client: Any = redis.Redis.from_url(server_url(self))
        self.script = self.client.register_script(_APPEND)

    def session(self, name: str, user: str, agent: str, *, new: bool) -> Any:
        key = f"raw:{self.folder.name}:{name}"
        return [key, 0 if new else self.client.llen(key)]

    def native(self, items: Sequence[Item]) -> list[Any]:
        return [json.loads(body) for body in super().native(items)]

    def append(self, handle: Any, batch: Any) -> Any:
        bodies = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in batch]
        at = self.script(keys=(handle[0], f"{handle[0]}:wake"), args=(handle[1], *bodies))
        assert at == handle[1]
        handle[1] += len(bodies)

    def shared(self, handle: Any, batch: Any) -> Any:
        bodies = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in batch]
        self.script(keys=(handle[0], f"{handle[0]}:wake"), args=("", *bodies))

    def load(self, handle: Any) -> Any:
        return [json.loads(body) for body in self.client.lrange(handle[0], 0, -1)]

    def tail(self, handle: Any, count: int) -> Any:
        return [json.loads(body) for body in self.client.lrange(handle[0], -count, -1)]

    def follow(self, take: Callable[[str], bool], ready: Callable[[], None]) -> None:
        """Call ``take`` with the text of every entry that others append; it says when it has enough."""
        key, last = self.session("shared", "", "", new=False)
        seen: Any = "$"
        found = self.client.xrevrange(f"{key}:wake", count=1)
        if found:
            seen = found[0][0]
        ready()
        while True:
            for _, entries in self.client.xread({f"{key}:wake": seen}, block=5_000) or []:
                seen = entries[-1][0]
            for body in self.client.lrange(key, last, -1):
                last += 1
                if take(json.loads(body)["parts"][0]["content"]):
                    return

    def close(self) -> Any:
        self.client.close()
