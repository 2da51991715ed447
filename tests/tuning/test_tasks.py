"""From fits to what is kept of them, and that a task can be sent elsewhere."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from optuna.trial import TrialState

from pipeline.training.calibration import calibrate
from pipeline.training.fit import Fit
from tests.study_samples import BASE, SPACE
from tuning import sampling, tasks
from tuning.tasks import Epoch

EPOCHS = 3


class Learner:
    """Stands in for a trainer: each config's validation top-1 rises by its own step."""

    def __init__(self, steps: list[float], failure: str = "") -> None:
        self.steps, self.failure = steps, failure

    def fit(self, configs, watch):
        going = np.arange(len(configs))
        rows = [[] for _ in configs]
        for epoch in range(1, EPOCHS + 1):
            top1 = np.array([epoch * self.steps[index] for index in going])
            scores = {"val_top1": top1, "val_loss": 1 - top1, "learning_rate": np.full(len(going), 0.5)}
            scores["val_balanced_top1"] = 1 - top1
            for slot, index in enumerate(going):
                rows[index].append({name: values[slot] for name, values in scores.items()})
            going = going[watch(epoch, going, scores)]
        curves = [{name: np.array([row[name] for row in found]) for name in found[0]} for found in rows]
        return [
            Fit(curve, len(curve["val_top1"]), index, self.failure, pruned=len(curve["val_top1"]) < EPOCHS)
            for index, curve in enumerate(curves)
        ]

    def validated(self, trained: int):
        """`trained` is the index of its config: so many of five answers are right, and none is surer than another."""
        return 3 * np.eye(2)[[0] * trained + [1] * (5 - trained)], np.zeros(5, int)

    def spread(self, trained: int) -> float:
        return 1.0 + trained


def run(trainer: Learner, pruner: str = "none", **options: object):
    """The outcomes, what was told, and the trials."""
    base = dataclasses.replace(BASE, epochs=EPOCHS, **options)
    study = sampling.round_study("s", [], SPACE, 0, sampling.pruner_of(pruner, EPOCHS))
    trials = sampling.draw(study, SPACE, [None] * len(trainer.steps))
    told: list[Epoch] = []
    return tasks.fit_trials(trainer, [base] * len(trials), trials, told.append), told, trials


def test_a_finished_trial_is_worth_its_best_epoch_and_keeps_its_curves():
    (found,), told, (trial,) = run(Learner([1 / 9]))
    assert (found.state, found.value) == (TrialState.COMPLETE, pytest.approx(1 / 3, rel=1e-8))
    assert found.fit["curves"]["val_top1"] == pytest.approx([1 / 9, 2 / 9, 1 / 3], rel=1e-8)
    assert (found.fit["best_epoch"], found.fit["best_val_top1"]) == (3, found.value)
    assert found.fit["val_loss"] == pytest.approx(2 / 3, rel=1e-8)
    assert "cores" in found.fit["device"]
    written = found.as_trial(trial, 4, (0, 8), {"learning_rate": 0.1})
    assert (written.params, written.intermediate_values[2]) == (trial.params, found.fit["curves"]["val_top1"][1])
    assert written.user_attrs == {"index": 4, "task": [0, 8], "enqueued": {"learning_rate": 0.1}, "fit": found.fit}
    assert [epoch.number for epoch in told] == [1, 2, 3]


def test_of_the_best_of_a_task_alone_it_is_told_what_validation_pictures_say():
    outcomes, _told, _trials = run(Learner([0.1, 0.3, 0.3, 0.2]))
    assert [found.fit.get("spread") for found in outcomes] == [None, 2.0, None, None]
    assert [found.fit.get("val_right") for found in outcomes] == [None, packed([1, 0, 0, 0, 0]), None, None]
    expected = calibrate(*Learner([]).validated(1))
    assert outcomes[1].fit["temperature"] == expected.temperature
    assert outcomes[1].fit["reject_below"] == expected.reject_below
    (diverged,), _told, _trials = run(Learner([0.1], failure="train_loss is nan in epoch 1"))
    assert "temperature" not in diverged.fit


def packed(right: list[int]) -> str:
    return tasks.packed(np.array(right, bool))


def test_which_answers_are_right_takes_a_bit_a_picture():
    right = np.random.default_rng(0).random(1001) < 0.8
    assert len(tasks.packed(right)) < 1001 / 8 * 1.4
    assert (tasks.unpacked(tasks.packed(right), 1001) == right).all()


def test_the_start_is_a_trial_with_no_draw_and_no_epoch():
    learner = Learner([])
    learner.untrained = Fit({name: np.array([0.7]) for name in ("val_top1", "val_balanced_top1", "val_loss")}, 0, 2)
    found = tasks.untrained(learner, "top1")
    trial = found.as_trial(None, 0, (0, 1))
    assert (trial.state, trial.value, trial.params, trial.intermediate_values) == (TrialState.COMPLETE, 0.7, {}, {})
    assert (found.fit["best_epoch"], found.fit["curves"], found.fit["best_val_top1"]) == (0, {}, 0.7)
    assert found.fit["val_right"] == packed([1, 1, 0, 0, 0])
    learner.untrained = None
    assert tasks.untrained(learner, "top1") is None


def test_the_score_aimed_at_is_the_value_and_what_pruners_see():
    (found,), _told, (trial,) = run(Learner([0.1]), aim="balanced_top1")
    assert found.value == pytest.approx(0.7)
    assert found.fit["curves"]["val_balanced_top1"] == pytest.approx([0.9, 0.8, 0.7])
    assert found.fit["best_val_top1"] == pytest.approx(0.3)
    written = found.as_trial(trial, 0, (0, 1), None)
    assert list(written.intermediate_values.values()) == found.fit["curves"]["val_balanced_top1"]
    (plain,), _told, _trials = run(Learner([0.1]))
    assert "val_balanced_top1" not in plain.fit["curves"]
    assert plain.fit["best_val_balanced_top1"] == pytest.approx(0.7)


def test_a_pruned_trial_is_worth_its_last_epoch():
    outcomes, told, _trials = run(Learner([0.3, 0.01, 0.2, 0.01]), pruner="successive_halving")
    pruned = [found for found in outcomes if found.state == TrialState.PRUNED]
    assert pruned
    assert all(found.value == found.fit["curves"]["val_top1"][-1] for found in pruned)
    assert all(found.rungs for found in outcomes)
    assert sum(epoch.stopped for epoch in told) == len(pruned)


def test_a_diverged_trial_has_no_value_and_says_why():
    (found,), _told, (trial,) = run(Learner([0.1], failure="train_loss is nan in epoch 1"))
    assert (found.state, found.value) == (TrialState.FAIL, None)
    assert found.fit["failure"] == "train_loss is nan in epoch 1"
    assert "best_val_top1" not in found.fit
    assert found.as_trial(trial, 0, (0, 1), None).state == TrialState.FAIL


@pytest.mark.parametrize("freeze_conv", [True, False])
def test_only_networks_tell_when_each_epoch_ended(freeze_conv):
    (found,), told, _trials = run(Learner([0.1]), freeze_conv=freeze_conv)
    assert found.fit.get("epoch_ends") == (None if freeze_conv else [epoch.ended for epoch in told])
    assert found.fit["started"] <= told[0].ended <= found.fit["ended"]


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_network_that_diverges_has_an_end_of_its_last_epoch(epoch):
    """Of which the watch is not told."""

    class Diverging(Learner):
        def fit(self, configs, watch):
            for number in range(1, epoch):
                watch(number, np.arange(1), {"val_top1": np.array([0.5]), "val_loss": np.array([1.0])})
            curve = {"val_top1": np.full(epoch, 0.5), "val_loss": np.array([1.0] * (epoch - 1) + [np.nan])}
            return [Fit(curve, 1, None, f"val_loss is nan in epoch {epoch}")]

    (found,), _told, _trials = run(Diverging([0.1]), freeze_conv=False)
    assert len(found.fit["epoch_ends"]) == epoch
    assert found.fit["epoch_ends"][-1] == found.fit["ended"]


def test_other_programs_see_a_few_points_of_a_long_curve():
    curve = [number / 100 for number in range(30)]
    found = tasks.Outcome(TrialState.PRUNED, 0.29, {"curves": {"val_top1": curve}, "ended": 9.0, "seconds": 1.0}, {})
    study = sampling.round_study("s", [], SPACE, 0, sampling.pruner_of("none", 30))
    (trial,) = sampling.draw(study, SPACE, [None])
    points = found.as_trial(trial, 0, (0, 1), None).intermediate_values
    assert len(points) == tasks.OPTUNA_POINTS
    assert {1, 30} <= points.keys()
    assert all(value == curve[epoch - 1] for epoch, value in points.items())


def test_a_task_runs_the_same_after_a_journey():
    """As to a machine of a cluster: its trials bring the study in memory with them."""
    study = sampling.round_study("s", [], SPACE, 0, sampling.pruner_of("median", EPOCHS))
    trials = sampling.draw(study, SPACE, [None] * 3)
    sent = pickle.loads(pickle.dumps(trials))
    assert [trial.params for trial in sent] == [trial.params for trial in trials]
    configs = [dataclasses.replace(BASE, epochs=EPOCHS)] * 3
    here, there = (
        tasks.fit_trials(Learner([0.1, 0.2, 0.3]), configs, each, lambda _epoch: None) for each in (trials, sent)
    )
    assert [(found.state, found.value) for found in here] == [(found.state, found.value) for found in there]
