"""The same digits through any death: of the driver, of the servers under it, and of the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import chaos
from tests.chaos import CELLS, FLAGS, TRIALS, Harm, Place, differences, on_sqlite, undisturbed
from tests.servers import why_no_postgres
from tests.sweep_state import faults

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("KILLS", "5"))  # the 20 take two minutes


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Place:
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))


def test_an_undisturbed_sweep_is_whole(reference):
    assert faults(reference.optuna, reference.mlflow, CELLS, TRIALS) == []


def test_a_driver_that_is_killed_again_and_again_finds_the_same_to_the_last_digit(reference, tmp_path):
    place = on_sqlite(tmp_path)
    harm = Harm(tmp_path, [*FLAGS, f"--storage={place.optuna}"], {}, seed=KILLS)
    harm.kill(KILLS)
    harm.finish()
    assert harm.findings == []
    assert harm.killed > 0
    assert faults(place.optuna, place.mlflow, CELLS, TRIALS) == []
    assert differences(reference, place) == []


@pytest.mark.postgres
def test_servers_that_are_killed_and_a_full_disk_change_nothing(reference, tmp_path: Path):
    if reason := why_no_postgres():
        pytest.skip(reason)
    if os.geteuid():
        pytest.skip("not root: a disk of its own cannot be mounted")
    assert chaos.chaos(reference, tmp_path / "chaos", seed=1, kills=3) == []
