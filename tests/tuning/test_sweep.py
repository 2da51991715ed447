"""A sweep in this process, with a real MLflow store and a real Optuna database."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy
from optuna.distributions import FloatDistribution

from pipeline import datasets, tracking
from pipeline.config import FINETUNING_RATE_RANGE, SweepConfig
from tuning import claims, search_space
from tuning.storage import open_storage
from tuning.sweep import SWEEP_KEY, open_studies, sweep

CONFIG = SweepConfig(
    dataset="digits", weights="tiny", alphas=(0.25,), resolutions=(32, 48), trials=2, wave=2, epochs=2, train_limit=60
)


@pytest.fixture
def config(tmp_path, monkeypatch) -> SweepConfig:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return dataclasses.replace(CONFIG, work_dir=str(tmp_path / "work"), storage=f"sqlite:///{tmp_path}/optuna.db")


def run(config: SweepConfig, tracker: tracking.Tracker):
    return sweep(config, open_storage(config.storage), tracker)


def test_trials_that_diverge_fail_with_their_reason_and_the_sweep_goes_on(config, monkeypatch):
    monkeypatch.setitem(search_space.DISTRIBUTIONS, "learning_rate", FloatDistribution(1e37, 1e38, log=True))
    tracker = tracking.connect("alpharho")
    found, failures = run(config, tracker)
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
    draw = search_space.train_config
    spoiled: list[int] = []

    def spoil_the_first(base, params):
        drawn = draw(base, params)
        if spoiled:
            return drawn
        spoiled.append(0)
        return dataclasses.replace(drawn, learning_rate=1e38)

    monkeypatch.setattr(search_space, "train_config", spoil_the_first)
    tracker = tracking.connect("alpharho")
    found, failures = run(dataclasses.replace(config, resolutions=(32,)), tracker)
    assert failures == []
    assert (found[0].metrics["trials_complete"], found[0].metrics["trials_failed"]) == (2, 1)


def test_the_same_seed_gives_the_same_metrics_to_the_last_digit(config, tmp_path):
    config = dataclasses.replace(config, resolutions=(32,))
    other = dataclasses.replace(config, storage=f"sqlite:///{tmp_path}/b.db", work_dir=str(tmp_path / "b"))
    tracker = tracking.connect("alpharho")
    (first,), (second,) = (run(each, tracker)[0] for each in (config, other))
    times = {"seconds", "pictures_per_second"}
    assert first.metrics.keys() > times
    assert {k: v for k, v in first.metrics.items() if k not in times} == {
        k: v for k, v in second.metrics.items() if k not in times
    }


def test_more_cells_begin_another_sweep_that_takes_the_finished_ones_in(config):
    tracker = tracking.connect("alpharho")
    run(dataclasses.replace(config, resolutions=(32,)), tracker)
    run(config, tracker)
    newest, oldest = tracker.search("tags.`alpharho.kind` = 'sweep'")
    assert (oldest.params["resolutions"], newest.params["resolutions"]) == ("32", "32,48")
    cells = tracker.search("tags.`alpharho.kind` = 'cell'")
    assert [cell.parent for cell in cells] == [newest.run_id] * 2
    assert len(tracker.search("tags.`alpharho.kind` = 'trial'")) == 4


def test_a_store_that_was_thrown_away_is_filled_again(config, tmp_path):
    config = dataclasses.replace(config, resolutions=(32,))
    (before,), _ = run(config, tracking.connect("alpharho"))
    Path(tmp_path, "mlflow.db").unlink()
    (after,), _ = run(config, tracking.connect("alpharho"))
    assert after.metrics["test_top1"] == before.metrics["test_top1"]
    assert after.metrics["trials_complete"] == 2
    assert len(tracking.connect("alpharho").search("tags.`alpharho.kind` = 'trial'")) == 2


def test_trials_that_a_dead_process_left_are_done_again(config):
    config = dataclasses.replace(config, resolutions=(32,))
    storage, tracker = open_storage(config.storage), tracking.connect("alpharho")
    (study,) = open_studies(config, storage, datasets.load(config)).values()
    lost = claims.claim(study, config, 2)
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')"))
    run(config, tracker)
    trials = study.study.get_trials()
    assert [trial.state.name for trial in trials] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    assert [trial.params for trial in trials[2:]] == [trial.params for trial in lost]
    states = Counter((run.status, run.tags["optuna.state"]) for run in tracker.search("tags.`alpharho.kind` = 'trial'"))
    assert states == {("KILLED", "FAIL"): 2, ("FINISHED", "COMPLETE"): 2}


def test_what_a_process_that_died_near_the_end_left_open_is_closed(config):
    config = dataclasses.replace(config, resolutions=(32,))
    tracker = tracking.connect("alpharho")
    run(config, tracker)
    runs = [*tracker.search("tags.`alpharho.kind` = 'cell'"), *tracker.search("tags.`alpharho.kind` = 'sweep'")]
    first, _second = tracker.search("tags.`alpharho.kind` = 'trial'")
    for left in runs:
        tracker.client.update_run(left.run_id, status="RUNNING")
    tracker.delete(first.run_id)
    run(config, tracker)
    assert not any(tracker.is_open(left.run_id) for left in runs)
    assert len(tracker.search("tags.`alpharho.kind` = 'trial'")) == 2


def test_a_sweeps_run_whose_maker_died_is_gone_on_with(config):
    config = dataclasses.replace(config, resolutions=(32,))
    tracker = tracking.connect("alpharho")
    cells = open_studies(config, open_storage(config.storage), datasets.load(config))
    for study in cells.values():
        study.keep(SWEEP_KEY, "a key")
    orphan = tracker.open("sweep digits", "sweep", key="a key")
    run(config, tracker)
    (outer,) = tracker.search("tags.`alpharho.kind` = 'sweep'")
    assert (outer.run_id, outer.status) == (orphan, "FINISHED")


def test_two_databases_keep_their_trials_apart(config, tmp_path):
    config = dataclasses.replace(config, resolutions=(32,))
    tracker = tracking.connect("alpharho")
    run(config, tracker)
    run(dataclasses.replace(config, storage=f"sqlite:///{tmp_path}/another.db"), tracker)
    keys = [trial.key for trial in tracker.search("tags.`alpharho.kind` = 'trial'")]
    assert len(set(keys)) == 4


def test_pruned_trials_count_and_are_told(config):
    config = dataclasses.replace(config, resolutions=(32,), epochs=12, trials=16, wave=4, pruner="median")
    tracker = tracking.connect("alpharho")
    ((found,), _) = run(config, tracker)
    assert found.metrics["trials_complete"] + found.metrics["trials_pruned"] == 16
    assert found.metrics["trials_pruned"] > 0
    pruned = tracker.search("tags.`optuna.state` = 'PRUNED'")
    assert {run.status for run in pruned} == {"KILLED"}
    assert len(pruned) == found.metrics["trials_pruned"]


@pytest.mark.slow
def test_whole_networks_are_searched_one_by_one(config):
    config = dataclasses.replace(config, weights="none", freeze_conv=False, resolutions=(32,), epochs=1)
    tracker = tracking.connect("alpharho")
    (found,), _ = run(config, tracker)
    assert found.metrics["trials_complete"] == 2
    first, second = sorted(tracker.search("tags.`alpharho.kind` = 'trial'"), key=lambda run: run.name)
    assert first.metrics["params_trainable"] > 200_000
    assert first.params["learning_rate"] != second.params["learning_rate"]


@pytest.mark.slow
def test_finetuning_is_searched_and_pruned_in_its_own_range(config):
    config = dataclasses.replace(
        config, freeze_conv=False, unfreeze=1, resolutions=(32,), epochs=4, trials=4, pruner="successive_halving"
    )
    tracker = tracking.connect("alpharho")
    (found,), _ = run(config, tracker)
    assert found.metrics["trials_complete"] + found.metrics["trials_pruned"] == 4
    assert found.metrics["trials_pruned"] > 0
    assert found.metrics["params_trainable"] < 110_000
    trials = tracker.search("tags.`alpharho.kind` = 'trial'")
    low, high = FINETUNING_RATE_RANGE
    assert all(low <= float(run.params["learning_rate"]) <= high for run in trials)
