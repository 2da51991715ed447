"""The same digits through any death of the driver: the short form of `make chaos`."""

from __future__ import annotations

import pytest

from tests.chaos import FLAGS, TRIALS, Harm, Stores, differences, on_sqlite, undisturbed
from tests.sweep_state import faults

pytestmark = pytest.mark.slow
SHORT = (*FLAGS, "--alphas=0.25", "--resolutions=32", "--wave=4")
CELLS, KILLS = 1, 5


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> tuple[Stores, float]:
    return undisturbed(tmp_path_factory.mktemp("undisturbed"), SHORT)


def test_an_undisturbed_sweep_is_whole(reference):
    stores, _seconds = reference
    assert faults(stores.optuna, stores.mlflow, CELLS, TRIALS) == []


def test_a_driver_that_is_killed_again_and_again_finds_the_same_to_the_last_digit(reference, tmp_path):
    undisturbed_one, seconds = reference
    stores = on_sqlite(tmp_path)
    harm = Harm(tmp_path, [*SHORT, f"--storage={stores.optuna}"], {}, seconds, seed=KILLS)
    harm.kill(KILLS)
    harm.finish()
    assert harm.findings == []
    assert harm.killed > 0
    assert faults(stores.optuna, stores.mlflow, CELLS, TRIALS) == []
    assert differences(undisturbed_one, stores) == []
