"""What the test folders share and pytest does not bring."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared_dir_or_stop(environ: Mapping[str, str], root: Path) -> Path:
    """Find the folder of shared test data.

    Args:
        environ: The environment; TURNFOLD_SHARED_DIR names the folder, CI=true makes its absence a failure.
        root: The repository's root; the default folder is ``shared`` beside it.

    Returns:
        The existing folder. Where there is none the test is skipped, in CI failed.
    """
    named = environ.get("TURNFOLD_SHARED_DIR")
    folder = Path(named) if named else root.parent / "shared"
    if folder.is_dir():
        return folder.resolve()
    line = f"shared test data not found at {folder}; set TURNFOLD_SHARED_DIR to its folder"
    if environ.get("CI", "").lower() == "true":
        pytest.fail(f"{line} (CI=true: a failure, not a skip)", pytrace=False)
    pytest.skip(line)


def skip_or_fail(line: str) -> None:
    """Skip a test whose server or program is not there; with CI=true that is a failure."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{line} (CI=true: a failure, not a skip)", pytrace=False)
    pytest.skip(line)
