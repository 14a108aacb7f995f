"""Contracts between what decides and what does (floor F3)."""
