"""From a fit to Optuna's attributes, and from there to the MLflow run."""

from __future__ import annotations

import math

import numpy as np
import pytest
from optuna.trial import TrialState

from pipeline.training.fit import Fit
from tests.studies import BASE, CONFIG, NAME, open_study
from tuning import claims, outcomes

CURVES = {
    "train_loss": np.array([2.0, 1.0, 0.5]),
    "train_top1": np.array([0.3, 0.6, 0.9], np.float32),
    "val_loss": np.array([2.0, 1.0, 1.5]),
    "val_top1": np.array([0.3, 2 / 3, 0.5]),
    "learning_rate": np.array([0.01, 0.01, 0.005]),
}
COSTS = {"params_total": 7.0}


@pytest.fixture
def study(url):
    return open_study(url)


def ended(study, **fit):
    """A trial that came to this fit, as the study gives it back."""
    (claimed,) = claims.claim(study, CONFIG, 1)
    outcome = outcomes.outcome(claimed, Fit(**{"curves": CURVES, "best_epoch": 2, "best": None, **fit}), seconds=1.25)
    claims.finish(study, [outcome])
    return study.trials()[claimed.number]


def run_of(trial):
    return outcomes.trial_run(NAME, trial, BASE, COSTS)


def test_a_finished_trial_is_worth_its_best_epoch(study):
    trial = ended(study)
    run = run_of(trial)
    assert (trial.state, trial.value) == (TrialState.COMPLETE, pytest.approx(2 / 3, rel=1e-8))
    assert (run.status, run.tags["optuna.state"], run.key) == ("FINISHED", "COMPLETE", f"{NAME}#0")
    assert run.metrics == {"params_total": 7.0, "best_val_top1": trial.value, "best_epoch": 2, "seconds": 1.25}
    for name, values in CURVES.items():
        np.testing.assert_allclose(run.curves[name], values, rtol=1e-8)
    assert run.params["learning_rate"] == trial.params["learning_rate"]
    assert run.params["beta_1"] == pytest.approx(1 - trial.params["one_minus_beta_1"])
    assert run.params["cell"] == "mobilenet_0.25_64"
    assert "cores" in run.tags["device"]


def test_a_pruned_trial_is_worth_its_last_epoch(study):
    trial = ended(study, pruned=True)
    run = run_of(trial)
    assert (trial.state, trial.value) == (TrialState.PRUNED, 0.5)
    assert (run.status, run.tags["optuna.state"]) == ("KILLED", "PRUNED")
    assert run.metrics["best_val_top1"] == pytest.approx(2 / 3)


def test_a_diverged_trial_says_why(study):
    curves = CURVES | {"train_loss": np.array([2.0, 1.0, math.nan])}
    trial = ended(study, curves=curves, failure="train_loss is nan in epoch 3")
    run = run_of(trial)
    assert (trial.state, trial.value) == (TrialState.FAIL, None)
    assert (run.status, run.tags["alpharho.error"]) == ("FAILED", "train_loss is nan in epoch 3")
    assert math.isnan(list(run.curves["train_loss"])[2])


def test_an_interrupted_trial_is_killed_and_keeps_its_epochs(study):
    claimed = claims.claim(study, CONFIG, 1)
    study.storage.set_trial_intermediate_value(claimed[0].trial_id, 2, 0.25)
    claims.give_up(study, claimed)
    run = run_of(study.trials()[0])
    np.testing.assert_equal(run.curves["val_top1"], [math.nan, 0.25])
    assert (run.status, run.tags["optuna.state"]) == ("KILLED", "FAIL")
    assert "stopped" in run.tags["alpharho.error"]
    assert run.ended >= run.started


def test_rates_are_replayed_up_to_the_best_epoch(study):
    np.testing.assert_allclose(outcomes.replayed_rates(ended(study)), [0.01, 0.01])


def test_seconds_of_all_trials_are_summed(study):
    ended(study)
    ended(study, pruned=True)
    claims.give_up(study, claims.claim(study, CONFIG, 1))
    assert outcomes.train_seconds(study.trials()) == 2.5
