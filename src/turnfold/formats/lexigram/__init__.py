"""lexigram-ai-session's stored sessions: the tables of its database store, and the JSON of its cache store."""

from turnfold.formats.lexigram.format import LexigramFormat

__all__ = ["LexigramFormat"]
