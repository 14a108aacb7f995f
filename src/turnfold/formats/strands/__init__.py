"""Strands Agents' session managers: one file per message, and snapshots of whole agents."""

from turnfold.formats.strands.files import StrandsFormat
from turnfold.formats.strands.snapshots import StrandsSnapshotFormat

__all__ = ["StrandsFormat", "StrandsSnapshotFormat"]
