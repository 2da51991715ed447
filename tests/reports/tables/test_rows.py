"""From single records of runs to rows."""

from __future__ import annotations

import dataclasses
import math

import pytest

from pipeline.config import Cell
from pipeline.tracking import RunRecord
from pipeline.tracking.runs import DataRecord
from reports.tables import rows
from tests.reports.report_samples import CELLS, RUN


def trial(number: int | str, run_id: str = "1", **changes) -> RunRecord:
    return dataclasses.replace(
        RUN, **{"run_id": run_id, "tags": {"alpharho.key": f"study@0123abcd#{number}"}} | changes
    )


def test_of_a_trial_that_was_killed_and_done_again_the_new_run_counts():
    runs = [trial(10), trial(9, "1", status="KILLED"), trial(9, "2", status="RUNNING"), trial(8, status="KILLED")]
    assert {number: run.run_id for number, run in rows.trials_of(runs).items()} == {8: "1", 9: "2", 10: "1"}
    assert list(rows.trials_of(runs)) == [8, 9, 10]


def test_what_is_no_trial_of_ours_is_left_out():
    others = ["study#7", "study@0123abcd cell", "study@0123abcd#x"]
    assert rows.trials_of([dataclasses.replace(RUN, tags={"alpharho.key": key}) for key in others] + [RUN]) == {}


@pytest.mark.parametrize(
    ("status", "tag", "state"),
    [
        ("FINISHED", "COMPLETE", "COMPLETE"),
        ("KILLED", "PRUNED", "PRUNED"),
        ("FAILED", "FAIL", "FAIL"),
        ("RUNNING", "COMPLETE", "RUNNING"),
        ("RUNNING", "", "RUNNING"),
        ("KILLED", "", "KILLED"),
    ],
)
def test_what_became_of_a_trial(status, tag, state):
    run = trial(1, status=status, tags={"optuna.state": tag} if tag else {})
    (row,) = rows.trial_rows("digits", CELLS[0], math.nan, {1: run})
    assert row["state"] == state


@pytest.mark.parametrize(("best", "winner"), [(2.0, 2), (math.nan, 1)], ids=["as the cell says", "the highest so far"])
def test_one_trial_is_the_best(best, winner):
    values = {0: 0.8, 1: 0.9, 2: 0.9, 3: math.nan}
    tags = {"optuna.state": "COMPLETE"}
    runs = {number: trial(number, metrics={"best_val_top1": value}, tags=tags) for number, value in values.items()}
    found = rows.trial_rows("digits", CELLS[0], best, runs)
    assert [row["number"] for row in found if row["is_best"]] == [winner]


def test_a_cell_is_known_by_its_params_its_trials_or_its_name():
    params = {"alpha": "0.25", "resolution": "48"}
    assert rows.cell_of(dataclasses.replace(RUN, params=params), []) == Cell(0.25, 48)
    assert rows.cell_of(RUN, [trial(0), trial(1, params=params)]) == Cell(0.25, 48)
    assert rows.cell_of(RUN, [trial(0)]) == Cell(0.5, 96)
    named = "folder:/of/mobilenet_0.25_32-mobilenet_1.0_224-finetuned-random"
    assert rows.cell_of(dataclasses.replace(RUN, name=named), []) == Cell(1.0, 224)
    assert rows.cell_of(dataclasses.replace(RUN, name="something else"), []) is None


def test_a_sweep_that_died_early_is_known_by_its_name():
    run = dataclasses.replace(RUN, name="sweep letters")
    row = rows.sweep_row("letters", run)
    assert (row["dataset"], row["settings"], row["caveat"]) == ("letters", {}, "")
    data = (DataRecord("other", "0", {}), DataRecord("letters", "1", {"classes": 26}))
    row = rows.sweep_row("letters", dataclasses.replace(run, data=data))
    assert (row["digest"], row["classes"]) == ("1", 26)
    assert math.isnan(row["pictures_train_and_val"])
