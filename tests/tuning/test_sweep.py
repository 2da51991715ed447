"""A sweep in this process, with a real MLflow store and a real Optuna database."""

from __future__ import annotations

import dataclasses
import shutil
from types import SimpleNamespace

import optuna
import pytest

from pipeline import tracking
from pipeline.shell.errors import UserError
from pipeline.tracking import records
from pipeline.tracking.runs import CELLS_TAG
from tests.small_sweeps import CONFIG, ONE, of_kind, run, stores
from tests.sweep_state import faults
from tuning.storage import DriverLock, LockLostError
from tuning.summary import CellResult


def metrics(cell: CellResult) -> dict[str, float]:
    return {name: value for name, value in cell.metrics.items() if name not in ("seconds", "pictures_per_second")}


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


def test_a_search_ends_by_itself_and_the_same_again_does_nothing(here):
    auto = dataclasses.replace(ONE, trials="auto", wave=8)
    run(auto)
    (study,) = optuna.get_all_study_summaries(stores(here)[0])
    assert study.user_attrs["judges"] == 60  # five folds
    total = study.user_attrs["trials"]
    assert total in (24, 32)  # all pictures are told apart at once, or nearly so
    assert faults(*stores(here), cells=1, total=total) == []
    ended = [record.run_id for record in of_kind("trial")]
    run(auto)
    assert [record.run_id for record in of_kind("trial")] == ended


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


def test_what_was_closed_as_killed_at_the_very_end_is_finished_by_the_next_start(here):
    run(ONE)
    tracker = tracking.connect("alpharho")
    for left in (*of_kind("cell"), *of_kind("sweep")):
        tracker.close(left.run_id, "KILLED")
    run(ONE)
    assert {record.status for record in of_kind("cell") + of_kind("sweep")} == {"FINISHED"}


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
