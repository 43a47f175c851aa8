"""Fixtures for the whole suite."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real corpora that VQBN_TEST_DATA names; tests that need it skip without it."""
    folder = os.environ.get("VQBN_TEST_DATA")
    if not folder:
        pytest.skip("VQBN_TEST_DATA does not name a folder with the real test data")
    return Path(folder).resolve()
