"""The engine's store-bound paths, written async; ``engine/_sync`` is generated from here by ``tools/make_sync.py``."""
