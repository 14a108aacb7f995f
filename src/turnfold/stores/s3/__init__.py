"""The store on object storage: S3 and what speaks like it; Google Cloud Storage and Azure through the same code."""

from __future__ import annotations

from turnfold.stores.s3.store import S3Store

__all__ = ["S3Store"]
