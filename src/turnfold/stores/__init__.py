"""Stores (floor F4): each one an adapter behind ``ports.store``."""
