"""Learning curves."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from reports.figures import curves
from tests.reports.figures import frame_samples

TRIALS = frame_samples.trials()
CURVES = frame_samples.curves(TRIALS)


def test_all_trials_are_one_trace_with_gaps():
    info = curves.curves_info(CURVES, TRIALS, "top1")
    gaps = info.others_val.values.count(None)
    assert info.trials == 38  # 40 less the two that failed
    assert gaps == 38 - 1 - 1  # without the best one, between those that are left
    assert [info.others_val.epochs[k] for k, value in enumerate(info.others_val.values) if value is None] == [
        None
    ] * gaps
    assert len(curves.curves_figure(info).data) == 5


def test_the_best_trial_and_the_final_model_stand_alone():
    info = curves.curves_info(CURVES, TRIALS, "loss")
    best = int(TRIALS["val_top1"].idxmax())
    assert info.best_number == best
    wanted = CURVES[(CURVES["number"] == best) & (CURVES["metric"] == "val_loss")]["value"]
    assert info.best_val.values == list(wanted)
    assert info.final.values == list(CURVES[(CURVES["number"] == -1) & (CURVES["metric"] == "train_loss")]["value"])


def test_marks_where_the_rate_fell_and_at_the_best_epoch():
    info = curves.curves_info(CURVES, TRIALS, "top1")
    assert info.rate_drops == [12, 21]
    assert info.best_epoch == 17
    shapes = curves.curves_figure(info).layout.shapes
    assert [(shape.x0, shape.showlegend) for shape in shapes] == [(12, True), (21, False), (17, True)]


def test_a_rate_that_falls_all_the_time_is_not_marked():
    falling = CURVES.copy()
    is_rate = falling["metric"] == "learning_rate"
    falling.loc[is_rate, "value"] = 0.01 / falling.loc[is_rate, "epoch"]
    assert curves.curves_info(falling, TRIALS, "top1").rate_drops == []


def test_a_plateau_may_fall_every_other_epoch():
    stepped = CURVES.copy()
    is_rate = stepped["metric"] == "learning_rate"
    stepped.loc[is_rate, "value"] = 0.01 * 0.5 ** ((stepped.loc[is_rate, "epoch"] - 1) // 2)
    assert curves.curves_info(stepped, TRIALS, "top1").rate_drops == list(range(3, 31, 2))  # 14 of 30


def test_before_any_trial_is_complete_only_the_faint_lines_are_there():
    running = TRIALS.assign(state="RUNNING")
    info = curves.curves_info(CURVES[CURVES["number"] >= 0], running, "top1")
    assert info.best_number is None
    assert [trace.name for trace in curves.curves_figure(info).data] == ["other trials, train", "other trials, val"]
    assert curves.curves_alt(info) == "Curves of top-1 over the epochs for 38 of 40 trials."


def test_killed_trials_are_neither_shown_nor_counted():
    all_failed_and_one_with_curves = [2, 16, 33]
    state = TRIALS["state"].mask(TRIALS["number"].isin(all_failed_and_one_with_curves), "KILLED")
    info = curves.curves_info(CURVES, TRIALS.assign(state=state), "top1")
    assert curves.curves_alt(info).startswith("Curves of top-1 over the epochs for 37 trials.")
    assert info.others_val.values.count(None) == 37 - 1 - 1


@pytest.mark.parametrize("family", ["top1", "loss"])
def test_no_figure_without_a_line(family):
    final = CURVES[CURVES["number"] == curves.FINAL]
    assert curves.curves_info(final, TRIALS, family) is not None
    assert curves.curves_info(final.assign(metric=f"val_{family}"), TRIALS, family) is None
    assert curves.curves_info(CURVES.assign(value=math.nan), TRIALS, family) is None


@pytest.mark.parametrize("has_best", [True, False])
def test_one_trial_that_diverges_does_not_flatten_the_losses(has_best):
    trials = TRIALS if has_best else TRIALS.assign(state="RUNNING")
    broken = CURVES if has_best else CURVES[CURVES["number"] >= 0]
    diverged = (broken["number"] == 0) & (broken["metric"] == "val_loss")
    info = curves.curves_info(broken.assign(value=broken["value"].mask(diverged, 1e12)), trials, "loss")
    assert max(value for value in info.others_val.values if value is not None) == 1e12
    low, high = curves.curves_figure(info).layout.yaxis.range
    assert 10**low < 0.2
    assert 2 < 10**high < 50


def test_losses_that_are_not_finite_are_gaps():
    broken = CURVES.copy()
    broken.loc[broken["metric"] == "val_loss", "value"] = math.inf
    info = curves.curves_info(broken, TRIALS, "loss")
    assert set(info.best_val.values) == {None}
    assert "Infinity" not in curves.curves_figure(info).to_json()


def test_thinning_keeps_the_first_the_last_and_the_best():
    rng = np.random.default_rng(0)
    long = pd.concat(
        pd.DataFrame({"number": 3, "metric": metric, "epoch": range(1, 5001), "value": rng.random(5000)})
        for metric in ("val_loss", "val_top1")
    )
    thinned = curves.thin(long, 50)
    for metric, best in (("val_loss", "idxmin"), ("val_top1", "idxmax")):
        before, after = (frame[frame["metric"] == metric].set_index("epoch")["value"] for frame in (long, thinned))
        assert len(after) <= 50
        assert {1, 5000, getattr(before, best)()} <= set(after.index)
        assert max(np.diff(after.index)) <= 5000 / 48 + 1


def test_thinning_leaves_short_curves_alone():
    assert len(curves.thin(CURVES, 30)) == len(CURVES)
    assert curves.thin(CURVES[:0], 30).empty


def test_the_alt_text_names_the_best():
    text = curves.curves_alt(curves.curves_info(CURVES, TRIALS, "top1"))
    assert text.startswith("Curves of top-1 over the epochs for 38 of 40 trials. The best, trial ")
    assert text.endswith(" %.")
