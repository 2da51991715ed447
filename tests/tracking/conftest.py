"""What the tests of this folder share: a working directory for each, and one real server for all."""

from __future__ import annotations

import pytest

from tests.servers import MlflowServer

pytest.register_assert_rewrite("samples")


@pytest.fixture(autouse=True)
def in_a_folder(folder):
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """`mlflow server`, which takes 10 to 30 s to start: what needs it stands in test_server.py, so in one worker."""
    folder = tmp_path_factory.mktemp("server")
    with MlflowServer(f"sqlite:///{folder}/server.db", folder) as server:
        yield server
