"""agent-session-linker's stored sessions: one JSON document per session, as files or as rows of a SQLite database."""

from turnfold.formats.session_linker.format import SessionLinkerFormat

__all__ = ["SessionLinkerFormat"]
