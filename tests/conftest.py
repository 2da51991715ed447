"""What tests of several modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures and weights (shared/data/README.md); skips the test where it is missing."""
    folder = ROOT / os.environ.get("REAL_DATA_DIR", "../shared/data")
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}: name its folder with REAL_DATA_DIR")
    return folder.resolve()
