"""Which hyperparameters the accuracy hung on."""

from __future__ import annotations

import math
import time

import pytest
from tests.figures import samples

from pipeline.config import LEARNING_RATE_RANGE
from tuning.importance import importances

TRIALS = samples.trials()


def test_what_made_the_difference_comes_out_on_top():
    shares = importances(TRIALS)
    assert set(shares) == {"learning_rate", "beta_1", "beta_2"}
    assert sum(mean for mean, _ in shares.values()) == pytest.approx(1)
    assert shares["learning_rate"][0] > 0.6 > shares["beta_1"][0] > shares["beta_2"][0]
    assert all(0 < deviation < 0.2 for _, deviation in shares.values())


def test_in_another_order_the_shares_stay_within_their_deviations():
    shares, others = importances(TRIALS), importances(TRIALS.sample(frac=1, random_state=0))
    for name, (mean, deviation) in shares.items():
        assert others[name][0] == pytest.approx(mean, abs=deviation)


def test_the_same_trials_give_the_same_shares():
    assert importances(TRIALS) == importances(TRIALS.copy())


def test_one_forest_has_no_deviation():
    assert {deviation for _, deviation in importances(TRIALS, seeds=1).values()} == {0.0}


def test_only_complete_trials_count():
    done = TRIALS[TRIALS["state"] == "COMPLETE"]
    assert importances(TRIALS) == importances(done)
    assert importances(done[:4])
    assert importances(done[:3]) == {}


@pytest.mark.parametrize(
    "trials",
    [TRIALS[:0], TRIALS.assign(val_top1=0.9), TRIALS.assign(state="FAIL"), TRIALS.assign(beta_1=math.nan)],
    ids=["empty", "all equal", "all failed", "without a beta"],
)
def test_nothing_can_be_said_of(trials):
    assert importances(trials) == {}


def test_a_sweep_that_searched_other_ranges_is_read():
    outside = TRIALS.assign(learning_rate=TRIALS["learning_rate"] * 10)
    assert outside["learning_rate"].max() > LEARNING_RATE_RANGE[1]
    assert importances(outside)["learning_rate"][0] > 0.5


def test_narrower_ranges_are_asked_within():
    shares = importances(TRIALS[TRIALS["learning_rate"] < 1e-2], rates=(1e-5, 1e-2))
    assert sum(mean for mean, _ in shares.values()) == pytest.approx(1)


def test_draws_at_the_edges_survive_the_way_over_beta():
    edges = TRIALS.assign(beta_1=1 - 0.01, beta_2=1 - 0.0001)
    edges.loc[::2, ["beta_1", "beta_2"]] = [0.5, 1 - 0.1]
    assert importances(edges)


def test_a_cell_takes_less_than_two_seconds_of_a_core():
    started = time.process_time()
    importances(TRIALS)
    assert time.process_time() - started < 2
