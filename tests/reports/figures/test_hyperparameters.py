"""How a search went."""

from __future__ import annotations

import math

import pytest
from tests.figures import samples

from reports.figures import search
from reports.figures.axes import FINETUNING_RANGES, RANGES
from reports.figures.frames import best

TRIALS = samples.trials()


def test_history_sorts_trials_by_state():
    info = search.history_info(TRIALS)
    counts = TRIALS["state"].value_counts()
    assert sum(dot.state == "COMPLETE" for dot in info.dots) == counts["COMPLETE"]
    assert sum(dot.state == "PRUNED" for dot in info.dots) == counts["PRUNED"]
    assert [number for number, _ in info.failed] == [16, 33]
    assert "&lt;b&gt;nan" in info.failed[0][1]


def test_the_running_best_counts_complete_trials_alone():
    trials = samples.trials(4).assign(
        state=["COMPLETE", "PRUNED", "COMPLETE", "COMPLETE"],
        val_top1=[0.5, 0.9, 0.4, 0.6],
        is_best=[False, False, False, True],
    )
    info = search.history_info(trials)
    assert info.running_best == [(0, 0.5), (2, 0.5), (3, 0.6)]
    assert search.history_alt(info) == (
        "3 complete, 1 pruned and 0 failed trials. The best validation top-1, 60.0 %, came with trial 3."
    )


def test_interrupted_trials_are_not_shown():
    state = TRIALS["state"].mask(TRIALS["number"].isin([2, 16]), "INTERRUPTED")  # 16 had failed
    info = search.history_info(TRIALS.assign(state=state))
    assert 2 not in [dot.number for dot in info.dots]
    assert [number for number, _ in info.failed] == [33]
    assert " and 1 failed trials." in search.history_alt(info)
    assert search.history_info(TRIALS.assign(state="INTERRUPTED")) is None


def test_a_search_that_only_failed_is_drawn():
    info = search.history_info(TRIALS[TRIALS["state"] == "FAIL"])
    assert [trace.name for trace in search.history_figure(info).data] == ["failed (no value)"]


@pytest.mark.parametrize("name", ["learning_rate", "beta_1", "beta_2"])
def test_a_slice_marks_the_best(name):
    info = search.slice_info(TRIALS, name)
    winner = best(TRIALS)
    wanted = winner[name] if name == "learning_rate" else 1 - winner[name]
    assert info.best.x == pytest.approx(wanted)
    low, high = search.slice_figure(info).layout.xaxis.range
    assert 10**low < search.RANGES[name][0] < search.RANGES[name][1] < 10**high


def test_importances_come_with_the_greatest_first():
    info = search.importances_info(TRIALS)
    assert info.names[0] == "learning_rate"
    assert info.means == sorted(info.means, reverse=True)
    assert search.importances_figure(info).data[0].error_x.array == tuple(100 * std for std in info.stds)
    assert search.importances_alt(info).startswith(
        "Share of the variance of validation top-1 by hyperparameter: learning"
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
    trials = samples.trials(1).assign(**{**middle, **drawn})
    note = search.edge_note(trials)
    assert note.count(" is near its ") == len(words)
    assert all(word in note for word in words)


def test_the_edges_are_those_of_the_sweeps_own_ranges():
    trials = samples.trials(1).assign(learning_rate=0.00099, beta_1=0.9, beta_2=0.99)
    assert search.edge_note(trials) == ""
    assert "learning rate 0.00099 is near its upper end, 0.001" in search.edge_note(trials, FINETUNING_RANGES)


@pytest.mark.parametrize("ranges", [RANGES, FINETUNING_RANGES])
def test_a_slice_is_as_wide_as_its_range(ranges):
    trials = samples.trials(1).assign(learning_rate=1e-3)
    low, high = search.slice_figure(search.slice_info(trials, "learning_rate", ranges)).layout.xaxis.range
    searched = [math.log10(end) for end in ranges["learning_rate"]]
    assert [low, high] == pytest.approx(searched, abs=0.25)


@pytest.mark.parametrize(("share", "is_near"), [(0.04, True), (0.06, False), (0.94, False), (0.96, True)])
def test_an_edge_is_five_per_cent_of_the_log_range(share, is_near):
    rate = 10 ** (-5 + 4 * share)
    trials = samples.trials(1).assign(learning_rate=rate, beta_1=0.9, beta_2=0.99)
    assert bool(search.edge_note(trials)) == is_near


def test_no_note_without_a_best():
    assert search.edge_note(TRIALS[:0]) == ""
    assert search.edge_note(TRIALS.assign(state="FAIL")) == ""
    assert search.edge_note(TRIALS.assign(learning_rate=math.nan, beta_1=math.nan, beta_2=math.nan)) == ""
