"""Turnfold against hand-written floors and against the session classes that a user would otherwise pick. Run: ``python -m benchmarks``."""
