"""Fixtures and settings of all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import ROOT, shared_dir_or_stop

# The wheel's tests hold for an installed wheel only; `nox -s wheel` runs them away from this file.
collect_ignore = ["wheel"]

# CI repeats itself exactly; at a desk every run tries something new.
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI", "").lower() == "true" else "dev")


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Give the folder of shared test data; skip where it is absent, fail when CI=true."""
    return shared_dir_or_stop(os.environ, ROOT)
