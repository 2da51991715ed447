"""What tests of whole sweeps share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tables(tmp_path_factory) -> Path:
    """Feature tables, of which all sweeps here want the same."""
    return tmp_path_factory.mktemp("tables")


@pytest.fixture
def here(folder: Path, tables: Path, tracker) -> Path:
    """A folder with an empty store, in which every sweep of a test runs."""
    (folder / "work").symlink_to(tables)
    return folder
