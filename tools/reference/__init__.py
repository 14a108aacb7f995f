"""The parts of the reference that are read off the code."""
