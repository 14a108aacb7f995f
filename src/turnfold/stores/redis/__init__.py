"""The Redis store: Redis 7 or later, Valkey, single or a cluster, through redis-py."""

from __future__ import annotations

from turnfold.stores.redis.store import RedisStore

__all__ = ["RedisStore"]
