"""What fits a device, on tables made by hand and on the demo's sweep."""

from __future__ import annotations

import math
import re

import pytest

from pipeline.config import ChooseConfig
from pipeline.shell.errors import UserError
from reports import choose
from reports.choose import Option

LARGE = Option("mobilenet_1.0_224", "", "r1", 0.86, 0.87, 3.3e6, 569e6)
MIDDLE = Option("mobilenet_0.75_224", "", "r2", 0.85, 0.86, 1.9e6, 325e6)
SMALL = Option("mobilenet_0.5_160", "", "r3", 0.80, 0.79, 0.9e6, 76e6)


def as_file(cell: Option, precision: str, size: float, loss: float = 0.3, latency: float = 5.0) -> Option:
    lost = {"lost": loss / 2, "loss": loss}
    return Option(**{**vars(cell), "precision": precision, "size": size, **lost, "latency_ms": latency})


FILES = (
    as_file(LARGE, "float32", 13e6, 0.1, 9.0),
    as_file(LARGE, "int8", 3.6e6, 1.5, 5.0),
    as_file(MIDDLE, "float32", 7.6e6, 0.1, 4.5),
    as_file(MIDDLE, "int8", 2.2e6, 0.4, 2.4),
    as_file(SMALL, "int8", 1.1e6, 0.9, 1.0),
)
BROKEN = as_file(LARGE, "int8", 3.6e6, 40.0)
LOSSES = {(MIDDLE.cell, LARGE.cell): 0.5, (SMALL.cell, LARGE.cell): 7.0, (SMALL.cell, MIDDLE.cell): 6.0}


def chosen(options, margin: float = 1.0, **budget) -> tuple[str, str]:
    found = choose.choose(options, choose.limits(ChooseConfig(margin=margin, **budget)), LOSSES, margin)
    assert len(found.out) + sum(one is not None for one in {found.best, found.enough}) == len(options)
    return found.best.name if found.best else "", found.enough.name if found.enough else ""


@pytest.mark.parametrize(
    ("options", "budget", "best", "enough"),
    [
        (FILES, {}, "mobilenet_1.0_224 float32", "mobilenet_0.75_224 int8"),
        (FILES, {"max_params": "2M"}, "mobilenet_0.75_224 float32", "mobilenet_0.75_224 int8"),
        (FILES, {"max_bytes": "4MB"}, "mobilenet_1.0_224 int8", "mobilenet_0.75_224 int8"),
        ((LARGE, *FILES[2:]), {}, "mobilenet_1.0_224 (not exported)", "mobilenet_0.75_224 int8"),
        ((FILES[1], MIDDLE), {}, "mobilenet_1.0_224 int8", "mobilenet_0.75_224 (not exported)"),
        ((BROKEN, FILES[4]), {"min_top1": 0.6}, "mobilenet_0.5_160 int8", ""),
        (FILES, {"max_bytes": "2.5MB"}, "mobilenet_0.75_224 int8", ""),
        (FILES, {"max_latency_ms": 4.6}, "mobilenet_0.75_224 float32", "mobilenet_0.75_224 int8"),
        (FILES, {"max_mult_adds": "100M"}, "mobilenet_0.5_160 int8", ""),
        (FILES, {"max_mult_adds": "100M", "min_top1": 0.81}, "", ""),
        (FILES, {"margin": 0.5}, "mobilenet_1.0_224 float32", ""),
        (FILES, {"margin": 20.0}, "mobilenet_1.0_224 float32", "mobilenet_0.5_160 int8"),
        ((LARGE, MIDDLE, SMALL), {}, "mobilenet_1.0_224 (not exported)", "mobilenet_0.75_224 (not exported)"),
        ((LARGE, *FILES[3:]), {"max_bytes": "9MB"}, "mobilenet_0.75_224 int8", ""),
        ((LARGE,), {"max_bytes": "9MB"}, "", ""),
    ],
)
def test_the_best_and_the_cheapest_that_is_enough(options, budget, best, enough):
    assert chosen(options, **budget) == (best, enough)


def test_why_the_others_fell_out():
    budget = choose.limits(ChooseConfig(max_bytes="3MB", min_top1=0.84))
    found = choose.choose((LARGE, *FILES), budget, LOSSES, 1.0)
    why = {option.name: reason for option, reason in found.out}
    assert why["mobilenet_1.0_224 (not exported)"] == "not exported, so --max_bytes cannot be told"
    assert why["mobilenet_1.0_224 float32"] == "13.00M is above --max_bytes"
    assert why["mobilenet_0.5_160 int8"] == "0.791 is below --min_top1"


@pytest.mark.parametrize(
    ("budget", "name", "flags"),
    [
        ({"max_bytes": "1MB"}, "mobilenet_0.5_160 int8", "--max_bytes 1.10M"),
        ({"max_mult_adds": "100M", "min_top1": 0.81}, "mobilenet_0.5_160 int8", "--min_top1 0.791"),
        ({"max_latency_ms": 0.5, "max_params": "1M"}, "mobilenet_0.5_160 int8", "--max_latency_ms 1.0"),
    ],
)
def test_where_nothing_fits_what_would_is_told(budget, name, flags):
    limits = choose.limits(ChooseConfig(**budget))
    option, wanted = choose.nearest(FILES, limits)
    assert (option.name, wanted) == (name, flags)
    flag, value = wanted.split()
    again = {**budget, flag.removeprefix("--"): value if flag.endswith(("params", "adds", "bytes")) else float(value)}
    assert chosen(FILES, **again)[0] != ""


def test_what_is_unknown_is_near_to_nothing():
    assert choose.nearest([LARGE], choose.limits(ChooseConfig(max_bytes="1MB"))) is None


@pytest.mark.parametrize(
    "flags", [{"max_params": "many"}, {"max_params": "0"}, {"max_bytes": "4 TB"}, {"min_top1": 80.0}, {"margin": 0.0}]
)
def test_a_budget_that_is_none_is_refused(flags):
    with pytest.raises(UserError):
        ChooseConfig(**flags)


@pytest.mark.slow
def test_the_demos_sweep(demo, monkeypatch, capsys):
    monkeypatch.chdir(demo)  # nothing is written
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    choose.main([])
    printed = capsys.readouterr().out
    best = re.search(r"^Best within the budget: mobilenet_0.5_96 (float16|int8), ", printed, flags=re.MULTILINE)
    assert f"--formats {best[1]}" in printed
    with pytest.raises(SystemExit) as left:
        choose.main(["--max_params", "100k", "--min_top1", "0.5"])
    assert left.value.code == choose.EXIT_NONE_FITS
    assert "Nothing fits. mobilenet_0.25" in capsys.readouterr().out


def test_files_are_read_from_the_runs_of_cells():
    import pandas as pd

    cells = pd.DataFrame(
        [
            {"cell": "a", "run_id": "1", "val_top1": 0.9, "test_top1": 0.8, "params_total": 2.0, "mult_adds": 3.0},
            {"cell": "b", "run_id": "2", "val_top1": 0.9, "test_top1": math.nan, "params_total": 2.0, "mult_adds": 3.0},
            {"cell": "c", "run_id": "3", "val_top1": 0.7, "test_top1": 0.7, "params_total": 1.0, "mult_adds": 1.0},
        ]
    )
    told = {"int8_bytes": 5.0, "int8_loss_points": 0.2, "int8_loss_points_high": 0.7, "int8_p50_ms_1_thread": 4.0}
    first, third = choose.options_of(
        cells,
        {"1": {**told, "int8_exported": 1.0, "keras_exported": 1.0}, "2": {}, "3": {**told, "int8_exported": 0.0}},
    )  # Keras' own file is none for a device
    assert (first.precision, first.size, first.lost, first.loss, first.latency_ms) == ("int8", 5.0, 0.2, 0.7, 4.0)
    assert third.name == "c (not exported)"  # its files are of an earlier winner
    pairs = pd.DataFrame([{"split": "val", "first": "a", "second": "c", "low": 0.1, "high": 0.3}])
    assert choose.losses_of(pairs) == {("a", "c"): -10.0, ("c", "a"): pytest.approx(30.0)}
