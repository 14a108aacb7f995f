"""Orchestration (floor F5): read, decide in core, one store operation."""
