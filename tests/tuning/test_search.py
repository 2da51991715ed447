"""The search of one cell, from its first round to its tested winner, in a real store and a real database."""

from __future__ import annotations

import dataclasses
import io

import optuna
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution

from pipeline import tracking
from pipeline.config import FINETUNING_RATE_RANGE
from pipeline.shell.errors import UserError
from pipeline.tracking.runs import VALIDATION
from pipeline.tracking.tracker import Tracker
from pipeline.training.frozen import HeadTrainer
from tests.small_sweeps import CONFIG, ONE, of_kind, run, stores
from tests.study_samples import complete
from tests.sweep_state import faults
from tuning import search, search_space, tasks


def test_trial_0_is_the_start_without_training(here):
    found, failures = run(dataclasses.replace(ONE, trials=4, wave=4))
    assert failures == []
    (name,) = optuna.get_all_study_names(ONE.storage)
    study = optuna.load_study(study_name=name, storage=ONE.storage)
    first, *others = study.trials
    assert (first.params, first.user_attrs["index"]) == ({}, 0)
    assert all(len(trial.params) == 3 for trial in others)
    assert found[0].metrics["trials_complete"] == 4
    assert found[0].metrics["untrained_top1"] > 0.5


@pytest.mark.parametrize("folds", ["1", "5"])
def test_which_validation_answers_of_the_winner_are_right_is_kept(here, folds):
    found, _failures = run(dataclasses.replace(ONE, folds=folds))
    (cell,) = of_kind("cell")
    validation = tracking.connect("alpharho").read_frame(cell.run_id, VALIDATION)
    assert len(validation) == (60 if folds == "5" else 10)  # of 60 pictures, one of each class at least
    assert validation["right"].mean() == pytest.approx(found[0].metrics["best_val_top1"])


def test_a_start_that_no_training_betters_is_the_winner(here, monkeypatch):
    monkeypatch.setitem(search_space.DISTRIBUTIONS, "learning_rate", FloatDistribution(1e37, 1e38, log=True))
    found, failures = run(ONE)
    assert failures == []
    assert found[0].metrics["test_top1"] == found[0].metrics["untrained_top1"]
    assert (found[0].metrics["best_trial"], found[0].metrics["best_epoch"]) == (0, 0)
    assert not {"learning_rate", "beta_1", "beta_2"} & set(found[0].metrics)


def test_trials_that_diverge_fail_with_their_reason_and_the_sweep_fails(here, monkeypatch):
    monkeypatch.setitem(search_space.DISTRIBUTIONS, "learning_rate", FloatDistribution(1e37, 1e38, log=True))
    found, failures = run(dataclasses.replace(CONFIG, head_init="random"))
    assert found == []
    assert [failure.split()[5].rpartition("-")[0] for failure in failures] == [
        "digits-mobilenet_0.25_32-frozen",
        "digits-mobilenet_0.25_48-frozen",
    ]
    trials = of_kind("trial")
    assert len(trials) == 8  # each of two cells draws two anew, once
    assert {(record.status, record.tags["optuna.state"]) for record in trials} == {("FAILED", "FAIL")}
    assert all("loss is nan" in record.tags["alpharho.error"] for record in trials)
    assert {record.status for record in of_kind("cell") + of_kind("sweep")} == {"FAILED"}


def test_one_diverging_trial_is_drawn_anew(here, monkeypatch):
    draw = search_space.train_config
    spoiled: list[int] = []

    def spoil_the_first(base, params):
        drawn = draw(base, params)
        if spoiled:
            return drawn
        spoiled.append(0)
        return dataclasses.replace(drawn, learning_rate=1e38)

    monkeypatch.setattr(search_space, "train_config", spoil_the_first)
    found, failures = run(ONE)
    assert failures == []
    assert (found[0].metrics["trials_complete"], found[0].metrics["trials_failed"]) == (2, 1)


def test_pruned_trials_count_and_are_told(here):
    ((found,), _) = run(dataclasses.replace(ONE, epochs=12, trials=16, wave=4, pruner="median"))
    assert found.metrics["trials_complete"] + found.metrics["trials_pruned"] == 16
    assert found.metrics["trials_pruned"] > 0
    pruned = [record for record in of_kind("trial") if record.tags["optuna.state"] == "PRUNED"]
    assert {record.status for record in pruned} == {"KILLED"}
    assert len(pruned) == found.metrics["trials_pruned"]


def test_what_mattered_is_kept_with_the_cell(here):
    run(dataclasses.replace(ONE, trials=6))
    (cell,) = of_kind("cell")
    table = tracking.connect("alpharho").read_text(cell.run_id, "importance.csv")
    assert table.splitlines()[0] == "hyperparameter,mean,deviation"
    assert {line.partition(",")[0] for line in table.splitlines()[1:]} == {"learning_rate", "beta_1", "beta_2"}


def test_a_cell_whose_run_was_deleted_is_tested_again_though_that_is_interrupted_once(here, monkeypatch):
    run(ONE)
    for record in (*of_kind("cell"), *of_kind("trial")):
        tracking.connect("alpharho").delete(record.run_id)

    def interrupt(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(search, "evaluate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(ONE)
    ((found,), _) = run(ONE)
    assert "test_top1" in found.metrics
    assert faults(*stores(here), cells=1, total=2) == []


def test_a_winner_that_diverges_on_all_pictures_fails_its_cell_alone(here, monkeypatch):
    refit = HeadTrainer.refit

    def diverge(self, config, rates):
        if config.resolution == 32:
            raise UserError("wanted a loss that is a number")
        return refit(self, config, rates)

    monkeypatch.setattr(HeadTrainer, "refit", diverge)
    (found,), (failure,) = run(CONFIG)
    assert found.cell.resolution == 48
    assert "mobilenet_0.25_32" in failure
    assert [record.status for record in of_kind("sweep")] == ["FAILED"]
    assert sorted(record.status for record in of_kind("cell")) == ["FAILED", "FINISHED"]


def test_a_network_is_written_before_the_next_one_of_its_round_has_ended(here, monkeypatch):
    done = []

    def fit_trials(_trainer, _configs, trials, **_options):
        if done:
            raise KeyboardInterrupt
        done.append(0)
        return [complete(trial) for trial in trials]

    monkeypatch.setattr(tasks, "fit_trials", fit_trials)
    with pytest.raises(KeyboardInterrupt):
        run(dataclasses.replace(ONE, weights="none", freeze_conv=False, wave=2))
    (study,) = optuna.get_all_study_summaries(stores(here)[0])
    assert study.n_trials == 1


@pytest.mark.slow
def test_whole_networks_are_searched_one_by_one_and_shown_live(here, monkeypatch):
    seen: list[tuple[str, int]] = []
    log_epoch = Tracker.log_epoch

    def look(self, run_id, epoch, scores, ended):
        log_epoch(self, run_id, epoch, scores, ended)
        seen.append((self.client.get_run(run_id).info.status, epoch))

    monkeypatch.setattr(Tracker, "log_epoch", look)
    (found,), _ = run(dataclasses.replace(ONE, weights="none", freeze_conv=False, wave="auto"))
    assert found.metrics["trials_complete"] == 2
    assert seen == [("RUNNING", 1), ("RUNNING", 2)] * 2
    assert faults(*stores(here), cells=1, total=2) == []
    first, second = sorted(of_kind("trial"), key=lambda record: record.name)
    assert first.metrics["params_trainable"] > 200_000
    assert first.params["learning_rate"] != second.params["learning_rate"]


@pytest.mark.slow
def test_finetuning_is_searched_and_pruned_in_its_own_range(here):
    config = dataclasses.replace(
        ONE, freeze_conv=False, unfreeze=1, epochs=4, trials=4, wave="auto", pruner="successive_halving"
    )
    (found,), _ = run(config)
    assert found.metrics["trials_complete"] + found.metrics["trials_pruned"] == 4
    assert found.metrics["trials_pruned"] > 0
    assert found.metrics["params_trainable"] < 110_000
    low, high = FINETUNING_RATE_RANGE
    assert all(low <= float(record.params["learning_rate"]) <= high for record in of_kind("trial"))


def test_a_finished_cell_is_repeated_when_that_is_asked_for_later(here):
    run(ONE)
    found, failures = run(dataclasses.replace(ONE, repeats=3))
    assert failures == []
    assert found[0].metrics["repeats"] == 3
    (cell,) = of_kind("cell")
    table = pd.read_csv(io.StringIO(tracking.connect("alpharho").read_text(cell.run_id, "repeats.csv")))
    assert table["kind"].value_counts().to_dict() == {"refit": 3, "cut": 3}
    for kind in ("refit", "cut"):
        scores = table.loc[table["kind"] == kind, "test_top1"]
        assert found[0].metrics[f"{kind}_top1_mean"] == pytest.approx(scores.mean())
        assert found[0].metrics[f"{kind}_top1_std"] == pytest.approx(scores.std())
    assert faults(*stores(here), cells=1, total=2) == []


def test_a_new_winner_is_no_repeated_one(here):
    run(dataclasses.replace(ONE, repeats=2))
    found, _failures = run(dataclasses.replace(ONE, trials=3))
    assert found[0].metrics["repeats"] == 0
