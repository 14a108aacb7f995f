"""The published schema of the content model."""

from __future__ import annotations

import json

from turnfold.model.schema import content_schema


def text() -> str:
    """Return the schema as it is committed and shipped."""
    return json.dumps(content_schema(), indent=2, ensure_ascii=False) + "\n"
