"""Copying everything from one store to another: resumable, verified, with bounded memory, while the source is in use."""
