"""How a search went."""

from __future__ import annotations

import math

import pytest

from reports.figures import hyperparameters
from reports.figures.axes import FINETUNING_RANGES, RANGES
from reports.figures.frames import best
from tests.reports.figures import frame_samples

TRIALS = frame_samples.trials()


def test_history_sorts_trials_by_state():
    info = hyperparameters.history_info(TRIALS)
    counts = TRIALS["state"].value_counts()
    assert sum(dot.state == "COMPLETE" for dot in info.dots) == counts["COMPLETE"]
    assert sum(dot.state == "PRUNED" for dot in info.dots) == counts["PRUNED"]
    assert [number for number, _ in info.failed] == [16, 33]
    assert "&lt;b&gt;nan" in info.failed[0][1]


def test_the_running_best_counts_complete_trials_alone():
    trials = frame_samples.trials(4).assign(
        state=["COMPLETE", "PRUNED", "COMPLETE", "COMPLETE"],
        val_top1=[0.5, 0.9, 0.4, 0.6],
        is_best=[False, False, False, True],
    )
    info = hyperparameters.history_info(trials)
    assert info.running_best == [(0, 0.5), (2, 0.5), (3, 0.6)]
    assert hyperparameters.history_alt(info) == (
        "3 complete, 1 pruned and 0 failed trials. The best validation top-1, 60.0 %, came with trial 3."
    )


@pytest.mark.parametrize("unended", ["KILLED", "RUNNING"])
def test_trials_that_have_not_ended_are_not_shown(unended):
    state = TRIALS["state"].mask(TRIALS["number"].isin([2, 16]), unended)  # 16 had failed
    info = hyperparameters.history_info(TRIALS.assign(state=state))
    assert 2 not in [dot.number for dot in info.dots]
    assert [number for number, _ in info.failed] == [33]
    assert " and 1 failed trials." in hyperparameters.history_alt(info)
    assert hyperparameters.history_info(TRIALS.assign(state=unended)) is None


def test_a_search_that_only_failed_is_drawn():
    info = hyperparameters.history_info(TRIALS[TRIALS["state"] == "FAIL"])
    assert [trace.name for trace in hyperparameters.history_figure(info).data] == ["failed (no value)"]


@pytest.mark.parametrize("name", ["learning_rate", "beta_1", "beta_2"])
def test_a_slice_marks_the_best(name):
    info = hyperparameters.slice_info(TRIALS, name)
    winner = best(TRIALS)
    wanted = winner[name] if name == "learning_rate" else 1 - winner[name]
    assert info.best.x == pytest.approx(wanted)
    low, high = hyperparameters.slice_figure(info).layout.xaxis.range
    assert 10**low < hyperparameters.RANGES[name][0] < hyperparameters.RANGES[name][1] < 10**high


def test_importances_come_with_the_greatest_first():
    info = hyperparameters.importances_info(frame_samples.importance())
    assert info == (["learning_rate", "beta_1", "beta_2"], [0.85, 0.11, 0.04], [0.05, 0.03, 0.01])
    (bars,) = hyperparameters.importances_figure(info).data
    assert bars.y == ("learning rate", "1 - β₁", "1 - β₂")
    assert bars.x == pytest.approx((85, 11, 4))
    assert bars.error_x.array == pytest.approx((5, 3, 1))
    assert hyperparameters.importances_alt(info) == (
        "Share of the variance of validation top-1 by hyperparameter: "
        "learning rate 85 % (± 5), 1 - β₁ 11 % (± 3), 1 - β₂ 4 % (± 1)."
    )


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        ({"learning_rate": 0.099}, ["learning rate 0.099 is near its upper end, 0.1"]),
        ({"learning_rate": 1.01e-5}, ["learning rate 1.01e-5 is near its lower end, 1e-5"]),
        (
            {"beta_1": 0.5, "beta_2": 0.9999},
            ["1 - β₁ 0.5 is near its upper end", "1 - β₂ 0.0001 is near its lower end"],
        ),
    ],
)
def test_a_note_where_the_best_sits_at_an_edge(drawn, words):
    middle = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.99}
    trials = frame_samples.trials(1).assign(**{**middle, **drawn})
    note = hyperparameters.edge_note(trials)
    assert note.count(" is near its ") == len(words)
    assert all(word in note for word in words)


def test_the_edges_are_those_of_the_sweeps_own_ranges():
    trials = frame_samples.trials(1).assign(learning_rate=0.00099, beta_1=0.9, beta_2=0.99)
    assert hyperparameters.edge_note(trials) == ""
    assert "learning rate 0.00099 is near its upper end, 0.001" in hyperparameters.edge_note(trials, FINETUNING_RANGES)


@pytest.mark.parametrize("ranges", [RANGES, FINETUNING_RANGES])
def test_a_slice_is_as_wide_as_its_range(ranges):
    trials = frame_samples.trials(1).assign(learning_rate=1e-3)
    low, high = hyperparameters.slice_figure(
        hyperparameters.slice_info(trials, "learning_rate", ranges)
    ).layout.xaxis.range
    searched = [math.log10(end) for end in ranges["learning_rate"]]
    assert [low, high] == pytest.approx(searched, abs=0.25)


@pytest.mark.parametrize(("share", "is_near"), [(0.04, True), (0.06, False), (0.94, False), (0.96, True)])
def test_an_edge_is_five_per_cent_of_the_log_range(share, is_near):
    rate = 10 ** (-5 + 4 * share)
    trials = frame_samples.trials(1).assign(learning_rate=rate, beta_1=0.9, beta_2=0.99)
    assert bool(hyperparameters.edge_note(trials)) == is_near


def test_no_note_without_a_best():
    assert hyperparameters.edge_note(TRIALS[:0]) == ""
    assert hyperparameters.edge_note(TRIALS.assign(state="FAIL")) == ""
    assert hyperparameters.edge_note(TRIALS.assign(learning_rate=math.nan, beta_1=math.nan, beta_2=math.nan)) == ""
