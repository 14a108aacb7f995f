"""Bytes: JSON, digests and seals, kept source lines (floor F2)."""
