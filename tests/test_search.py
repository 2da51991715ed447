"""A cell's search, in this process, with a real MLflow store and a real Optuna database."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipeline import tracking
from pipeline.config import SweepConfig
from tuning import optimize, search_space

CONFIG = SweepConfig(
    dataset="digits", weights="tiny", alphas=(0.25,), resolutions=(32, 48), trials=2, wave=2, epochs=2, train_limit=60
)


@pytest.fixture
def config(tmp_path, monkeypatch) -> SweepConfig:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return dataclasses.replace(CONFIG, work_dir=str(tmp_path / "work"), storage=f"sqlite:///{tmp_path}/optuna.db")


def test_trials_that_diverge_fail_with_their_reason_and_the_sweep_goes_on(config, monkeypatch):
    monkeypatch.setitem(search_space.RANGES, "learning_rate", (1e37, 1e38))
    tracker = tracking.connect("alpharho")
    found, failures = optimize.sweep(config, tracker)
    assert found == []
    assert [failure.split()[5] for failure in failures] == [
        "digits-mobilenet_0.25_32-frozen.",
        "digits-mobilenet_0.25_48-frozen.",
    ]
    trials = tracker.search("tags.`alpharho.kind` = 'trial'")
    assert len(trials) == 8  # each of two cells draws two anew, once
    assert {(run.status, run.tags["optuna.state"]) for run in trials} == {("FAILED", "FAIL")}
    assert all("loss is nan" in run.tags["alpharho.error"] for run in trials)
    assert {run.status for run in tracker.search("tags.`alpharho.kind` = 'cell'")} == {"FAILED"}


def test_one_diverging_trial_is_drawn_anew(config, monkeypatch):
    draw = search_space.suggest
    spoiled: list[int] = []

    def spoil_the_first(trial, base):
        drawn = draw(trial, base)
        if getattr(trial, "number", None) == 0 and not spoiled:
            spoiled.append(0)
            return dataclasses.replace(drawn, learning_rate=1e38)
        return drawn

    monkeypatch.setattr(search_space, "suggest", spoil_the_first)
    tracker = tracking.connect("alpharho")
    found, failures = optimize.sweep(dataclasses.replace(config, resolutions=(32,)), tracker)
    assert failures == []
    assert (found[0].metrics["trials_complete"], found[0].metrics["trials_failed"]) == (2, 1)


def test_more_cells_begin_another_sweep_that_takes_the_finished_ones_in(config):
    tracker = tracking.connect("alpharho")
    optimize.sweep(dataclasses.replace(config, resolutions=(32,)), tracker)
    optimize.sweep(config, tracker)
    newest, oldest = tracker.search("tags.`alpharho.kind` = 'sweep'")
    assert (oldest.params["resolutions"], newest.params["resolutions"]) == ("32", "32,48")
    cells = tracker.search("tags.`alpharho.kind` = 'cell'")
    assert [cell.parent for cell in cells] == [newest.run_id] * 2
    assert len(tracker.search("tags.`alpharho.kind` = 'trial'")) == 4


def test_a_store_that_was_thrown_away_is_filled_again(config, tmp_path):
    config = dataclasses.replace(config, resolutions=(32,))
    (before,), _ = optimize.sweep(config, tracking.connect("alpharho"))
    Path(tmp_path, "mlflow.db").unlink()
    (after,), _ = optimize.sweep(config, tracking.connect("alpharho"))
    assert after.metrics["test_top1"] == before.metrics["test_top1"]
    assert after.metrics["trials_complete"] == 2


@pytest.mark.slow
def test_whole_networks_are_searched_one_by_one(config):
    config = dataclasses.replace(config, weights="none", freeze_conv=False, resolutions=(32,), epochs=1)
    tracker = tracking.connect("alpharho")
    (found,), _ = optimize.sweep(config, tracker)
    assert found.metrics["trials_complete"] == 2
    first, second = sorted(tracker.search("tags.`alpharho.kind` = 'trial'"), key=lambda run: run.name)
    assert first.metrics["params_trainable"] > 200_000
    assert first.params["learning_rate"] != second.params["learning_rate"]
