"""Orchestration: read → pure decision → one store operation (floor F5)."""
