"""What is stored: events, messages, sessions, commits (floor F0: standard library and msgspec alone)."""
