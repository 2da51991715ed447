"""From the runs of a real store to frames."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from pipeline.networks import costs
from pipeline.shell.errors import UserError
from pipeline.tracking import TrialRun
from reports import tables
from reports.tables import choice, detail
from tests.reports.report_samples import CELLS, DOGS, ODD_NAMES, PICTURES, RUN, STARTED, sample_store, write_sweep

if TYPE_CHECKING:
    pass

SMALL = {"cells": CELLS[:2], "trials": 8, "epochs": 6}


@pytest.fixture(scope="module")
def store(tmp_path_factory, empty_database):
    """A tracker, and the run ids of sweeps by what is odd about them; not to be written to."""
    tracker = sample_store(tmp_path_factory.mktemp("store"), empty_database)
    ids = {
        "whole": write_sweep(tracker, **SMALL),
        "odd": write_sweep(tracker, **SMALL, classes=ODD_NAMES, running=True),
        "empty": write_sweep(tracker, **SMALL, empty=True),
        "bare": write_sweep(tracker, **SMALL, bare=True, running=True),
        "dogs": write_sweep(tracker, **SMALL | {"cells": DOGS[:2]}, dataset="stanford_dogs", weights="imagenet"),
    }
    return SimpleNamespace(tracker=tracker, ids=ids)


def test_a_finished_sweep(store):
    found = tables.read(store.tracker, [store.ids["whole"]])
    (sweep,) = found.sweeps.to_dict("records")
    assert (sweep["sweep"], sweep["name"], sweep["status"]) == ("digits", "sweep digits", "FINISHED")
    assert sweep["started"] == pd.Timestamp("2026-11-23 10:49", tz="UTC")
    assert sweep["seconds"] == 2 * 2 * SMALL["trials"]
    assert (sweep["classes"], sweep["pictures_train_and_val"], sweep["digest"]) == (10, PICTURES, "4ee7cc36d0f9")
    assert sweep["settings"].items() >= {"dataset": "digits", "weights": "tiny", "epochs": "6"}.items()
    assert "cores" in sweep["device"]
    assert "keras 3" in sweep["versions"]
    assert sweep["caveat"] == ""
    assert found.cells["cell"].tolist() == ["mobilenet_0.25_48", "mobilenet_0.25_96"]
    assert found.cells["resolution"].tolist() == [48, 96]
    assert found.cells["mult_adds"].tolist() == [costs.mobilenet_mult_adds(cell, 10) for cell in CELLS[:2]]
    assert found.cells[["trials_complete", "trials_pruned", "trials_failed"]].to_numpy().tolist() == [[5, 2, 1]] * 2
    assert found.trials["number"].tolist() == [*range(8), *range(8)]
    assert found.trials["state"].tolist()[3:6] == ["PRUNED", "COMPLETE", "FAIL"]


def test_every_cell_agrees_with_its_trials_and_tables(store):
    found = tables.read(store.tracker, [store.ids["whole"]])
    for cell in found.cells.itertuples():
        trials = found.trials[found.trials["cell"] == cell.cell].set_index("number")
        complete = trials[trials["state"] == "COMPLETE"]
        winner = complete.loc[int(cell.best_trial)]
        assert cell.val_top1 == winner["val_top1"] == complete["val_top1"].max()
        for name in ("learning_rate", "beta_1", "beta_2", "best_epoch"):
            assert getattr(cell, name) == winner[name]
        assert 0 <= cell.test_top1_low < cell.test_top1 < cell.test_top1_high <= 1
        per_class = found.per_class[found.per_class["cell"] == cell.cell]
        confusion = found.confusion[found.confusion["cell"] == cell.cell]
        assert per_class["correct"].sum() / per_class["pictures"].sum() == pytest.approx(cell.test_top1)
        assert np.allclose(per_class["top1"], per_class["correct"] / per_class["pictures"])
        right = confusion[confusion["truth"] == confusion["answer"]]
        assert right["count"].sum() == per_class["correct"].sum()
        assert confusion["count"].sum() == cell.test_pictures
        assert (confusion["count"] > 0).all()


def test_importances_of_finished_cells(store):
    found = tables.read(store.tracker, [store.ids[name] for name in ("whole", "odd")])
    finished = found.cells[found.cells["test_top1"].notna()]
    groups = found.importance.groupby(["sweep", "cell"])
    assert set(groups.groups) == set(zip(finished["sweep"], finished["cell"], strict=True))
    for _, group in groups:
        assert group["hyperparameter"].tolist() == ["learning_rate", "beta_1", "beta_2"]
        assert group["mean"].sum() == pytest.approx(1)
        assert (group["deviation"] > 0).all()


def test_failed_and_pruned_trials(store):
    found = tables.read(store.tracker, [store.ids["whole"]]).trials
    failed, pruned = found[found["state"] == "FAIL"], found[found["state"] == "PRUNED"]
    assert failed["val_top1"].isna().all()
    assert failed["error"].str.startswith("train_loss is nan in epoch").all()
    assert pruned["val_top1"].between(0, 1).all()
    assert (pruned["error"] == "").all()
    assert found["learning_rate"].between(1e-5, 1e-1).all()


def test_curves_of_trials_and_of_the_final_model(store):
    found = tables.read(store.tracker, [store.ids["whole"]])
    curves = found.curves[found.curves["cell"] == "mobilenet_0.25_48"]
    first = curves[curves["number"] == 0]
    assert first.groupby("metric")["epoch"].apply(list).to_dict() == {
        name: [*range(1, 7)] for name in detail.CURVE_NAMES
    }
    trial = found.trials.iloc[0]
    val = first[first["metric"] == "val_top1"]
    assert val["value"].max() == pytest.approx(trial["val_top1"], rel=1e-8)  # curves are kept to nine digits
    assert val["epoch"].iloc[val["value"].argmax()] == trial["best_epoch"]
    rates = first[first["metric"] == "learning_rate"]["value"]
    assert rates.iloc[0] == pytest.approx(trial["learning_rate"])
    failed = curves[(curves["number"] == 5) & (curves["metric"] == "val_loss")]["value"]
    assert failed.isna().sum() == 1
    final = curves[curves["number"] == -1]
    assert set(final["metric"]) == {"train_loss", "train_top1"}
    assert final["epoch"].max() == found.cells["best_epoch"].iloc[0]


def test_epochs_behind_the_final_models_best_are_an_earlier_trainings(tracker):
    sweep = write_sweep(tracker, **SMALL | {"cells": CELLS[:1]})
    (cell,) = (run for run in tracker.children(sweep))
    tracker.log_curves(cell.run_id, {"train_loss": [3.0, 2.0, 1.0]})
    tracker.log_metrics(cell.run_id, {"best_epoch": 2.0})
    final = tables.read(tracker, [sweep], 0).curves
    assert final[final["metric"] == "train_loss"]["value"].tolist() == [3.0, 2.0]
    assert set(final["number"]) == {-1}


def test_a_sweep_that_is_not_finished(store):
    found = tables.read(store.tracker, [store.ids["odd"]])
    assert found.sweeps["status"].tolist() == ["RUNNING"]
    assert math.isnan(found.sweeps["seconds"].iloc[0])
    done, open_ = found.cells.to_dict("records")
    assert (done["status"], open_["status"]) == ("FINISHED", "RUNNING")
    unknown = ("test_top1", "test_top1_low", "val_top1", "best_trial", "learning_rate", "delta_paper")
    assert all(math.isnan(open_[name]) for name in unknown)
    assert open_["mult_adds"] == costs.mobilenet_mult_adds(CELLS[1], len(ODD_NAMES))  # of its trials
    assert (open_["trials_complete"], open_["trials_pruned"], open_["trials_failed"]) == (5, 1, 1)
    half = found.trials.iloc[-1]
    assert (half["number"], half["state"], half["error"]) == (7, "RUNNING", "")
    assert half[["val_top1", "learning_rate", "seconds"]].isna().all()
    assert set(found.per_class["cell"]) == set(found.confusion["cell"]) == {done["cell"]}


def test_names_of_classes_are_as_they_were_given(store):
    found = tables.read(store.tracker, [store.ids["odd"]])
    assert found.per_class["class_name"].tolist() == list(ODD_NAMES)
    assert set(found.confusion["truth"]) == set(ODD_NAMES) >= set(found.confusion["answer"])


def test_a_cell_without_trials(store):
    found = tables.read(store.tracker, [store.ids["empty"]])
    cell = found.cells.iloc[1]
    assert (cell["cell"], cell["alpha"], cell["resolution"]) == ("mobilenet_0.25_96", 0.25, 96)
    assert cell[["mult_adds", "test_top1", "best_trial"]].isna().all()
    assert cell[["trials_complete", "trials_pruned", "trials_failed"]].tolist() == [0, 0, 0]
    assert set(found.trials["cell"]) == {"mobilenet_0.25_48"}


def test_runs_that_say_little(store):
    found = tables.read(store.tracker, [store.ids["bare"]])
    (sweep,) = found.sweeps.to_dict("records")
    assert (sweep["device"], sweep["digest"]) == ("", "")
    assert math.isnan(sweep["classes"])
    assert found.cells[["mult_adds", "params_total", "seconds", "best_epoch"]].isna().all(axis=None)
    assert found.cells["test_top1"].notna().tolist() == [True, False]
    for frame in (found.curves, found.per_class, found.confusion, found.importance):
        assert frame.empty


def test_the_frames_have_their_dtypes_whatever_there_is(store):
    whole, bare = (tables.read(store.tracker, [store.ids[name]]) for name in ("whole", "bare"))
    nothing = tables.read(store.tracker, [])
    for field in dataclasses.fields(tables.Tables)[:-1]:  # not the margin
        dtypes = getattr(whole, field.name).dtypes
        assert dtypes.equals(getattr(bare, field.name).dtypes), field.name
        assert dtypes.equals(getattr(nothing, field.name).dtypes), field.name
    assert (len(nothing.sweeps), len(nothing.cells)) == (0, 0)


def test_published_numbers_stand_beside(store):
    found = tables.read(store.tracker, [store.ids["dogs"]])
    cell = found.cells.iloc[0]
    assert (cell["paper_top1"], cell["replication_top1"]) == (0.805, 0.706)  # published.csv, mobilenet_0.75_192
    assert cell["delta_paper"] == pytest.approx(cell["test_top1"] - 0.805)
    assert cell["delta_replication"] == pytest.approx(cell["test_top1"] - 0.706)
    assert cell["untrained_top1"] > 0
    assert "seen the test pictures" in found.sweeps["caveat"].iloc[0]


def test_several_sweeps_are_told_apart(store):
    chosen = [store.ids[name] for name in ("dogs", "whole", "odd")]
    found = tables.read(store.tracker, chosen)
    names = found.sweeps["sweep"].tolist()
    assert names[0] == "stanford_dogs"
    assert names[1] == f"digits 2026-11-23 10:49:00 {chosen[1][:6]}"
    assert found.sweeps["run_id"].tolist() == chosen
    assert found.cells["sweep"].tolist() == [name for name in names for _ in range(2)]
    alone = tables.read(store.tracker, chosen[1:2])
    own = found.curves[found.curves["sweep"] == names[1]]
    pd.testing.assert_frame_equal(
        own.drop(columns="sweep").reset_index(drop=True), alone.curves.drop(columns="sweep"), check_exact=True
    )


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([("digits", 0)], ["digits"]),
        ([("digits", 0), ("letters", 0)], ["digits", "letters"]),
        ([("digits", 0), ("digits", 60)], ["digits 2026-11-23 10:49", "digits 2026-11-23 10:50"]),
        ([("digits", 0), ("digits", 1)], ["digits 2026-11-23 10:49:00", "digits 2026-11-23 10:49:01"]),
        ([("digits", 0), ("digits", 0)], ["digits 2026-11-23 10:49:00 000000", "digits 2026-11-23 10:49:00 000001"]),
        ([("folder:/a/dogs", 0), ("folder:/b/cats", 0)], ["folder:dogs", "folder:cats"]),
        (
            [("folder:/a/dogs", 0), ("folder:/b/dogs", 60)],
            ["folder:dogs 2026-11-23 10:49", "folder:dogs 2026-11-23 10:50"],
        ),
    ],
)
def test_labels_are_as_long_as_they_must(runs, expected):
    records = [
        dataclasses.replace(
            RUN, run_id=f"{number:06}", params={"dataset": name}, started=STARTED + timedelta(seconds=seconds)
        )
        for number, (name, seconds) in enumerate(runs)
    ]
    assert list(choice.labels(records).values()) == expected


def test_the_newest_sweep_with_a_test_is_taken(tracker):
    with pytest.raises(UserError, match=r"no sweep in the experiment 'alpharho'.*tuning/optimize.py"):
        tables.choose(tracker, [])
    small = {"cells": CELLS[:1], "trials": 2, "epochs": 2}
    untested = write_sweep(tracker, **small, running=True)
    assert tables.choose(tracker, []) == [untested]
    tested = write_sweep(tracker, **small, started=STARTED + timedelta(days=1))
    write_sweep(tracker, **small, started=STARTED + timedelta(days=2), running=True)
    assert tables.choose(tracker, []) == [tested]
    assert [run.started for run in tables.sweeps(tracker)] == [STARTED + timedelta(days=day) for day in (2, 1, 0)]


def test_cells_of_an_earlier_sweep_are_shown_with_their_trials(tracker):
    small = {"trials": 5, "epochs": 2}
    first = write_sweep(tracker, **small, cells=CELLS[:2])
    second = write_sweep(tracker, **small, cells=CELLS[2:3], started=STARTED + timedelta(days=1))
    linked = [run.run_id for run in tracker.children(first)]
    tracker.link(second, linked)
    found = tables.read(tracker, [second])
    assert found.cells["cell"].tolist() == [cell.name for cell in CELLS[:3]]
    assert set(found.cells["run_id"]) > set(linked)
    for frame in (found.cells, found.trials, found.curves, found.per_class, found.confusion):
        assert set(frame["sweep"]) == {"digits"}
        assert set(frame["cell"]) == {cell.name for cell in CELLS[:3]}
    assert tables.read(tracker, [first]).cells["cell"].tolist() == [cell.name for cell in CELLS[:2]]


def test_a_sweep_whose_cells_are_all_of_earlier_ones_has_results(tracker):
    small = {"cells": CELLS[:1], "trials": 2, "epochs": 2}
    first = write_sweep(tracker, **small)
    second = write_sweep(tracker, **small, started=STARTED + timedelta(days=1), running=True)
    assert tables.choose(tracker, []) == [first]
    tracker.link(second, [run.run_id for run in tracker.children(first)])
    assert tables.choose(tracker, []) == [second]


def test_ids_may_be_cut_short(store):
    whole, odd = store.ids["whole"], store.ids["odd"]
    assert tables.choose(store.tracker, [odd[:6], whole, odd]) == [odd, whole]


def test_an_id_that_is_no_sweeps_is_refused(store):
    cell = store.tracker.children(store.ids["whole"])[0].run_id
    cases = {
        cell: "the id of a cell run",
        "0" * 32: "which is no run's",
        store.ids["whole"][:5]: "which is too short",
        "": "which is too short",
    }
    for text, says in cases.items():
        for refuse in (tables.choose, tables.read):
            with pytest.raises(UserError, match=says) as caught:
                refuse(store.tracker, [text])
            assert "sweep digits, 2026-11-23 10:49" in str(caught.value)


def test_a_prefix_of_two_sweeps_is_refused(store):
    twins = [dataclasses.replace(RUN, run_id=f"abcdef{number}", name=f"sweep {number}") for number in range(2)]
    with pytest.raises(UserError, match=r"with which 2 ids begin.*abcdef0 \(sweep 0, .*abcdef1"):
        choice.find(store.tracker, [*twins, RUN], "abcdef")


def test_a_cell_that_was_searched_anew_counts_once(tracker):
    sweep = write_sweep(tracker, **SMALL | {"cells": CELLS[:1]})
    (tested,) = tracker.children(sweep)
    now = datetime.now(UTC)
    for name in (tested.name, "not ours"):
        anew = TrialRun(name, name, "FINISHED", now, now)
        tracker.set_tags(tracker.publish(anew, sweep), {"alpharho.kind": "cell"})
    tracker.publish(TrialRun("a note", "note", "FINISHED", now, now), sweep)
    assert tables.read(tracker, [sweep]).cells["run_id"].tolist() == [tested.run_id]


def test_a_thousand_classes(tracker):
    sweep = write_sweep(tracker, cells=CELLS[:1], trials=1, epochs=1, classes=1000)
    found = tables.read(tracker, [sweep])
    assert (len(found.per_class), found.per_class["pictures"].sum()) == (1000, 36_000)
    assert found.confusion["count"].sum() == 36_000
    assert found.per_class["class_name"].tolist()[7] == "7"


def test_one_class(tracker):
    found = tables.read(tracker, [write_sweep(tracker, cells=CELLS[:1], trials=1, epochs=1, classes=1)])
    assert found.cells["test_top1"].tolist() == [1.0]
    assert found.confusion[["truth", "answer", "count"]].to_numpy().tolist() == [["0", "0", 36]]
