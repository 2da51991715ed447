"""What holds for every figure: None where nothing is to be shown, no fixed width, names that a browser finds inert."""

from __future__ import annotations

import math
import re

import pandas as pd
import pytest

from reports import figures
from reports.figures.chart import Chart
from reports.figures.labels import pct, short
from tests.reports.figures import frame_samples

TRIALS = frame_samples.trials()
CURVES = frame_samples.curves(TRIALS)
CONFUSION = frame_samples.confusion(10, names=frame_samples.HOSTILE)
CELLS = frame_samples.cells("digits")
SWEEPS = frame_samples.sweeps("digits")

CALLS: dict[str, tuple[Chart, tuple[object, ...]]] = {
    "tradeoff": (figures.TRADEOFF, (CELLS, SWEEPS)),
    "tradeoff over parameters": (figures.TRADEOFF, (CELLS, SWEEPS, "params_total")),
    "files over bytes": (figures.FILES, (frame_samples.files(), "bytes")),
    "files over time": (figures.FILES, (frame_samples.files(), "p50_ms")),
    "curves of top-1": (figures.CURVES, (CURVES, TRIALS, "top1")),
    "curves of the loss": (figures.CURVES, (CURVES, TRIALS, "loss")),
    "history": (figures.HISTORY, (TRIALS,)),
    "slice": (figures.SLICE, (TRIALS, "beta_1")),
    "parallel": (figures.PARALLEL, (TRIALS,)),
    "contour": (figures.CONTOUR, (TRIALS,)),
    "importances": (figures.IMPORTANCES, (frame_samples.importance(),)),
    "per class": (figures.PER_CLASS, (frame_samples.per_class(CONFUSION),)),
    "confusion": (figures.CONFUSION, (CONFUSION,)),
    "savings": (figures.SAVINGS, (0.75, 192, 10.0)),
}
OF_FRAMES = [name for name in CALLS if name != "savings"]


@pytest.mark.parametrize("call", CALLS)
def test_a_figure_has_an_alt_text_and_no_width(call):
    chart, args = CALLS[call]
    info = chart.info(*args)
    drawn = chart.figure(info)
    assert drawn.layout.width is None
    assert drawn.layout.height > 100
    text = chart.alt(info)
    assert re.search(r"\d", text)
    assert text.endswith(".")
    assert "nan" not in text


@pytest.mark.parametrize("call", OF_FRAMES)
def test_an_empty_frame_gives_none(call):
    chart, args = CALLS[call]
    assert chart.info(*(arg[:0] if isinstance(arg, pd.DataFrame) else arg for arg in args)) is None


@pytest.mark.parametrize("call", OF_FRAMES)
def test_frames_without_numbers_raise_nothing(call):
    chart, args = CALLS[call]
    info = chart.info(*(emptied(arg) for arg in args))
    if info is not None:
        chart.figure(info).to_json()
        chart.alt(info)


def emptied(arg: object) -> object:
    """A frame whose numbers are NaN, but for those that every row has."""
    if not isinstance(arg, pd.DataFrame):
        return arg
    numbers = arg.select_dtypes("number").columns.difference(["number", "epoch"])
    return arg.assign(**dict.fromkeys(numbers, math.nan))


@pytest.mark.parametrize("call", ["history", "slice", "parallel", "contour"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_search_that_just_began_raises_nothing(call, count):
    chart, args = CALLS[call]
    info = chart.info(TRIALS[:count], *args[1:])
    if info is not None:
        chart.figure(info).to_json()
        chart.alt(info)


def test_of_two_tied_trials_all_figures_name_the_winner():
    tied = TRIALS.assign(state="COMPLETE", best_epoch=5.0, is_best=TRIALS["number"] == 9)
    tied["val_top1"] = [0.99 if number in (3, 9) else 0.5 + number / 100 for number in tied["number"]]
    winner = tied.loc[9]
    curves = figures.CURVES.info(frame_samples.curves(tied), tied, "top1")
    history = figures.HISTORY.info(tied)
    one_slice = figures.SLICE.info(tied, "learning_rate")
    assert [curves.best_number, history.best.number, one_slice.best.number] == [9, 9, 9]
    rate, beta_1 = short(winner["learning_rate"]), short(1 - winner["beta_1"])
    assert figures.HISTORY.alt(history).endswith(f"{pct(0.99)}, came with trial 9.")
    assert figures.SLICE.alt(one_slice).endswith(f"best {pct(0.99)} at {rate}.")
    assert f"learning rate {rate}," in figures.PARALLEL.alt(figures.PARALLEL.info(tied))
    assert f"1 - β₁ = {beta_1} and" in figures.CONTOUR.alt(figures.CONTOUR.info(tied))
