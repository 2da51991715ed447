"""A sweep in this process, with a real MLflow store and a real Optuna database."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from optuna.distributions import FloatDistribution

from pipeline import tracking
from pipeline.config import FINETUNING_RATE_RANGE, SweepConfig
from pipeline.shell.errors import UserError
from pipeline.tracking import records
from pipeline.tracking.runs import CELLS_TAG
from pipeline.tracking.tracker import Tracker
from pipeline.training.frozen import HeadTrainer
from tests.study_samples import complete
from tests.sweep_state import faults
from tuning import search, search_space, tasks
from tuning.executors import InlineExecutor
from tuning.storage import DriverLock, LockLostError, driver_lock, open_storage
from tuning.summary import CellResult
from tuning.sweep import sweep

CONFIG = SweepConfig(
    dataset="digits", weights="tiny", alphas=(0.25,), resolutions=(32, 48), trials=2, wave=2, epochs=2, train_limit=60
)
ONE = dataclasses.replace(CONFIG, resolutions=(32,))


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    """Feature tables, of which all sweeps here want the same."""
    return tmp_path_factory.mktemp("tables")


@pytest.fixture
def here(folder: Path, tables: Path, tracker) -> Path:
    """A folder with an empty store, in which every sweep of a test runs."""
    (folder / "work").symlink_to(tables)
    return folder


def run(config: SweepConfig) -> tuple[list[CellResult], list[str]]:
    with driver_lock(config.storage) as lock:
        tracker = tracking.connect("alpharho")
        _run, cells, failures = sweep(config, open_storage(config.storage), lock, tracker, InlineExecutor())
    return cells, failures


def of_kind(kind: str) -> list[tracking.RunRecord]:
    return tracking.connect("alpharho").search(f"tags.`alpharho.kind` = '{kind}'")


def metrics(cell: CellResult) -> dict[str, float]:
    return {name: value for name, value in cell.metrics.items() if name not in ("seconds", "pictures_per_second")}


def stores(folder: Path) -> tuple[str, str]:
    return f"sqlite:///{folder}/optuna.db", f"sqlite:///{folder}/mlflow.db"


def test_a_sweep_is_whole_and_the_same_again_does_nothing(here):
    first, _ = run(CONFIG)
    assert faults(*stores(here), cells=2, total=2) == []
    ended = [(record.run_id, record.started, record.seconds) for record in of_kind("sweep") + of_kind("cell")]
    again, _ = run(CONFIG)
    assert [cell.metrics for cell in again] == [cell.metrics for cell in first]
    assert [(record.run_id, record.started, record.seconds) for record in of_kind("sweep") + of_kind("cell")] == ended


def test_more_trials_go_on_in_the_same_runs(here):
    run(ONE)
    before = {record.run_id for record in of_kind("sweep") + of_kind("cell") + of_kind("trial")}
    run(dataclasses.replace(ONE, trials=5))
    (study,) = optuna.get_all_study_names(stores(here)[0])
    assert faults(*stores(here), cells=1, total=5) == [f"{study} cell: tested 2 times"]
    assert before <= {record.run_id for record in of_kind("sweep") + of_kind("cell") + of_kind("trial")}
    assert len(of_kind("trial")) == 5


def test_another_seed_is_another_study_beside_it(here):
    run(ONE)
    run(dataclasses.replace(ONE, seed=1))
    assert len(optuna.get_all_study_names(stores(here)[0])) == 2
    assert len(of_kind("sweep")) == len(of_kind("cell")) == 2
    assert len({record.key for record in of_kind("trial")}) == 4


def test_finished_cells_are_linked_under_a_new_sweep_and_stay_where_they_are(here):
    run(ONE)
    (cell,) = of_kind("cell")
    cells, _ = run(CONFIG)
    newest, oldest = of_kind("sweep")
    assert len(cells) == 2
    assert (oldest.params["resolutions"], newest.params["resolutions"]) == ("32", "32,48")
    assert {record.run_id: record.parent for record in of_kind("cell")}[cell.run_id] == oldest.run_id
    assert newest.tags[CELLS_TAG] == cell.run_id
    tracker = tracking.connect("alpharho")
    assert len(tracker.cells_of(newest.run_id)) == 2
    assert {record.status for record in of_kind("sweep")} == {"FINISHED"}


def test_a_deleted_sweep_is_made_again_by_the_same_command(here):
    run(ONE)
    (outer,), (cell,) = of_kind("sweep"), of_kind("cell")
    tracking.connect("alpharho").delete(outer.run_id)
    run(ONE)
    (again,) = of_kind("sweep")
    assert (again.status, again.tags[CELLS_TAG]) == ("FINISHED", cell.run_id)
    assert again.run_id != outer.run_id


def test_an_empty_store_is_filled_from_optunas_database(here, monkeypatch):
    (before,), _ = run(ONE)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{here}/another.db")
    (after,), _ = run(ONE)
    assert metrics(after) == metrics(before)
    assert faults(stores(here)[0], f"sqlite:///{here}/another.db", cells=1, total=2) == []


def test_what_a_driver_that_died_left_open_is_closed_and_completed(here):
    run(ONE)
    tracker = tracking.connect("alpharho")
    first, second = of_kind("trial")
    for left in (*of_kind("cell"), *of_kind("sweep"), second):
        tracker.client.update_run(left.run_id, status="RUNNING")
    tracker.delete(first.run_id)
    tags = {"alpharho.database": second.tags["alpharho.database"]}
    other = tracker.open("sweep of another command", "sweep", tags=tags, key="sweep other")
    run(ONE)
    assert tracker.tags(other)["alpharho.error"] == "its driver died"
    tracker.delete(other)
    assert faults(*stores(here), cells=1, total=2) == []


def test_a_run_of_another_database_is_left_alone(here, tmp_path):
    run(ONE)
    tracker = tracking.connect("alpharho")
    foreign = tracker.open("sweep elsewhere", "sweep", tags={"alpharho.database": "other"}, key="sweep elsewhere")
    run(dataclasses.replace(ONE, trials=3))
    assert tracker.status(foreign) == "RUNNING"


def test_two_databases_keep_their_trials_apart(here, tmp_path):
    run(ONE)
    run(dataclasses.replace(ONE, storage=f"sqlite:///{tmp_path}/another.db"))
    assert len({record.key for record in of_kind("trial")}) == 4


def test_the_same_seed_gives_the_same_metrics_to_the_last_digit(here, tmp_path):
    (first,), _ = run(ONE)
    (second,), _ = run(dataclasses.replace(ONE, storage=f"sqlite:///{tmp_path}/b.db", work_dir=str(tmp_path / "b")))
    assert metrics(first) == metrics(second)


def test_trials_that_diverge_fail_with_their_reason_and_the_sweep_fails(here, monkeypatch):
    monkeypatch.setitem(search_space.DISTRIBUTIONS, "learning_rate", FloatDistribution(1e37, 1e38, log=True))
    found, failures = run(CONFIG)
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
    ((found,), _) = run(dataclasses.replace(ONE, epochs=12, trials=16, wave=4))
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


def test_what_was_closed_as_killed_at_the_very_end_is_finished_by_the_next_start(here):
    run(ONE)
    tracker = tracking.connect("alpharho")
    for left in (*of_kind("cell"), *of_kind("sweep")):
        tracker.close(left.run_id, "KILLED")
    run(ONE)
    assert {record.status for record in of_kind("cell") + of_kind("sweep")} == {"FINISHED"}


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


def test_a_driver_whose_database_another_one_has_leaves_the_runs_to_that_one(here, monkeypatch):
    def lose(_lock):
        raise LockLostError("another is at work")

    monkeypatch.setattr(DriverLock, "check", lose)
    with pytest.raises(LockLostError):
        run(ONE)
    assert {record.status for record in of_kind("sweep")} == {"RUNNING"}


def test_an_interrupt_before_the_first_cell_closes_the_sweep(here, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(records, "log_dataset", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(ONE)
    assert [record.status for record in of_kind("sweep")] == ["KILLED"]


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


def test_too_little_disk_is_refused_before_anything_is_begun(here, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=100))
    with pytest.raises(UserError, match=r"MB of free disk for feature tables"):
        run(dataclasses.replace(ONE, work_dir=str(tmp_path / "other")))
    assert optuna.get_all_study_names(stores(here)[0]) == []


def test_a_work_dir_that_cannot_be_made_is_told_in_one_line(here, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"a folder for feature tables at .*file/x\. Received: Not a directory"):
        run(dataclasses.replace(ONE, work_dir=str(tmp_path / "file" / "x")))


def test_tables_that_are_there_need_no_disk(here, monkeypatch):
    run(ONE)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=100_000))
    run(dataclasses.replace(ONE, trials=3))


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
