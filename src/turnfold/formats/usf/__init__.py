"""The Universal Session Format 1.0 of agent-session-linker, read and written."""

from turnfold.formats.usf.format import UsfFormat
from turnfold.formats.usf.writer import UsfWriter

__all__ = ["UsfFormat", "UsfWriter"]
