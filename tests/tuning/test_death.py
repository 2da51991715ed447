"""The same digits through any death of the driver: the short form of `make chaos`."""

from __future__ import annotations

import pytest

from tests.chaos import FLAGS, Harm, Place, differences, on_sqlite, undisturbed
from tests.sweep_state import faults

pytestmark = pytest.mark.slow
SHORT = (*FLAGS, "--alphas=0.25", "--trials=20", "--wave=4")
CELLS, TRIALS, KILLS = 2, 20, 5


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Place:
    return undisturbed(tmp_path_factory.mktemp("undisturbed"), SHORT)


def test_an_undisturbed_sweep_is_whole(reference):
    assert faults(reference.optuna, reference.mlflow, CELLS, TRIALS) == []


def test_a_driver_that_is_killed_again_and_again_finds_the_same_to_the_last_digit(reference, tmp_path):
    place = on_sqlite(tmp_path)
    harm = Harm(tmp_path, [*SHORT, f"--storage={place.optuna}"], {}, seed=KILLS)
    harm.kill(KILLS)
    harm.finish()
    assert harm.findings == []
    assert harm.killed > 0
    assert faults(place.optuna, place.mlflow, CELLS, TRIALS) == []
    assert differences(reference, place) == []
