"""Every test of this folder has a working directory of its own."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("samples")


@pytest.fixture(autouse=True)
def in_a_folder(folder):
    return folder
